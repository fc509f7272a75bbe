"""The menus of the right button: on past faces, and on the face beside the page."""
from __future__ import annotations

from pathlib import Path

from PyQt5.QtCore import QObject
from PyQt5.QtWidgets import QInputDialog, QMenu

from ..components import COMPONENTS
from . import files, films
from .series import ask_film_path
from .words import tr


class FaceMenus(QObject):
    """window: the main window, whose history, controls, live and filing they act on."""

    def __init__(self, window):
        super().__init__(window)
        self._window = window

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
            add(tr("history.save"), lambda: w.filing.ask_and_save_face(entry))
        if len(entries) == 2:
            add(tr("history.morph"), w.morph)
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
                lambda: films.save(path, [files.side_by_side(e.drawing, e.face) for e in steps for _ in range(3)]
                                   + [files.side_by_side(steps[-1].drawing, steps[-1].face)] * films.RATE),
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
