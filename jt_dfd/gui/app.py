"""The drawing window's command line."""
from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import Optional

from . import qt_platform

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
    qt_platform.prepare()
    from PyQt5.QtCore import QCoreApplication, QSettings, Qt, QTimer
    from PyQt5.QtWidgets import QApplication

    QCoreApplication.setAttribute(Qt.AA_EnableHighDpiScaling)
    QCoreApplication.setAttribute(Qt.AA_UseHighDpiPixmaps)
    if hasattr(QApplication, "setHighDpiScaleFactorRoundingPolicy"):  # Qt 5.14; 150 % is to be 150 %
        QApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
    app = QApplication(sys.argv[:1])
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
