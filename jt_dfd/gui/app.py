"""The drawing window's command line, and what has to be right before Qt starts: whose plugins it loads, and on which
kind of screen.

opencv-python brings a Qt and plugins of its own and points Qt to them through the environment as soon as cv2 is
imported; PyQt5 then finds a platform plugin of another build and aborts.
"""
from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import MutableMapping, Optional

from ..errors import UserError


def _plugins() -> Path:
    try:
        import PyQt5
    except ImportError:
        raise UserError(f"PyQt5 is not installed for {sys.executable}; install it with: pip install PyQt5") from None
    return Path(PyQt5.__path__[0]) / "Qt5" / "plugins"


def prepare_qt(environment: MutableMapping[str, str] = os.environ) -> None:
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
        raise UserError(f"Qt's X11 plugin cannot be loaded: {error}. `bash tools/quickstart.sh --no-window` names the "
                        "system's packages that are missing, or installs them") from None


def _check_screen() -> None:
    """Qt aborts, too, where nobody answers at DISPLAY or WAYLAND_DISPLAY (a container, a broken `ssh -X`)."""
    asks = {"xcb": _x11_answers, "wayland": _wayland_answers}
    wanted = os.environ["QT_QPA_PLATFORM"].split(";")
    if not set(wanted) <= set(asks) or any(asks[name]() for name in wanted):
        return
    places = [f"{name}={os.environ[name]}" for name in ("DISPLAY", "WAYLAND_DISPLAY") if os.environ.get(name)]
    raise UserError(f"no screen answers at {' or '.join(places) or 'all'}. Start the drawing window in a desktop "
                    "session, over `ssh -X`, or under `xvfb-run`.")


def _x11_answers() -> bool:
    with suppress(OSError):
        xcb = ctypes.CDLL("libxcb.so.1")
        xcb.xcb_connect.restype = ctypes.c_void_p
        connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
        failed = xcb.xcb_connection_has_error(connection)
        xcb.xcb_disconnect(connection)
        return not failed
    return True


def _wayland_answers() -> bool:
    with suppress(OSError):
        wayland = ctypes.CDLL("libwayland-client.so.0")
        wayland.wl_display_connect.restype = ctypes.c_void_p
        display = ctypes.c_void_p(wayland.wl_display_connect(None))
        if display:
            wayland.wl_display_disconnect(display)
        return bool(display)
    return True


_ROOT = Path(__file__).resolve().parents[2]
_LANGUAGES = Path(__file__).parent / "languages"


def find_params(asked: Optional[str], remembered: str = "") -> str:
    """The weights folder to begin with: as asked, else as last time, else Params or Params/demo here or beside the
    package."""
    if asked:
        return os.path.abspath(asked)
    if remembered and os.path.isdir(remembered):
        return remembered
    for place in (Path.cwd(), _ROOT):
        if (place / "Params" / "AE_whole").is_dir():
            return str(place / "Params")
        if (place / "Params" / "demo").is_dir():
            return str(place / "Params" / "demo")
    return str(_ROOT / "Params" / "demo")


def bundled() -> str:
    """The folder of the weights that came with the program, "" where it is not there."""
    folder = _ROOT / "Params" / "demo"
    return str(folder) if folder.is_dir() else ""


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="draw", description="The drawing window: draw a face, see its photograph.",
        epilog="Weights are looked for as --params says, else where they were last, else in Params/ and Params/demo/ "
               "of the current folder and of the repository.")
    parser.add_argument("picture", nargs="?", help="a drawing or any picture to start with")
    parser.add_argument("--params", metavar="FOLDER", help="weights folder")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"),
                        help="where faces are computed (default: as last time)")
    parser.add_argument("--gender", choices=("female", "male"), help="the bank to start with")
    parser.add_argument("--language", choices=sorted(p.stem for p in _LANGUAGES.glob("*.json")),
                        help="of the window (default: as last time)")
    parser.add_argument("--theme", choices=("system", "light", "dark"), help="colours (default: as last time)")
    parser.add_argument("--engine", metavar="MODULE:FUNCTION", help=argparse.SUPPRESS)  # a stand-in, for tests
    return parser.parse_args(argv)


def main(argv=None) -> int:
    args = parse(argv)
    prepare_qt()
    _check_screen()
    from PyQt5.QtCore import QCoreApplication, QSettings, Qt, QTimer
    from PyQt5.QtWidgets import QApplication

    QCoreApplication.setAttribute(Qt.AA_EnableHighDpiScaling)
    QCoreApplication.setAttribute(Qt.AA_UseHighDpiPixmaps)
    if hasattr(QApplication, "setHighDpiScaleFactorRoundingPolicy"):  # Qt 5.14; 150 % is to be 150 %
        QApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication(sys.argv[:1])
    # of the moves that come in while this process is busy all count: a curve was drawn as a straight line (set here, as
    # the platform's plugin switches it on when it starts)
    QCoreApplication.setAttribute(Qt.AA_CompressHighFrequencyEvents, False)
    app.setApplicationName("jt_dfd")
    from .engine import REAL, Engine
    from .recovery import leftovers
    from .window import Window

    settings = QSettings("jt_dfd", "drawing")
    for name in ("language", "theme", "device"):
        if getattr(args, name):
            settings.setValue(name, getattr(args, name))
    params = find_params(args.params, str(settings.value("params", "")))
    window = Window(Engine(params, str(settings.value("device", "auto")), args.engine or REAL), settings)
    if args.gender:
        window.controls.genders[args.gender].click()
    window.show()

    def begin():
        window.engine.start()
        if args.picture:
            window.filing.open(args.picture)
        window.offer_recovery(leftovers())

    QTimer.singleShot(0, begin)
    # Ctrl-C in the terminal closes the window in good order; Python only sees signals when it runs now and then
    signal.signal(signal.SIGINT, lambda number, frame: window.close())
    pulse = QTimer()
    pulse.start(300)
    pulse.timeout.connect(lambda: None)
    return app.exec_()
