"""Between drawing and engine: asks for a face when something changed, shows what comes back, fills the history.
No widget of its own."""
from __future__ import annotations

from dataclasses import replace
from typing import Optional

import numpy as np
from PyQt5.QtCore import QObject, QTimer, pyqtSignal

from . import engine as engine_module
from .canvas import Canvas
from .controls import Controls
from .document import Document
from .engine import Engine, Result
from .faceview import FaceView
from .history import Entry, History
from .strokes import Picture
from .words import tr

#: milliseconds after which a face counts as one to keep: while a slider moves, not every face on the way does (ours)
SETTLED = 900


class Live(QObject):
    """face_shown(Result)    a face has come and is shown
    face_gone            there is no face now
    """

    face_shown = pyqtSignal(object)
    face_gone = pyqtSignal()

    def __init__(self, document: Document, engine: Engine, canvas: Canvas, face: FaceView, controls: Controls,
                 history: History, parent=None):
        super().__init__(parent)
        self.document, self.engine, self.canvas = document, engine, canvas
        self.view, self.controls, self.history = face, controls, history
        self.result: Optional[Result] = None    # what is shown
        self.shadow: Optional[np.ndarray] = None
        self._kept: Optional[Result] = None     # the last result that went into the history
        self.session = 0                        # of the history: a drawing and what it grew from
        self.photograph = False                 # is the drawing that comes next a photograph?
        self._is_photograph = False
        self._stale = False
        self._failed = ""                       # why the newest face could not be made
        self._settle = QTimer(self, singleShot=True, interval=SETTLED, timeout=self.keep)
        document.changed.connect(self._drawing_changed)
        document.settings_changed.connect(self._settings_came)
        document.loaded.connect(self._loaded)
        controls.changed.connect(self._settings_changed)
        controls.shade_changed.connect(self._shade_changed)
        controls.real_time_changed.connect(lambda on: self.ask() if on and self._stale else None)
        controls.convert_wanted.connect(self.convert)
        canvas.stroke_begun.connect(self.keep)
        engine.shadow.connect(self._shadow_came)
        engine.face.connect(self._face_came)
        engine.ready.connect(self._ready)
        engine.progress.connect(self._progress)
        engine.state_changed.connect(self._state_changed)
        engine.face_failed.connect(self._face_failed)
        engine.held_up.connect(lambda on: (self._show_busy(), self.show_state()))
        self._step = ("start", 0, 0)

    @property
    def stale(self) -> bool:
        return self._stale

    @property
    def is_kept(self) -> bool:
        """Is the shown face in the history?"""
        return self.result is self._kept

    @property
    def _has_drawing(self) -> bool:
        return not (self._is_photograph or self.document.is_blank())

    # -- asking ----------------------------------------------------------------------------------------------------
    def ask(self, tag: str = "") -> None:
        """Ask for the face of the present drawing."""
        self._failed = ""
        document = self.document
        self.engine.request_face(document.pixels(), document.settings, (tag, document.revision, document.items))
        self._show_busy()

    def _show_busy(self) -> None:
        busy = self.engine.waiting and self.engine.state not in (engine_module.FAILED, engine_module.STOPPED)
        self.view.set_state(busy, self._stale, self._failed, tr("step.lock") if self.engine.is_held_up else "")

    def _face_failed(self, message: str) -> None:
        self._failed = message
        self._show_busy()

    def convert(self) -> None:
        """The button: a face now, of whatever is on the page."""
        self.ask("convert")

    def _drawing_changed(self) -> None:
        self._set_stale(True)
        self._is_photograph, self.photograph = self.photograph, False
        if not self._has_drawing:
            self._forget()
        elif self.controls.real_time.isChecked():
            self.ask()

    def _loaded(self) -> None:
        """Another drawing is opened: what lies under the strokes, or is on its way, was another one's."""
        self.new_session()
        self.engine.forget()
        self.shadow = None
        self._show_shade()

    def _forget(self) -> None:
        """An empty page has no face, and neither has a photograph that nothing was made of yet."""
        self.new_session()
        self.result, self.shadow, self._failed = None, None, ""
        self.engine.forget()
        self.view.show_face(None)
        self._show_busy()
        self._show_shade()
        self._set_stale(False)
        self.face_gone.emit()

    def _settings_changed(self, gesture: str = "") -> None:
        self.document.change_settings(self.controls.settings(), gesture)
        self._set_stale(self.result is not None)
        if self.controls.real_time.isChecked() and self._has_drawing:
            self.ask()

    def _drop_foreign(self) -> None:
        """Parts that were borrowed under other weights fit no longer; undo must not bring them back either."""
        latent, settings = self.engine.info.get("latent"), self.document.settings
        fit = {name: v for name, v in settings.borrowed.items() if not latent or v.shape == (latent,)}
        if len(fit) < len(settings.borrowed):
            self.document.settings = replace(settings, borrowed=fit)
            self.controls.show_settings(self.document.settings)

    def _settings_came(self) -> None:
        self._drop_foreign()
        self.controls.show_settings(self.document.settings)
        self._show_shade()

    def _shade_changed(self) -> None:
        self.document.settings = self.controls.settings()
        self._show_shade()

    def _show_shade(self) -> None:
        settings = self.document.settings
        self.canvas.set_shadow(self.shadow if settings.shadow else None, settings.strength / 100)

    # -- answers ---------------------------------------------------------------------------------------------------
    def _shadow_came(self, shadow: np.ndarray, ms: float) -> None:
        self.shadow = shadow
        self._show_shade()

    def _face_came(self, result: Result) -> None:
        tag, revision, _ = result.tag
        self.result, self._failed = result, ""
        self.view.show_face(result.face)
        current = revision == self.document.revision
        self._show_busy()
        self._set_stale(not current)
        if tag == "restored":
            self._kept = result
        elif tag == "convert":
            self.keep()
        else:
            self._settle.start()
        self.face_shown.emit(result)

    def keep(self) -> None:
        """Put the shown face into the history, unless it is there."""
        self._settle.stop()
        if self.result is not None and self.result is not self._kept:
            self._kept = self.result
            self.history.add(Entry.of(self.result), self.session)

    def new_session(self) -> None:
        """Another drawing begins."""
        self.keep()
        self.session += 1

    def restore(self, entry: Entry) -> None:
        """Back to a face of the history: its drawing, settings and picture."""
        self.new_session()
        settings = entry.settings.copy()
        settings.shadow, settings.strength = self.document.settings.shadow, self.document.settings.strength
        real_time = self.controls.real_time.isChecked()
        self.document.settings_changed.disconnect(self._settings_came)
        self.document.changed.disconnect(self._drawing_changed)
        try:
            self.document.put(entry.items or [Picture(entry.drawing)], "history", settings=settings)
        finally:
            self.document.settings_changed.connect(self._settings_came)
            self.document.changed.connect(self._drawing_changed)
        if not real_time:
            self.shadow = None  # the one at hand is another drawing's, and so is a face on its way
            self.engine.forget()
        self._settings_came()
        self.result = Result(entry.face, entry.vectors, entry.drawing, settings, 0.0, 0.0,
                             ("restored", self.document.revision, self.document.items))
        self._kept, self._failed = self.result, ""
        self.view.show_face(entry.face)
        self._set_stale(False)
        self.face_shown.emit(self.result)
        if real_time:
            self.ask("restored")  # for the shadow

    # -- the engine's state ----------------------------------------------------------------------------------------
    def _ready(self, info: dict) -> None:
        self.controls.set_genders(info["genders"])
        self._drop_foreign()
        if self.controls.genders[self.document.settings.gender].isChecked() is False:
            self._settings_changed()
        if self.controls.real_time.isChecked() and not self.engine.waiting and self._has_drawing:
            self.ask()

    def _progress(self, step: str, done: int, total: int) -> None:
        self._step = (step, done, total)
        self.show_state()

    def _state_changed(self, state: str) -> None:
        if state in (engine_module.STOPPED, engine_module.FAILED, engine_module.WAITING):
            self._step = ("start", 0, 0)
        self._show_busy()
        self.show_state()

    def show_state(self) -> None:
        """The message over the face, as the engine's state asks for."""
        state = self.engine.state
        if state in (engine_module.STARTING, engine_module.WAITING):
            step, done, total = self._step
            text = tr("step." + step) if not self.engine.is_held_up else tr("step.lock")
            if total > 1 and not self.engine.is_held_up:
                text += f"  {done} / {total}"
            self.view.show_note(tr("note.preparing"), text, tr("note.meanwhile"), done, total)
        elif state == engine_module.FAILED:
            self.view.show_note(tr("note.failed"), "", tr("note.without"),
                                bar=False)
        else:
            self.view.hide_note()

    def _set_stale(self, stale: bool) -> None:
        if stale != self._stale:
            self._stale = stale
            self._show_busy()
