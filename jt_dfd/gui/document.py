"""The drawing: a list of strokes and pictures with undo and redo, its file, and the settings that go with it.

No widget in here; the canvas draws what this says, the window asks it for pixels.
"""
from __future__ import annotations

from typing import Any, List, Optional, Sequence

import numpy as np
from PyQt5.QtCore import QObject, pyqtSignal
from PyQt5.QtWidgets import QUndoCommand, QUndoStack

from .settings import FaceSettings
from .strokes import CANVAS, Growing, Item, Picture, Raster, Stroke, to_array

#: undo steps that are kept (ours)
UNDO_LIMIT = 1000


class _Change(QUndoCommand):
    """Other items, other settings, or both; changes of the same ``gesture`` in a row (a slider's drag) are one step."""

    def __init__(self, document: "Document", text: str, items: Optional[List[Item]] = None,
                 settings: Optional[FaceSettings] = None, gesture: str = "", shown: bool = False):
        super().__init__(text)
        self._document, self._gesture, self._shown = document, gesture, shown
        self._before = document.items if items is not None else None, document.settings.copy() if settings else None
        self._after: Any = items, settings.copy() if settings else None

    def id(self):
        return 1 if self._gesture else -1

    def mergeWith(self, other):
        if other._gesture != self._gesture:
            return False
        self._after = other._after
        return True

    def redo(self):
        self._document._become(*self._after, shown=self._shown)
        self._shown = False

    def undo(self):
        self._document._become(*self._before)


class Document(QObject):
    """changed            the drawing's pixels, or by undo the settings, are different now
    settings_changed   the settings are different now, by opening, restoring or undoing (not by the sliders, which
                       know it already)
    settings_set       the settings were set, by whatever
    loaded             another drawing is about to be shown
    modified_changed   whether there is something to save
    path_changed       the file it is saved in (str, or "")
    """

    changed = pyqtSignal()
    settings_changed = pyqtSignal()
    settings_set = pyqtSignal()
    loaded = pyqtSignal()
    modified_changed = pyqtSignal(bool)
    path_changed = pyqtSignal(str)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._settings = FaceSettings()
        self._stored = self._settings.face_key()  # as they are in the file
        self.path = ""
        self.stack = QUndoStack(self)
        self.stack.setUndoLimit(UNDO_LIMIT)
        self.items: List[Item] = []
        self.revision = 0  # grows with every change of the pixels
        self._raster = Raster(1)
        self._recovered, self._said = False, False  # is it in no file?  what was last told of being modified
        self._saved: List[Item] = []
        self._growing: Optional[Growing] = None

    # -- settings --------------------------------------------------------------------------------------------------
    @property
    def settings(self) -> FaceSettings:
        return self._settings

    @settings.setter
    def settings(self, settings: FaceSettings) -> None:
        self._settings = settings
        self.settings_set.emit()
        self._tell_modified()

    def change_settings(self, settings: FaceSettings, gesture: str = "") -> None:
        """What a person did to the settings, as a step of undo; steps of the same ``gesture`` in a row are one."""
        if settings.face_key() != self._settings.face_key():
            self.stack.push(_Change(self, "settings", settings=settings, gesture=gesture, shown=True))

    # -- pixels ----------------------------------------------------------------------------------------------------
    def pixels(self) -> np.ndarray:
        """The drawing as (512, 512) uint8, black lines on white: what the engine is given and what is saved."""
        self._raster.show(self.items)
        return to_array(self._raster.image)

    def is_blank(self) -> bool:
        return not self.items or bool((self.pixels() == 255).all())

    # -- edits -----------------------------------------------------------------------------------------------------
    def add_stroke(self, stroke: Stroke) -> None:
        """Add a finished stroke, as one step of undo.  A stroke without points is ignored."""
        if stroke.points:
            self._add(stroke, "eraser" if stroke.erase else "stroke")

    def begin_stroke(self, stroke: Stroke) -> None:
        """A stroke is being drawn: its pixels are made ready as it grows, so that its end takes no time."""
        self._raster.show(self.items)
        self._growing = Growing(self._raster, stroke)

    def grow_stroke(self, anew: bool = False) -> None:
        """The stroke at hand has more points, or (``anew``) others."""
        if self._growing is not None:
            self._growing.restart() if anew else self._growing.grow()

    def finish_stroke(self) -> None:
        """The stroke at hand is done."""
        growing, self._growing = self._growing, None
        if growing is not None:
            growing.finish(self.items + [growing.stroke])
            self.add_stroke(growing.stroke)

    def abandon_stroke(self) -> None:
        self._growing = None

    def clear(self) -> None:
        """An empty page, as one step of undo."""
        if self.items and not self.is_blank():
            self._add(Picture(np.full((CANVAS, CANVAS), 255, np.uint8)), "clear")

    def replace(self, pixels: np.ndarray, settings: Optional[FaceSettings] = None, text: str = "picture") -> None:
        """Another picture on the page, and other settings where given, as one step of undo."""
        self._add(Picture(_checked(pixels)), text, settings)

    def _add(self, item: Item, text: str, settings: Optional[FaceSettings] = None) -> None:
        self.stack.push(_Change(self, text, self.items + [item], settings))

    def put(self, items: Sequence[Item], text: str = "strokes", gesture: str = "",
            settings: Optional[FaceSettings] = None) -> None:
        """Other strokes on the page in place of what is drawn, and other settings where given, as one step of undo, or
        as one with those before it of the same ``gesture``."""
        self.stack.push(_Change(self, text, list(items), settings, gesture))

    def _become(self, items: Optional[List[Item]], settings: Optional[FaceSettings], shown: bool = False) -> None:
        """One step; None leaves things as they are.  shown: whoever asked for the settings shows them already."""
        if items is not None:
            self.items = items
            self.revision += 1
        if settings is not None:
            settings = settings.copy()  # how the shadow looks is no part of the step
            settings.shadow, settings.strength = self._settings.shadow, self._settings.strength
            self.settings = settings
            if not shown:
                self.settings_changed.emit()
        if not shown:
            self.changed.emit()
        self._tell_modified()

    # -- the file --------------------------------------------------------------------------------------------------
    @property
    def modified(self) -> bool:
        """Is there something to save?  In a file of ours the settings are stored too; elsewhere they are not missed."""
        return (self._recovered or len(self.items) != len(self._saved)
                or any(a is not b for a, b in zip(self.items, self._saved))
                or bool(self.path) and self._settings.face_key() != self._stored)

    def _tell_modified(self) -> None:
        if self.modified != self._said:
            self._said = self.modified
            self.modified_changed.emit(self._said)

    def load(self, pixels: Optional[np.ndarray], settings: Optional[FaceSettings] = None, path: str = "",
             unsaved: bool = False, strokes: Sequence[Item] = ()) -> None:
        """Start anew from a picture ((512, 512) uint8, None: empty page).  Undo starts here; ``unsaved`` marks what
        was recovered or pasted, which is in no file; each of ``strokes`` is a step that can be undone.  Without
        ``settings`` those at hand stay, but for parts that were borrowed for the drawing before."""
        self.loaded.emit()
        if settings is None and self._settings.borrowed:
            settings = self._settings.copy()
            settings.borrowed = {}
        self.stack.clear()
        self.items = [] if pixels is None else [Picture(_checked(pixels))]
        blocked = self.blockSignals(True)
        for item in strokes:
            self._add(item, "stroke")
        self.blockSignals(blocked)
        self._saved = list(self.items)
        self._recovered = unsaved
        self.path = path
        self._stored = (settings or self._settings).face_key()
        self.revision += 1
        if settings is not None:
            self.settings = settings.copy()
            self.settings_changed.emit()
        self.changed.emit()
        self.path_changed.emit(self.path)
        self._said = self.modified
        self.modified_changed.emit(self._said)

    def saved(self, path: str) -> None:
        """Note that the drawing is in ``path`` now."""
        self.path = path
        self._recovered = False
        self._stored, self._saved = self._settings.face_key(), list(self.items)
        self.path_changed.emit(path)
        self._said = False
        self.modified_changed.emit(False)


def _checked(pixels: np.ndarray) -> np.ndarray:
    if pixels.shape != (CANVAS, CANVAS) or pixels.dtype != np.uint8:
        raise ValueError(f"expected a {CANVAS}x{CANVAS} uint8 drawing, got {pixels.shape} {pixels.dtype}")
    return pixels.copy()
