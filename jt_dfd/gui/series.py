"""What is done with faces: the refinement sweep and the morph (two dialogs that show several faces at once, neither of
them modal), a random face, and the menus of the right button."""
from __future__ import annotations

import random
from pathlib import Path
from typing import List, Optional

import numpy as np
from PyQt5.QtCore import QObject, QRectF, QSize, Qt, QTimer, pyqtSignal
from PyQt5.QtGui import QIcon, QPainter
from PyQt5.QtWidgets import (
    QApplication,
    QComboBox,
    QDialog,
    QFileDialog,
    QInputDialog,
    QLabel,
    QMenu,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QWidget,
)

from ..components import COMPONENTS
from . import files
from .controls import Slider
from .engine import Engine
from .history import Entry, thumbnail
from .layouts import column, row
from .strokes import Stroke, to_image
from .words import tr

#: percentages that a sweep shows
LEVELS = (0, 25, 50, 75, 100)
#: edges of a sweep's face and a morph's, logical pixels, where the screen has room for them (ours)
_TILE, _FACE = 176, 420


class Series(QDialog):
    """What both share: a job of the engine, its frames, and saving them.

    error(str)   something could not be written
    """

    error = pyqtSignal(str)

    def __init__(self, engine: Engine, background, parent=None):
        super().__init__(parent)
        self.setAttribute(Qt.WA_DeleteOnClose)
        self.engine, self._background = engine, background
        self.job = 0
        self.frames: List[Optional[np.ndarray]] = []
        self.progress = QProgressBar(textVisible=False)
        self.note = QLabel(objectName="quiet", wordWrap=True)
        self.save = QPushButton(tr("series.save"), enabled=False, clicked=self.ask_and_save)
        self.film = QPushButton(tr("film.save"), enabled=False, clicked=self.ask_and_film)
        engine.frame.connect(self._frame)
        engine.job_done.connect(self._done)
        engine.job_failed.connect(self._failed)
        self.finished.connect(self._leave)

    def begin(self, do: str, count: int, **entries) -> None:
        if self.job:
            self.engine.cancel(self.job)
        self.frames = [None] * count
        self.progress.setRange(0, count)
        self.progress.setValue(0)
        self.progress.show()
        self.note.setText("")
        self._able(False)
        self.job = self.engine.submit(do, **entries)

    def show_frame(self, index: int, face: np.ndarray) -> None:
        raise NotImplementedError

    def _frame(self, job: int, index: int, total: int, face) -> None:
        if job == self.job:
            self.frames[index] = face
            self.progress.setValue(index + 1)
            self.show_frame(index, face)

    def _done(self, job: int, answer: dict) -> None:
        if job == self.job:
            self.job = 0
            self.progress.hide()
            self._able(all(f is not None for f in self.frames))

    def _failed(self, job: int, message: str) -> None:
        if job == self.job:
            self.job = 0
            self.progress.hide()
            self.note.setText(tr(message) if message else tr("series.restarted"))

    def _leave(self) -> None:
        if self.job:
            self.engine.cancel(self.job)
            self.job = 0

    def _able(self, on: bool) -> None:
        """Can what there is be saved?"""
        self.save.setEnabled(on)
        self.film.setEnabled(on)

    name = "series"

    def screen_size(self) -> QSize:
        return QApplication.desktop().availableGeometry(self.parentWidget() or self).size()

    def ask_and_save(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("series.folder"))
        if folder:
            self.save_into(folder)

    def save_into(self, folder) -> None:
        frames = [f for f in self.frames if f is not None]
        self._save(lambda: files.save_series(folder, self.name, frames), lambda paths: tr(
            "series.saved", n=len(paths), folder=folder))

    def ask_and_film(self) -> None:
        path = ask_film_path(self, self.name)
        if path:
            self.film_into(path)

    def film_into(self, path) -> None:
        frames = files.there_and_back([f for f in self.frames if f is not None])
        self._save(lambda: files.save_film(path, frames), lambda nothing: tr("save.saved", name=Path(path).name))

    def _save(self, work, words) -> None:
        """Work on a thread, then say so."""
        self._able(False)

        def done(result):
            self._able(True)
            self.note.setText(words(result))

        def failed(problem):
            self._able(True)
            self.error.emit(str(problem))

        self._background.run(work, done, failed)


def ask_film_path(parent, name: str) -> str:
    """Where a film is to go, "" for nowhere."""
    path, kind = QFileDialog.getSaveFileName(parent, tr("film.title"), f"{name}.gif",
                                             "GIF (*.gif);;MP4 (*.mp4);;WebM (*.webm)")
    if path and not path.lower().endswith(files.FILM_SUFFIXES):
        path += next((suffix for suffix in files.FILM_SUFFIXES if suffix in kind), ".gif")
    return path


class Sweep(Series):
    """The face at 0, 25, 50, 75 and 100 % refinement; a click takes that setting.

    chosen(int)   percent
    """

    chosen = pyqtSignal(int)
    name = "sweep"

    def __init__(self, engine, background, sketch: np.ndarray, settings, parent=None):
        super().__init__(engine, background, parent)
        self.setWindowTitle(tr("sweep.title"))
        self._tile = min(_TILE, (self.screen_size().width() - 60) // len(LEVELS) - 26)
        self.tiles = []
        for level in LEVELS:
            tile = QToolButton(text=f"{level} %", toolTip=tr("sweep.use", level=level), enabled=False, autoRaise=True,
                               toolButtonStyle=Qt.ToolButtonTextUnderIcon, iconSize=QSize(self._tile, self._tile),
                               clicked=lambda checked, level=level: self.chosen.emit(level))
            tile.setFixedSize(self._tile + 16, self._tile + 34)
            self.tiles.append(tile)
        ends = [QLabel(tr(code), objectName="quiet", alignment=side) for code, side in (
            ("refine.low", Qt.AlignLeft), ("sweep.click", Qt.AlignCenter), ("refine.high", Qt.AlignRight))]
        column(row(*self.tiles, spacing=10), row(*ends), row((self.note, 1), self.progress, self.film, self.save),
               of=self)
        self.begin("sweep", len(LEVELS), sketch=sketch, gender=settings.gender, k=settings.k,
                   borrowed=settings.borrowed, levels=[{c: v / 100 for c in settings.refine} for v in LEVELS])

    def show_frame(self, index: int, face: np.ndarray) -> None:
        self.tiles[index].setIcon(QIcon(thumbnail(face, self._tile)))
        self.tiles[index].setEnabled(True)


class _Picture(QWidget):
    def __init__(self, edge: int):
        super().__init__()
        self._image, self._edge = None, edge
        self.setMinimumSize(100, 100)
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Expanding)

    def sizeHint(self) -> QSize:
        return QSize(self._edge, self._edge)

    def show_face(self, face) -> None:
        self._image = to_image(face) if face is not None else None
        self.update()

    def paintEvent(self, event) -> None:
        painter = QPainter(self)
        side = min(self.width(), self.height())
        area = QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)
        if self._image is None:
            painter.fillRect(area, self.palette().base())
        else:
            painter.setRenderHint(QPainter.SmoothPixmapTransform)
            painter.drawImage(area, self._image)


class Morph(Series):
    """From one face of the history to another.

    face_wanted(dict)   go on from the face in between that is shown: {component: vector}
    """

    face_wanted = pyqtSignal(dict)
    name = "morph"

    def __init__(self, engine, background, entries: List[Entry], first: int, second: int, parent=None):
        super().__init__(engine, background, parent)
        self.setWindowTitle(tr("morph.title"))
        self.entries = entries
        self.boxes = []
        top = row()
        for label, chosen in ((tr("morph.from"), first), (tr("morph.to"), second)):
            box = QComboBox(iconSize=QSize(48, 48))
            for n, entry in enumerate(entries):
                box.addItem(QIcon(thumbnail(entry.face)), str(n + 1))
            box.setCurrentIndex(chosen)
            box.currentIndexChanged.connect(lambda index: self.start())
            top.addWidget(QLabel(label))
            top.addWidget(box)
            self.boxes.append(box)
        self.steps = QSpinBox(minimum=3, maximum=60, value=9, keyboardTracking=False,
                              valueChanged=lambda value: self.start())
        top.addStretch(1)
        top.addWidget(QLabel(tr("morph.pictures")))
        top.addWidget(self.steps)
        self.picture = _Picture(min(_FACE, self.screen_size().height() - 230))
        self.slider = Slider(0, 8, 0)
        self.slider.valueChanged.connect(self._show)
        self.play = QPushButton(tr("morph.play"), checkable=True)
        self._clock = QTimer(self, interval=90, timeout=self._tick)
        self.play.toggled.connect(lambda on: self._clock.start() if on else self._clock.stop())
        self._way = 1
        self.use = QPushButton(tr("morph.use"), toolTip=tr("morph.use.tip"),
                               clicked=lambda: self.face_wanted.emit(self.vectors()))
        column(top, (self.picture, 1), row(self.play, (self.slider, 1)),
               row((self.note, 1), self.progress, self.use, self.film, self.save), of=self)
        self.start()

    def vectors(self):
        """{component: (latent,) float32} of the picture shown."""
        a, b = (self.entries[box.currentIndex()] for box in self.boxes)
        t = np.float32(self.slider.value() / max(1, self.slider.maximum()))
        return {name: (1 - t) * a.vectors[name] + t * b.vectors[name] for name in a.vectors}

    def start(self) -> None:
        a, b = (self.entries[box.currentIndex()] for box in self.boxes)
        sizes = {name: (a.vectors[name].shape, b.vectors[name].shape) for name in a.vectors}
        if any(x != y for x, y in sizes.values()):
            self.note.setText(tr("morph.foreign"))
            return
        count = self.steps.value()
        self.slider.setRange(0, count - 1)
        self.slider.setValue(0)
        self.picture.show_face(a.face)
        self.begin("morph", count, a=a.vectors, b=b.vectors, steps=count)

    def show_frame(self, index: int, face: np.ndarray) -> None:
        if index == self.slider.value():
            self.picture.show_face(face)
        elif not self.play.isChecked() and self.slider.value() == index - 1 and not self.slider.isSliderDown():
            self.slider.setValue(index)  # watch it grow

    def _show(self, index: int) -> None:
        if index < len(self.frames) and self.frames[index] is not None:
            self.picture.show_face(self.frames[index])

    def _tick(self) -> None:
        value = self.slider.value() + self._way
        if not 0 <= value <= self.slider.maximum():
            self._way = -self._way
            value = self.slider.value() + self._way
        self.slider.setValue(value)


#: milliseconds that a sentence of weight stays in the status bar (ours)
NOTICE = 8000


class FaceMenus(QObject):
    """window: the main window, whose history, controls, live and filing they act on."""

    def __init__(self, window):
        super().__init__(window)
        self._window = window
        self._sample, self._sample_for = 0, 0  # the job, and the drawing's revision when it was asked for
        window.engine.job_done.connect(self._job_done)

    # -- jobs ------------------------------------------------------------------------------------------------------
    def random(self) -> None:
        w = self._window
        if self._sample:
            w.engine.cancel(self._sample)
        w.say(tr("random.looking"))
        self._sample_for = w.document.revision
        self._sample = w.engine.submit("sample", gender=w.controls.settings().gender, seed=random.randrange(2 ** 31))

    def _job_done(self, job: int, answer: dict) -> None:
        w = self._window
        if job != self._sample:
            return
        self._sample = 0
        if w.document.revision != self._sample_for:  # it may have waited for a compile of minutes
            w.say(tr("random.late"), NOTICE)
            return
        w.say("")
        w.live.new_session()
        lines = [[(x, y, 1.0) for x, y in line] for line in answer["lines"]]
        w.document.put([Stroke(2.0, points=line) for line in lines], "random")
        if not w.controls.real_time.isChecked():
            w.live.convert()

    def sweep(self) -> None:
        w = self._window
        dialog = Sweep(w.engine, w.filing.background, w.document.pixels(), w.document.settings, w)
        dialog.chosen.connect(w.controls.sliders["all"].setValue)
        self._show(dialog)

    def morph(self) -> None:
        w = self._window
        w.live.keep()
        entries = w.history.entries
        if len(entries) < 2:
            w.say(tr("morph.two"), NOTICE)
            return
        chosen = [entries.index(entry) for entry in w.history.selected()][:2]
        # older to newer, as they came
        second, first = (chosen + [n for n in (0, 1) if n not in chosen])[:2]
        dialog = Morph(w.engine, w.filing.background, entries, first, second, w)
        dialog.face_wanted.connect(w.controls.borrow_all)
        self._show(dialog)

    def _show(self, dialog: Series) -> None:
        dialog.error.connect(lambda text: self._window.filing.warn(tr("series.cannot"), text))
        dialog.show()

    # -- menus -----------------------------------------------------------------------------------------------------

    def history(self, entries) -> QMenu:
        """The menu of one or several past faces."""
        w, menu = self._window, QMenu(self._window)

        def add(text: str, call) -> None:
            menu.addAction(text).triggered.connect(lambda checked: call())

        if len(entries) == 1:
            entry, = entries
            steps, unfolded = len(w.history.steps(entry)), w.history.is_unfolded(entry)
            add(tr("history.back"), lambda: w.live.restore(entry))
            part = menu.addMenu(tr("history.part"))
            for name in COMPONENTS:
                part.addAction(tr(f"part.{name}")).triggered.connect(
                    lambda checked, name=name: w.controls.borrow(name, entry.vectors[name].copy()))
            if steps > 1:
                add(tr("history.fold") if unfolded else tr("history.unfold", n=steps),
                    lambda: w.history.unfold(entry, not unfolded))
            if steps > 1:
                add(tr("history.film"), lambda: self._film(entry))
            add(tr("history.unpin") if entry.pinned else tr("history.pin"),
                lambda: w.history.pin(entry, not entry.pinned))
            add(tr("history.name"), lambda: self._name(entry))
            add(tr("history.save"), lambda: w.filing.save_face(entry))
        if len(entries) == 2:
            add(tr("history.morph"), self.morph)
        menu.addSeparator()
        add(tr("history.remove"), lambda: w.history.remove(entries))
        return menu

    def _film(self, entry) -> None:
        """How a drawing and its face came about, side by side."""
        w = self._window
        path = ask_film_path(w, "history")
        steps = list(reversed(w.history.steps(entry)))
        if path:
            w.filing.background.run(
                lambda: files.save_film(path, [files.side_by_side(e.drawing, e.face) for e in steps for _ in range(3)]
                                   + [files.side_by_side(steps[-1].drawing, steps[-1].face)] * files.FILM_RATE),
                lambda nothing: w.say(tr("save.saved", name=Path(path).name)),
                lambda problem: w.filing.warn(tr("series.cannot"), str(problem)))

    def _name(self, entry) -> None:
        name, well = QInputDialog.getText(self._window, tr("history.name"), tr("history.name.ask"), text=entry.name)
        if well:
            self._window.history.name(entry, name)

    def face(self) -> QMenu:
        """The menu of the face beside the page."""
        menu, actions = QMenu(self._window), self._window.actions
        menu.addActions([actions[name] for name in ("copy", "save_face", "export")])
        menu.addSeparator()
        menu.addActions([actions[name] for name in ("sweep", "convert")])
        return menu
