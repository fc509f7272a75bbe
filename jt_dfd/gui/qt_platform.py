"""What has to be right before Qt starts: whose plugins it loads, and on which kind of screen.

opencv-python brings a Qt and plugins of its own and points Qt to them through the environment as soon as cv2 is
imported; PyQt5 then finds a platform plugin of another build and aborts.
"""
from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import MutableMapping

from ..errors import UserError


def _plugins() -> Path:
    try:
        import PyQt5
    except ImportError:
        raise UserError(f"PyQt5 is not installed for {sys.executable}; install it with: pip install PyQt5") from None
    return Path(PyQt5.__path__[0]) / "Qt5" / "plugins"


def prepare(environment: MutableMapping[str, str] = os.environ) -> None:
    """Set Qt's environment up; to be called before QApplication is made.  UserError where no window can be shown."""
    for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR", "QT_PLUGIN_PATH"):
        if f"{os.sep}cv2{os.sep}" in environment.get(name, "") + os.sep:
            del environment[name]
    plugins = _plugins()
    if (plugins / "platforms").is_dir():  # PyQt5 from PyPI; a distribution's PyQt5 knows its own place
        environment["QT_QPA_PLATFORM_PLUGIN_PATH"] = str(plugins / "platforms")
    if not sys.platform.startswith("linux"):
        return
    wanted = environment.get("QT_QPA_PLATFORM", "")
    x11, wayland = bool(environment.get("DISPLAY")), bool(environment.get("WAYLAND_DISPLAY"))
    if not wanted:
        if not (x11 or wayland):
            raise UserError("no screen: neither DISPLAY nor WAYLAND_DISPLAY is set. Start the drawing window in a "
                            "desktop session, over `ssh -X`, or under `xvfb-run`.")
        # through X11 where both are there (XWayland): Qt 5 draws its own, plainer window frames on Wayland
        wanted = ";".join(name for name, there in (("xcb", x11), ("wayland", wayland)) if there)
    elif wanted.startswith("wayland") and ";" not in wanted and x11:
        wanted += ";xcb"  # the Wayland plugin may be missing or unusable
    environment["QT_QPA_PLATFORM"] = wanted
    if wanted == "xcb":
        _check_xcb(plugins / "platforms" / "libqxcb.so")


def _check_xcb(plugin: Path) -> None:
    """Qt aborts without a usable word when a system library of its X11 plugin is missing; find out first."""
    if not plugin.exists():
        return
    try:
        ctypes.CDLL(str(plugin))
    except OSError as error:
        raise UserError(f"Qt's X11 plugin cannot be loaded: {error}. On Debian and Ubuntu: apt-get install "
                        "libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-xinerama0 "
                        "libxcb-shape0 libxkbcommon-x11-0 libgl1 libdbus-1-3") from None
