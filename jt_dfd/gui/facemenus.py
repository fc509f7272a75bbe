"""What is done with faces: sweep, morph, a random one, and the menus of the right button."""
from __future__ import annotations

import random
from pathlib import Path

from PyQt5.QtCore import QObject
from PyQt5.QtWidgets import QInputDialog, QMenu

from ..components import COMPONENTS
from . import files
from .series import Morph, Series, Sweep, ask_film_path
from .strokes import Stroke
from .words import tr

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
