"""The window's tests run without a screen, without weights and without touching anyone's settings."""
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
for path in (str(ROOT), str(HERE)):
    if path not in sys.path:
        sys.path.insert(0, path)

from jt_dfd.gui import app  # noqa: E402

app.prepare_qt()

import pytest  # noqa: E402
from PyQt5.QtCore import QSettings  # noqa: E402
from PyQt5.QtWidgets import QMessageBox  # noqa: E402

from jt_dfd.gui.engine import Engine  # noqa: E402

FAKE = "fake_engine:load"
#: milliseconds that a test waits for what must come; how long it takes is the machine's business
PATIENCE = 300_000
ENVIRONMENT = {"PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))}


class Weights:
    """A folder that tells the stand-in engine what to do."""

    def __init__(self, folder):
        self.folder = folder
        self.folder.mkdir(exist_ok=True)

    def set(self, **knobs):
        temporary = self.folder / "fake.json.part"
        temporary.write_text(json.dumps(knobs))
        temporary.replace(self.folder / "fake.json")

    def arrived(self, where, number=1):
        """Is the stand-in held up at its ``number``-th shadow or face?"""
        return (self.folder / f"at.{where}.{number}").exists()

    def crash(self, where, times=1, **knobs):
        for n in range(times):
            (self.folder / f"crash.{n}").write_text("")
        self.set(crash=where, **knobs)

    @property
    def faces(self):
        """How many faces were computed so far."""
        log = self.folder / "log.txt"
        return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def weights(tmp_path):
    return Weights(tmp_path / "weights")


@pytest.fixture(autouse=True)
def private_places(tmp_path, monkeypatch):
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    QSettings.setPath(QSettings.NativeFormat, QSettings.UserScope, str(tmp_path / "XDG_CONFIG_HOME"))


@pytest.fixture(autouse=True)
def no_questions(monkeypatch):
    """A dialog that nobody answers would hang the test: whoever expects one says so."""
    def unexpected(*args, **kwargs):
        raise AssertionError(f"an unexpected question: {args[1:]}")

    for name in ("question", "warning", "about"):
        monkeypatch.setattr(QMessageBox, name, unexpected)
    monkeypatch.setattr("jt_dfd.gui.filing.ask_unsaved", lambda window: unexpected(window, "unsaved changes"))


@pytest.fixture
def engine(qapp, weights):
    made = []

    def make(**kwargs):
        made.append(Engine(weights.folder, factory=FAKE, environment=ENVIRONMENT, **kwargs))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def window(qapp, qtbot, weights, tmp_path):
    """Makes windows; ``window()`` is shown, its engine running."""
    from jt_dfd.gui.window import Window

    made = []

    def make(start=True, size=(1200, 760)):
        one = Window(Engine(weights.folder, factory=FAKE, environment=ENVIRONMENT),
                     QSettings(str(tmp_path / "settings.ini"), QSettings.IniFormat), tmp_path / "recovery")
        one.resize(*size)
        one.show()
        one.activateWindow()  # shortcuts want an active window
        with qtbot.waitActive(one, timeout=PATIENCE):
            pass
        if start:
            one.engine.start()
        made.append(one)
        return one

    yield make
    for one in made:
        try:
            one.document.saved("")  # no question about unsaved changes
            one.close()
        except RuntimeError:
            pass  # closed by the test
    qapp.sendPostedEvents(None, 52)  # deferred deletes
    qapp.processEvents()
