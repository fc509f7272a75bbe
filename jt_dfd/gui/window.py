"""The main window: puts the parts together and remembers how it was left."""
from __future__ import annotations

import random
from pathlib import Path
from typing import Optional

from PyQt5.QtCore import QSettings, QSize, Qt, QTimer
from PyQt5.QtWidgets import (QFileDialog, QFrame, QHBoxLayout, QLabel, QMainWindow, QMenu, QMessageBox, QScrollArea,
                             QVBoxLayout, QWidget)

from .. import __version__
from ..errors import UserError
from . import engine as engine_module
from . import theme
from .actions import Actions
from .canvas import Canvas
from .controls import LONG_LABELS, Controls
from .document import Document
from .engine import Engine
from .faceview import FaceView
from .filing import Filing, local_files
from .history import HistoryStrip
from .live import Live
from .messages import EngineTrouble, KeySheet
from .recovery import Autosave
from .readingbar import ReadingBar
from .recoverybar import RecoveryBar
from .series import Morph, Series, Sweep
from .stage import Stage
from .words import Words, mark, tr

_NOTICE_MS = 8000


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
        self.history = HistoryStrip()
        self.live = Live(self.document, engine, self.canvas, self.face, self.controls, self.history, self)
        self.filing = Filing(self.document, self.live, self.settings, self)
        self.actions = Actions(self, self.words)
        self.autosave = Autosave(self.document, recovery, self)
        self.recovery_bar = RecoveryBar(self.words)
        self.reading_bar = ReadingBar(self.words)
        self._trouble: Optional[EngineTrouble] = None
        self._times = (0.0, 0.0)
        self._sample, self._sample_for = 0, 0  # the job, and the drawing's revision when it was asked for
        self._build()
        self._connect()
        self._restore_state()
        self.setAcceptDrops(True)
        self.canvas.setFocus()

    # -- building --------------------------------------------------------------------------------------------------
    def _build(self) -> None:
        self.stage = Stage(self.canvas, self.face)
        self.side = side = QScrollArea()  # on a low screen the panel scrolls rather than make the window higher
        side.setWidget(self.controls)
        side.setWidgetResizable(True)
        side.setFrameShape(QFrame.NoFrame)
        side.setHorizontalScrollBarPolicy(Qt.ScrollBarAlwaysOff)
        middle = QHBoxLayout()
        middle.setContentsMargins(0, 0, 0, 0)
        middle.setSpacing(0)
        middle.addWidget(self.stage, 1)
        middle.addWidget(side)
        self.history_hint = QLabel()
        self.history_hint.setObjectName("quiet")
        self.history_hint.setAlignment(Qt.AlignCenter)
        self.history_hint.setWordWrap(True)
        self.words.bind(self.history_hint.setText, mark(
            "Faces you made appear here: double click to go back, right click for more"))
        strip = QHBoxLayout()
        strip.setContentsMargins(14, 2, 14, 4)
        strip.addWidget(self.history)
        hint = QHBoxLayout(self.history)
        hint.addWidget(self.history_hint)
        self.history_hint.setAttribute(Qt.WA_TransparentForMouseEvents)
        central = QWidget()
        rows = QVBoxLayout(central)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(0)
        rows.addWidget(self.recovery_bar)
        rows.addLayout(middle, 1)
        rows.addWidget(self.reading_bar)
        rows.addLayout(strip)
        self.setCentralWidget(central)
        self.device_label, self.weights_label, self.time_label = QLabel(), QLabel(), QLabel()
        for label in (self.device_label, self.weights_label, self.time_label):
            label.setContentsMargins(8, 0, 8, 0)
            self.statusBar().addPermanentWidget(label)
        for label, tip in ((self.device_label, mark("Where faces are computed")),
                           (self.weights_label, mark("The weights in use")),
                           (self.time_label, mark("Time of the last shadow and face"))):
            self.words.bind(label.setToolTip, tip)

    def _connect(self) -> None:
        a, document, filing = self.actions, self.document, self.filing
        for name, call in {
                "new": filing.new, "open": filing.ask_and_open, "save": filing.save, "save_as": filing.save_as,
                "save_face": filing.save_face_as, "export": filing.export_both, "save_both": filing.save_both,
                "quit": self.close,
                "undo": document.stack.undo, "redo": document.stack.redo, "clear": document.clear,
                "copy": filing.copy_face, "paste": filing.paste,
                "brush": lambda: self.set_tool("brush"), "eraser": lambda: self.set_tool("eraser"),
                "smaller": lambda: self.change_size(-1), "larger": lambda: self.change_size(1),
                "zoom_in": lambda: self.canvas.set_zoom(self.canvas.zoom * 1.25),
                "zoom_out": lambda: self.canvas.set_zoom(self.canvas.zoom / 1.25), "fit": self.canvas.fit,
                "convert": self.live.convert, "random": self.random_face, "sweep": self.sweep, "morph": self.morph,
                "folder": self.choose_folder, "restart": self.engine.retry, "keys": self.show_keys,
                "about": self.show_about}.items():
            a[name].triggered.connect(lambda checked, call=call: call())
        a["mirror"].toggled.connect(self._set_mirror)
        a["full"].toggled.connect(lambda on: self.showFullScreen() if on else self.showNormal())
        for name, box in (("shadow", self.controls.shadow), ("real_time", self.controls.real_time)):
            a[name].setChecked(box.isChecked())
            a[name].toggled.connect(box.setChecked)
            box.toggled.connect(a[name].setChecked)
        for able, name in ((document.stack.canUndoChanged, "undo"), (document.stack.canRedoChanged, "redo")):
            a[name].setEnabled(False)
            able.connect(a[name].setEnabled)
        a.size.valueChanged.connect(self.set_size)
        a.themes.triggered.connect(lambda action: self.set_theme(action.data()))
        a.languages.triggered.connect(lambda action: self.set_language(action.data()))
        a.devices.triggered.connect(lambda action: self.set_device(action.data()))
        filing.recent_changed.connect(self._show_recent)
        filing.said.connect(self.say)
        filing.read.connect(self.reading_bar.show_reading)
        document.loaded.connect(self.reading_bar.release)
        self.reading_bar.as_is_wanted.connect(self._take_as_it_is)
        self.reading_bar.sketch_wanted.connect(lambda opened, style: self.filing.sketch_photograph(opened.photograph, style))
        self.reading_bar.trace_wanted.connect(self._trace)
        a["as_is"].setChecked(filing.as_is)
        a["as_is"].toggled.connect(lambda on: setattr(filing, "as_is", on))
        document.path_changed.connect(lambda path: self._show_title())
        document.modified_changed.connect(self.setWindowModified)
        document.changed.connect(self._show_able)
        self.live.face_shown.connect(self._face_shown)
        self.live.face_gone.connect(self._show_able)
        self.live.stale_changed.connect(lambda stale: self._show_captions())
        self.controls.real_time_changed.connect(lambda on: self._show_captions())
        self.canvas.zoom_changed.connect(lambda zoom: self._show_captions())
        self.history.restore_wanted.connect(self.live.restore)
        self.history.menu_wanted.connect(self._history_menu)
        self.history.model().rowsInserted.connect(lambda *rows: self._show_able())
        self.history.model().rowsRemoved.connect(lambda *rows: self._show_able())
        self.face.menu_wanted.connect(self._face_menu)
        self.engine.state_changed.connect(lambda state: self._show_status())
        self.engine.ready.connect(lambda info: self._engine_ready())
        self.engine.notice.connect(lambda text, details: self.say(tr(text), _NOTICE_MS))
        self.engine.failed.connect(self._engine_failed)
        self.engine.job_done.connect(self._job_done)
        self.recovery_bar.chosen.connect(self._recover)
        self.autosave.failed.connect(lambda why: self.say(tr("Autosave does not work: {why}", why=why), _NOTICE_MS))
        self.words.changed.connect(self._retranslate)

    # -- state between two sessions --------------------------------------------------------------------------------
    def _restore_state(self) -> None:
        s = self.settings
        self.set_theme(str(s.value("theme", "system")), remember=False)
        self.set_language(str(s.value("language", "system")), remember=False)
        for action in self.actions.devices.actions():
            action.setChecked(action.data() == self.engine.device)
        stored = type(self.document.settings).from_json(str(s.value("face", "")))
        if stored is not None:
            stored.borrowed = {}  # a part of a face that is not here any more
            self.document.settings = stored
            self.controls.show_settings(stored)
        self.controls.real_time.setChecked(s.value("real_time", True, type=bool))
        self.actions["mirror"].setChecked(s.value("mirror", False, type=bool))
        for tool in ("eraser", "brush"):
            self.canvas.tool = tool
            self.canvas.set_size(s.value(f"size/{tool}", self.canvas.sizes[tool], type=int))
        self.set_tool("brush")
        geometry = s.value("geometry")
        if geometry is None or not self.restoreGeometry(geometry):
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
        for tool, size in self.canvas.sizes.items():
            s.setValue(f"size/{tool}", size)
        s.sync()

    def closeEvent(self, event) -> None:
        if not self.filing.may_discard():
            event.ignore()
            return
        self._keep_state()
        self.filing.background.wait()
        self.autosave.close()
        self.recovery_bar.release()
        self.engine.stop()
        self.words.release()
        for dialog in self.findChildren(Series):
            dialog.close()
        event.accept()

    # -- tools -----------------------------------------------------------------------------------------------------
    def set_tool(self, tool: str) -> None:
        self.canvas.tool = tool
        self.actions[tool].setChecked(True)
        self.actions.show_size(*self.canvas.size_range, self.canvas.sizes[tool])
        self.canvas.update()

    def set_size(self, size: int) -> None:
        self.canvas.set_size(size)
        self.actions.show_size(*self.canvas.size_range, self.canvas.sizes[self.canvas.tool])

    def change_size(self, by: int) -> None:
        size = self.canvas.sizes[self.canvas.tool]
        self.set_size(size + by * max(1, size // 8))

    def _set_mirror(self, on: bool) -> None:
        self.canvas.mirror = on
        self.canvas.update()

    # -- pictures from elsewhere -----------------------------------------------------------------------------------
    def _take_as_it_is(self, opened) -> None:
        """The picture that was just read, without any correction, as one step of undo."""
        self.document.replace(opened.reading.raw, text="as it is")
        self.reading_bar.release()

    def _trace(self, opacity: int) -> None:
        opened = self.reading_bar.opened
        if opacity and opened is not None:
            if self.canvas.underlay is None:
                self.document.clear()
            self.canvas.set_underlay(opened.photograph, opacity / 100)
        else:
            self.canvas.set_underlay(None)

    # -- faces -----------------------------------------------------------------------------------------------------
    def _face_shown(self, result) -> None:
        if result.ms:
            self._times = (result.shadow_ms, result.ms)
        self._show_status()
        self._show_able()

    def random_face(self) -> None:
        if self._sample:
            self.engine.cancel(self._sample)
        self.say(tr("Looking for a face…"))
        self._sample_for = self.document.revision
        self._sample = self.engine.submit("sample", gender=self.controls.settings().gender,
                                          seed=random.randrange(2 ** 31))

    def _job_done(self, job: int, answer: dict) -> None:
        if job == self._sample:
            self._sample = 0
            if self.document.revision != self._sample_for:  # it may have waited for a compile of minutes
                self.say(tr("You have drawn meanwhile; the random face was left out."), _NOTICE_MS)
                return
            self.say("")
            self.live.keep()
            self.document.replace(answer["sketch"], text="random face")
            if not self.controls.real_time.isChecked():
                self.live.convert()

    def sweep(self) -> None:
        dialog = Sweep(self.engine, self.filing.background, self.document.pixels(), self.document.settings, self)
        dialog.chosen.connect(self.controls.sliders["all"].setValue)
        dialog.error.connect(lambda text: self.filing.warn(tr("The pictures could not be saved."), text))
        dialog.show()

    def morph(self) -> None:
        self.live.keep()
        entries = self.history.entries
        if len(entries) < 2:
            self.say(tr("Morphing takes two faces in the history."), _NOTICE_MS)
            return
        chosen = [entries.index(entry) for entry in self.history.selected()][:2]
        # older to newer, as they came
        second, first = (chosen + [n for n in (0, 1) if n not in chosen])[:2]
        dialog = Morph(self.engine, self.filing.background, entries, first, second, self)
        dialog.error.connect(lambda text: self.filing.warn(tr("The pictures could not be saved."), text))
        dialog.show()

    # -- menus by the right button ---------------------------------------------------------------------------------
    def history_menu(self, entries) -> QMenu:
        menu = QMenu(self)
        if len(entries) == 1:
            entry = entries[0]
            menu.addAction(tr("Back to this face")).triggered.connect(lambda c: self.live.restore(entry))
            part = menu.addMenu(tr("Use on the present face"))
            for name, label in LONG_LABELS.items():
                part.addAction(tr(label)).triggered.connect(
                    lambda c, name=name: self.controls.borrow(name, entry.vectors[name].copy()))
            menu.addAction(tr("Save face as…")).triggered.connect(lambda c: self._save_entry(entry))
        if len(entries) == 2:
            menu.addAction(tr("Morph between these")).triggered.connect(lambda c: self.morph())
        menu.addSeparator()
        menu.addAction(tr("Remove")).triggered.connect(lambda c: self.history.remove(entries))
        return menu

    def _history_menu(self, entries, position) -> None:
        self.history_menu(entries).popup(position)

    def _save_entry(self, entry) -> None:
        path = self.filing._ask_path(tr("Save the face"), "face.png")
        if path:
            self.filing.save_face_to(path, entry)

    def _face_menu(self, position) -> None:
        menu = QMenu(self)
        menu.addActions([self.actions[name] for name in ("copy", "save_face", "export")])
        menu.addSeparator()
        menu.addActions([self.actions[name] for name in ("sweep", "convert")])
        menu.popup(position)

    # -- the engine ------------------------------------------------------------------------------------------------
    def _engine_ready(self) -> None:
        self.settings.setValue("params", self.engine.params)
        if self._trouble is not None:
            self._trouble.close()
        self._show_status()

    def _engine_failed(self, weights: bool, message: str, details: str) -> None:
        if self._trouble is not None:
            self._trouble.close()
        self._trouble = trouble = EngineTrouble(weights, message, details, self)
        trouble.folder_wanted.connect(self.choose_folder)
        trouble.retry_wanted.connect(self.engine.retry)
        trouble.show()

    def choose_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Folder with the weights"), self.engine.params)
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
            self.filing.warn(tr("This drawing could not be recovered."), str(problem))
            leftover.release()
            return
        self.document.load(opened.pixels, opened.settings, unsaved=True)
        self.autosave.write()
        leftover.discard()
        self.say(tr("The drawing is back; it is not saved yet."), _NOTICE_MS)

    # -- what is said ----------------------------------------------------------------------------------------------
    def say(self, text: str, ms: int = 4000) -> None:
        self.statusBar().showMessage(text, ms)

    def _show_status(self) -> None:
        info, state = self.engine.info, self.engine.state
        words = {engine_module.STARTING: tr("engine starting"), engine_module.WAITING: tr("engine restarting"),
                 engine_module.FAILED: tr("no engine"), engine_module.STOPPED: tr("no engine")}
        device = {"cpu": "CPU", "cuda": "CUDA"}.get(info.get("device"), info.get("device", ""))
        self.device_label.setText(words.get(state, device))
        name = Path(self.engine.params)
        self.weights_label.setText("/".join(name.parts[-2:]))
        self.weights_label.setToolTip(tr("The weights in use") + "\n" + str(name))
        shadow, face = self._times
        self.time_label.setText(tr("shadow {a:.0f} ms, face {b:.0f} ms", a=shadow, b=face) if face else "")

    def _show_captions(self) -> None:
        zoom = f"   {self.canvas.zoom:.0%}" if self.canvas.zoom > 1 else ""
        self.stage.captions[0].setText(tr("Drawing") + zoom)
        self.stage.captions[1].setText(tr("Face (of an earlier drawing)") if self.live.stale and not
                                       self.controls.real_time.isChecked() else tr("Face"))

    def _show_title(self) -> None:
        name = Path(self.document.path).name if self.document.path else tr("untitled")
        self.setWindowTitle(f"{name}[*] – DeepFaceDrawing")

    def _show_able(self) -> None:
        blank, face = self.document.is_blank(), self.live.result is not None
        for name in ("save_face", "save_both", "export", "copy"):
            self.actions[name].setEnabled(face)
        self.actions["clear"].setEnabled(not blank)
        self.actions["sweep"].setEnabled(not blank)
        self.actions["morph"].setEnabled(self.history.count() + (face and not self.live.is_kept) >= 2)
        self.history_hint.setVisible(self.history.count() == 0)

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
        self.side.setFixedWidth(max(270, self.controls.minimumSizeHint().width()) + 16)

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
        KeySheet(self).show()

    def show_about(self) -> None:
        QMessageBox.about(self, tr("About"), tr(
            "<h3>DeepFaceDrawing in Jittor {version}</h3>A rough sketch of a face becomes a photograph of one."
            "<p>After Chen, Su, Gao, Xia and Fu, SIGGRAPH 2020.", version=__version__))

    def resizeEvent(self, event) -> None:
        self.actions.fit_bar(self.width())
        super().resizeEvent(event)

    # -- drag and drop ---------------------------------------------------------------------------------------------
    def dragEnterEvent(self, event) -> None:
        if local_files(event.mimeData()) or event.mimeData().hasImage():
            event.acceptProposedAction()

    def dropEvent(self, event) -> None:
        data, paths = event.mimeData(), local_files(event.mimeData())
        event.acceptProposedAction()
        # after the drop is over: a question in the middle of it would block the other program
        if paths:
            QTimer.singleShot(0, lambda: self.filing.open(paths[0]))
        elif data.hasImage():
            image = data.imageData()
            QTimer.singleShot(0, lambda: self.filing.place(image))


def _check(group, value) -> None:
    for action in group.actions():
        action.setChecked(action.data() == value)
