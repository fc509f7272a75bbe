"""The main window: puts the parts together and remembers how it was left."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from PyQt5.QtCore import QByteArray, QSettings, QSize, Qt, QTimer
from PyQt5.QtWidgets import (
    QFileDialog,
    QFrame,
    QLabel,
    QMainWindow,
    QMessageBox,
    QScrollArea,
    QWidget,
)

from .. import __version__
from ..errors import UserError
from . import engine as engine_module
from . import theme
from .actions import Actions
from .app import bundled
from .canvas import Canvas
from .controls import Controls
from .document import Document
from .engine import Engine
from .faceview import FaceView
from .filing import Drops, Filing
from .guide import EXAMPLES, EmptyPage
from .history import Album, History
from .layouts import Squares, column, row
from .live import Live
from .messages import EngineTrouble, KeySheet, ReadingBar, RecoveryBar
from .recovery import Autosave
from .series import NOTICE, FaceMenus, Series
from .words import Words, tr


class Window(QMainWindow):
    """engine: an :class:`Engine`, not yet started; settings: where the window's state is kept; recovery: folder of
    the autosaved drawings (None: the usual one)."""

    def __init__(self, engine: Engine, settings: Optional[QSettings] = None, recovery=None):
        super().__init__()
        self.setAttribute(Qt.WA_DeleteOnClose)
        self.settings = settings if settings is not None else QSettings("jt_dfd", "drawing")
        self.words = Words(self)
        self.engine = engine
        engine.setParent(self)
        self.document = Document(self)
        self.canvas = Canvas(self.document)
        self.face = FaceView()
        self.controls = Controls(self.words)
        self.history = History()
        self.live = Live(self.document, engine, self.canvas, self.face, self.controls, self.history, self)
        self.filing = Filing(self.document, self.live, self.settings, self)
        self.actions = Actions(self, self.words)
        self.autosave = Autosave(self.document, recovery, self)
        self.album = Album(self.autosave.folder.parent / "history", self)
        self.recovery_bar = RecoveryBar(self.words)
        self.reading_bar = ReadingBar(self.words, self.controls.genders)
        self.face_menus = FaceMenus(self)
        self.empty_page = EmptyPage(self.canvas, self.document, self.words, self)
        self._trouble: Optional[EngineTrouble] = None
        self._shown = False
        self._times = (0.0, 0.0)
        self._build()
        self._connect()
        self._restore_state()
        self.drops = Drops(self, self.filing, self.canvas)
        self.canvas.setFocus()

    # -- building --------------------------------------------------------------------------------------------------
    def _build(self) -> None:
        self.squares = Squares(self.canvas, self.face)
        # on a low screen the panel scrolls rather than make the window higher; no stop of its own on the way by Tab
        self.side = side = QScrollArea(widgetResizable=True, focusPolicy=Qt.NoFocus, frameShape=QFrame.NoFrame,
                                       horizontalScrollBarPolicy=Qt.ScrollBarAlwaysOff)
        panel, tight = QWidget(), (0, 0, 0, 0)
        column(self.controls, (self.history, 1), of=panel, margins=tight, spacing=0)
        side.setWidget(panel)
        middle = row((self.squares, 1), side, margins=tight, spacing=0)
        self.history_hint = QLabel(objectName="quiet", alignment=Qt.AlignCenter, wordWrap=True)
        self.words.bind(self.history_hint.setText, "history.hint")
        row(self.history_hint, of=self.history)
        self.history_hint.setAttribute(Qt.WA_TransparentForMouseEvents)
        central = QWidget()
        column(self.recovery_bar, (middle, 1), self.reading_bar, of=central, margins=tight, spacing=0)
        self.setCentralWidget(central)
        for view, code in ((self.canvas, "caption.drawing"), (self.face, "caption.face"), (self.history, "history")):
            self.words.bind(view.setAccessibleName, code)
        self.words.bind(self.canvas.setAccessibleDescription, "empty.sentence")
        self.device_label, self.weights_label, self.time_label = QLabel(), QLabel(), QLabel()
        for label in (self.device_label, self.weights_label, self.time_label):
            label.setContentsMargins(8, 0, 8, 0)
            self.statusBar().addPermanentWidget(label)
        for label, tip in ((self.device_label, "status.device.tip"),
                           (self.weights_label, "status.weights.tip"),
                           (self.time_label, "status.times.tip")):
            self.words.bind(label.setToolTip, tip)

    def _connect(self) -> None:
        a, document, filing = self.actions, self.document, self.filing
        for name, call in {
                "new": filing.new, "open": filing.ask_and_open, "save": filing.save, "save_as": filing.save_as,
                "save_face": filing.save_face, "export": lambda: filing.save_face(both=True),
                "quick": filing.quick_save, "quit": self.close,
                "undo": document.stack.undo, "redo": document.stack.redo, "clear": document.clear,
                "next": lambda: filing.step(1), "previous": lambda: filing.step(-1),
                "copy": filing.copy_face, "paste": filing.paste,
                "brush": lambda: self.set_tool("brush"), "eraser": lambda: self.set_tool("eraser"),
                "select": lambda: self.set_tool("select"), "select_all": self._select_all,
                "delete": self.canvas.selection.delete, "reference": self._ask_reference,
                "smaller": lambda: self.change_size(-1), "larger": lambda: self.change_size(1),
                "zoom_in": lambda: self.canvas.set_zoom(self.canvas.zoom * 1.25),
                "zoom_out": lambda: self.canvas.set_zoom(self.canvas.zoom / 1.25), "fit": self.canvas.fit,
                "convert": self.live.convert, "reset": self.controls.reset_sliders, "random": self.face_menus.random,
                "sweep": self.face_menus.sweep, "morph": self.face_menus.morph,
                "folder": self.choose_folder, "restart": self.engine.retry, "keys": self.show_keys,
                "about": self.show_about}.items():
            a[name].triggered.connect(lambda checked, call=call: call())
        self.canvas.addActions([a["select_all"], a["delete"]])
        a["mirror"].toggled.connect(self._set_mirror)
        a["panel"].setChecked(True)
        a["panel"].toggled.connect(self.side.setVisible)
        a["full"].toggled.connect(lambda on: self.showFullScreen() if on else self.showNormal())
        for name, box in (("shadow", self.controls.shadow), ("real_time", self.controls.real_time)):
            a[name].setChecked(box.isChecked())
            a[name].toggled.connect(box.setChecked)
            box.toggled.connect(a[name].setChecked)
        for able, name in ((document.stack.canUndoChanged, "undo"), (document.stack.canRedoChanged, "redo")):
            a.allow(False, f"why.{name}", name)
            able.connect(lambda on, name=name: a.allow(on, f"why.{name}", name))
        a["guide"].toggled.connect(self.empty_page.switch)
        self.empty_page.chosen.connect(lambda name: filing.open_example(EXAMPLES[name]))
        a.examples_menu.addActions(list(self.empty_page.examples.values()))
        a.size.valueChanged.connect(self.set_size)
        a.themes.triggered.connect(lambda action: self.set_theme(action.data()))
        a.languages.triggered.connect(lambda action: self.set_language(action.data()))
        a.devices.triggered.connect(lambda action: self.set_device(action.data()))
        filing.recent_changed.connect(self._show_recent)
        filing.said.connect(self.say)
        filing.list_changed.connect(self._show_able)
        filing.read.connect(self.reading_bar.show_reading)
        document.loaded.connect(self._loaded)
        self.reading_bar.as_is_wanted.connect(self._take_as_it_is)
        self.reading_bar.sketch_wanted.connect(
            lambda opened, style: self.filing.sketch_photograph(opened.photograph, style))
        self.reading_bar.trace_wanted.connect(self._trace)
        self.canvas.selection.changed.connect(self._selected)
        self.controls.pencil.valueChanged.connect(lambda v: setattr(self.canvas, "opacity", v / 100))
        self.controls.reference.valueChanged.connect(lambda v: self.canvas.set_underlay_opacity(v / 100))
        a["as_is"].setChecked(filing.as_is)
        a["as_is"].toggled.connect(lambda on: setattr(filing, "as_is", on))
        document.path_changed.connect(lambda path: self._show_title())
        document.modified_changed.connect(self.setWindowModified)
        document.changed.connect(self._show_able)
        self.live.face_shown.connect(self._face_shown)
        self.live.face_gone.connect(self._show_able)
        self.canvas.zoom_changed.connect(lambda zoom: self._show_captions())
        self.history.restore_wanted.connect(self.live.restore)
        self.history.menu_wanted.connect(lambda entries, at: self.face_menus.history(entries).popup(at))
        self.history.changed.connect(self._show_able)
        for told, call in ((self.history.added, self.album.add), (self.history.noted, self.album.note),
                           (self.history.removed, self.album.remove), (self.album.loaded, self.history.bring_back)):
            told.connect(call)
        self.album.failed.connect(lambda why: self.say(tr("history.cannot", why=why), NOTICE))
        self.face.menu_wanted.connect(lambda at: self.face_menus.face().popup(at))
        self.engine.state_changed.connect(lambda state: self._show_status())
        self.engine.held_up.connect(lambda on: self._show_status())
        self.engine.ready.connect(lambda info: self._engine_ready())
        self.engine.notice.connect(lambda text, details: self.say(tr(text), NOTICE))
        self.engine.failed.connect(self._engine_failed)
        self.recovery_bar.chosen.connect(self._recover)
        self.autosave.failed.connect(lambda why: self._show_autosave(why))
        self.autosave.works.connect(lambda: self._show_autosave(""))
        self.words.changed.connect(self._retranslate)

    # -- state between two sessions --------------------------------------------------------------------------------
    def _restore_state(self) -> None:
        s = self.settings

        def kept(name: str, default: Any) -> Any:
            try:
                return s.value(name, default, type=type(default))
            except TypeError:  # the file was edited by hand
                return default

        self.set_theme(str(s.value("theme", "system")), remember=False)
        self.set_language(str(s.value("language", "system")), remember=False)
        for action in self.actions.devices.actions():
            action.setChecked(action.data() == self.engine.device)
        stored = type(self.document.settings).from_json(str(s.value("face", "")))
        if stored is not None:
            stored.borrowed = {}  # a part of a face that is not here any more
            self.document.settings = stored
            self.controls.show_settings(stored)
        self.controls.real_time.setChecked(kept("real_time", True))
        self.controls.advanced.setChecked(kept("advanced", False))
        self.actions["guide"].setChecked(kept("guide", True))
        self.empty_page.switch(self.actions["guide"].isChecked())
        self.actions["mirror"].setChecked(kept("mirror", False))
        self.controls.pencil.setValue(kept("pencil", 100))
        for tool in ("eraser", "brush"):
            self.canvas.tool = tool
            self.canvas.set_size(kept(f"size/{tool}", self.canvas.sizes[tool]))
        self.set_tool("brush")
        if not self.restoreGeometry(kept("geometry", QByteArray())):
            room = self.screen().availableGeometry() if hasattr(self, "screen") else None
            wanted = self.sizeHint()  # page and face at their own size
            self.resize(wanted.boundedTo(QSize(room.width() - 40, room.height() - 60)) if room else wanted)
        self._retranslate()
        self._show_recent()
        self._show_able()

    def _keep_state(self) -> None:
        s = self.settings
        s.setValue("geometry", self.saveGeometry())
        s.setValue("face", self.controls.settings().to_json())
        s.setValue("real_time", self.controls.real_time.isChecked())
        s.setValue("mirror", self.canvas.mirror)
        s.setValue("advanced", self.controls.advanced.isChecked())
        s.setValue("pencil", self.controls.pencil.value())
        s.setValue("guide", self.actions["guide"].isChecked())
        for tool, size in self.canvas.sizes.items():
            s.setValue(f"size/{tool}", size)
        s.sync()

    def closeEvent(self, event) -> None:
        if not self.filing.may_discard():
            event.ignore()
            return
        self._keep_state()
        self.filing.background.wait()
        self.live.keep()
        self.album.close()
        self.autosave.close()
        self.recovery_bar.release()
        self.engine.stop()
        self.words.release()
        for dialog in self.findChildren(Series):
            dialog.close()
        event.accept()

    # -- tools -----------------------------------------------------------------------------------------------------
    def set_tool(self, tool: str) -> None:
        self.canvas.set_tool(tool)
        self.actions[tool].setChecked(True)
        self.actions.show_size(*self.canvas.size_range, self.canvas.sizes.get(tool, 0))

    def set_size(self, size: int) -> None:
        self.canvas.set_size(size)
        self.actions.show_size(*self.canvas.size_range, self.canvas.sizes.get(self.canvas.tool, 0))

    def change_size(self, by: int) -> None:
        size = self.canvas.sizes.get(self.canvas.tool, 0)
        self.set_size(size + by * max(1, size // 8))

    def _select_all(self) -> None:
        self.set_tool("select")
        self.canvas.selection.choose(list(self.canvas.selection.found))

    def _set_mirror(self, on: bool) -> None:
        self.canvas.mirror = on
        self.canvas.update()

    # -- pictures from elsewhere -----------------------------------------------------------------------------------
    def _take_as_it_is(self, opened) -> None:
        """The picture that was just read, without any correction, as one step of undo."""
        self.document.replace(opened.reading.raw, text="as it is")
        self.reading_bar.release()

    def _selected(self) -> None:
        count = len(self.canvas.selection.chosen)
        said = tr("selection.count", n=count) if count else ""
        if self.canvas.tool == "select":
            self.say(said)
        self.canvas.setAccessibleDescription(said or tr("empty.sentence"))
        self._show_able()

    def _loaded(self) -> None:
        if self.reading_bar.trace.isChecked():  # it belonged to the drawing before
            self.set_reference(None)
        self.reading_bar.release()

    def _trace(self, on: bool) -> None:
        """The photograph that was opened under an empty page."""
        if on:
            self.document.clear()
        opened: Any = self.reading_bar.opened
        self.set_reference(opened.photograph if on else None)
        self.reading_bar.trace.setChecked(on)

    def _ask_reference(self) -> None:
        self.actions["reference"].setChecked(self.canvas.underlay is not None)
        if self.canvas.underlay is not None:
            self.set_reference(None)
        else:
            self.filing.ask_reference(self.set_reference)

    def set_reference(self, picture) -> None:
        """A picture, (H, W, 3) uint8, under the page to trace; None takes it away."""
        self.canvas.set_underlay(picture)
        self.controls.show_reference(picture is not None)
        self.actions["reference"].setChecked(picture is not None)
        self.reading_bar.trace.setChecked(False)

    # -- faces -----------------------------------------------------------------------------------------------------
    def _face_shown(self, result) -> None:
        if result.ms:
            self._times = (result.shadow_ms, result.ms)
        self._show_status()
        self._show_able()

    # -- the engine ------------------------------------------------------------------------------------------------
    def _engine_ready(self) -> None:
        self.settings.setValue("params", self.engine.params)
        if self._trouble is not None:
            self._trouble.close()
        self._show_status()

    def _engine_failed(self, weights: bool, message: str, details: str) -> None:
        if self._trouble is not None:
            self._trouble.close()
        other = bundled() and Path(bundled()) != Path(self.engine.params).absolute()
        self._trouble = trouble = EngineTrouble(weights, message, f"{message}\n{details}", bool(other), self)
        trouble.bundled_wanted.connect(lambda: self.engine.use(params=bundled()))
        trouble.folder_wanted.connect(self.choose_folder)
        trouble.retry_wanted.connect(self.engine.retry)
        trouble.show()

    def choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("folder.title"), self.engine.params)
        if folder:
            self.engine.use(params=folder)

    def set_device(self, device: str) -> None:
        self.settings.setValue("device", device)
        self.engine.use(device=device)

    # -- recovery --------------------------------------------------------------------------------------------------
    def offer_recovery(self, found) -> None:
        """Show the bar for drawings that dead windows left."""
        self.recovery_bar.offer(found)

    def _recover(self, leftover) -> None:
        if not self.filing.may_discard():
            self.recovery_bar.offer([leftover])
            return
        try:
            opened = leftover.open()
        except UserError as problem:
            self.filing.warn(tr("recovery.cannot"), str(problem))
            leftover.release()
            return
        self.document.load(None if opened.items else opened.pixels, opened.settings, unsaved=True,
                           strokes=opened.items)
        self.autosave.bring_back(leftover)
        self.say(tr("recovery.back"), NOTICE)

    # -- what is said ----------------------------------------------------------------------------------------------
    def say(self, text: str, ms: int = 4000) -> None:
        self.statusBar().showMessage(text, 0 if text.endswith("…") else ms)  # what is under way stays until it is done

    def _show_autosave(self, why: str) -> None:
        """Above the drawing, where one looks, for as long as it is so."""
        self.squares.captions[0].setVisible(not why)
        self.squares.bad.setText(tr("autosave.bad") if why else "")
        self.squares.bad.setToolTip(tr("autosave.cannot", why=why) if why else "")

    def _show_status(self) -> None:
        info, state = self.engine.info, self.engine.state
        words = {engine_module.STARTING: tr("status.starting"), engine_module.WAITING: tr("status.waiting"),
                 engine_module.FAILED: tr("status.none"), engine_module.STOPPED: tr("status.none")}
        device = {"cpu": "CPU", "cuda": "CUDA"}.get(info.get("device", ""), info.get("device", ""))
        self.device_label.setText(tr("step.lock") if self.engine.is_held_up else words.get(state, device))
        name = Path(self.engine.params)
        self.weights_label.setText("/".join(name.parts[-2:]))
        self.weights_label.setToolTip(tr("status.weights.tip") + "\n" + str(name))
        shadow, face = self._times
        self.time_label.setText(tr("status.times", a=shadow, b=face) if face else "")

    def _show_captions(self) -> None:
        zoom = f"   {self.canvas.zoom:.0%}" if self.canvas.zoom > 1 else ""
        self.squares.captions[0].setText(tr("caption.drawing") + zoom)
        self.squares.captions[1].setText(tr("caption.face"))

    def _show_title(self) -> None:
        name = Path(self.document.path).name if self.document.path else tr("untitled")
        self.setWindowTitle(f"{name}[*] – DeepFaceDrawing")

    def _show_able(self) -> None:
        blank, face = self.document.is_blank(), self.live.result is not None
        allow = self.actions.allow
        allow(face, "why.no_face", "save_face", "quick", "export", "copy")
        allow(self.filing.can_step(1), "why.list", "next")
        allow(self.filing.can_step(-1), "why.list", "previous")
        allow(not blank, "why.empty", "clear", "sweep", "select_all")
        allow(bool(self.canvas.selection.chosen), "why.selection", "delete")
        allow(len(self.history.entries) + (face and not self.live.is_kept) >= 2, "morph.two", "morph")
        self.history_hint.setVisible(not self.history.count())

    def _show_recent(self) -> None:
        self.actions.show_recent(self.filing.recent(), self.filing.open, self.filing.forget_all)

    def _retranslate(self) -> None:
        self._fit_panel()
        self.actions.fit_bar(self.width())
        self._show_title()
        self._show_status()
        self._show_captions()
        self._show_recent()
        self.live.show_state()

    def _fit_panel(self) -> None:
        """As wide as its words are, in this language and font, with room for a scroll bar."""
        width = max(270, self.controls.minimumSizeHint().width()) + 16
        narrow = self.width() < 800
        self.side.setFixedWidth(self.controls.minimumSizeHint().width() + 12 if narrow else width)

    def set_theme(self, name: str, remember: bool = True) -> None:
        name = name if name in theme.THEMES else "system"
        theme.apply(name)
        _check(self.actions.themes, name)
        if remember:
            self.settings.setValue("theme", name)

    def set_language(self, name: str, remember: bool = True) -> None:
        self.words.use(Words.system() if name == "system" else name)
        _check(self.actions.languages, name)
        if remember:
            self.settings.setValue("language", name)

    def show_keys(self) -> None:
        KeySheet(self.actions.sheet(), self).show()

    def show_about(self) -> None:
        QMessageBox.about(self, tr("about.title"), tr(
            "about", version=__version__))

    def resizeEvent(self, event) -> None:
        self.actions.fit_bar(self.width(), anew=False)
        self._fit_panel()
        super().resizeEvent(event)

    def showEvent(self, event) -> None:
        super().showEvent(event)
        if not self._shown:
            self._shown = True
            QTimer.singleShot(0, self.album.load)
        self._fit_panel()  # only now are fonts and margins those that are seen
        self.actions.fit_bar(self.width())


def _check(group, value) -> None:
    for action in group.actions():
        action.setChecked(action.data() == value)
