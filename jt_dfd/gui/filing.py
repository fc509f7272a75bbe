"""Files of the window: open, save, export, recent files, clipboard, and the question about unsaved changes."""
from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, List, Optional

import numpy as np
from PyQt5.QtCore import QEvent, QObject, QSettings, QStandardPaths, Qt, QTimer, pyqtSignal
from PyQt5.QtGui import QImage
from PyQt5.QtWidgets import QApplication, QFileDialog, QLabel, QMessageBox, QWidget

from .. import pictures
from . import files
from .background import Background
from .document import Document
from .history import Entry
from .live import Live
from .strokes import to_image
from .words import plain, tr

RECENT = 10


class Filing(QObject):
    """recent_changed
    list_changed      other files can be stepped to, or none
    said(str)         a line for the status bar
    read(Opened)      a picture was opened or pasted: what was done to it is to be shown
    """

    recent_changed = pyqtSignal()
    list_changed = pyqtSignal()
    said = pyqtSignal(str)
    read = pyqtSignal(object)

    def __init__(self, document: Document, live: Live, settings: QSettings, window: QWidget):
        super().__init__(window)
        self.document, self.live, self._settings, self._window = document, live, settings, window
        self.background = Background(self)
        self._list: List[str] = []  # opened together, to step through
        self._place = 0

    # -- opening ---------------------------------------------------------------------------------------------------
    def new(self) -> None:
        if self.may_discard():
            self.document.load(None)

    def ask_and_open(self) -> None:
        patterns = " ".join(f"*{suffix}" for suffix in (*pictures.SUFFIXES, ".svg"))
        path, _ = QFileDialog.getOpenFileName(self._window, tr("open.title"), self._folder(),
                                              tr("open.pictures") + f" ({patterns});;" + tr("open.all") + " (*)")
        if path:
            self.open(path)

    def open(self, path: str) -> bool:
        """Open any picture as a new drawing, after asking about unsaved changes; False where that was refused.  Read
        on a thread: large photographs take a while."""
        if not self.may_discard():
            return False
        path = os.path.abspath(path)
        self.said.emit(tr("open.opening", name=os.path.basename(path)))
        before = self.document.revision

        svg, as_is = path.lower().endswith(".svg"), self.as_is

        def done(found) -> None:
            if self.document.revision != before and not self.may_discard():  # drawn while it was read
                self.said.emit("")
            elif svg:
                self._strokes_opened(path, *found)
            else:
                self._opened(found)

        self.background.run(lambda: files.load_svg(path) if svg else files.open_picture(path, as_is), done,
                            lambda problem: self._open_failed(path, problem))
        return True

    def open_list(self, paths: List[str]) -> None:
        """Open the first of several files; the others are a step away."""
        if self.open(paths[0]):
            self._list, self._place = list(paths), 0
            self.list_changed.emit()

    def can_step(self, by: int) -> bool:
        return 0 <= self._place + by < len(self._list)

    def step(self, by: int) -> None:
        """The next or the previous of the files that were opened together."""
        if self.can_step(by) and self.open(self._list[self._place + by]):
            self._place += by
            self.list_changed.emit()
            self.said.emit(tr("list.at", name=os.path.basename(self._list[self._place]), n=self._place + 1,
                              total=len(self._list)))

    def ask_reference(self, done) -> None:
        """``done((H, W, 3) uint8)`` with a picture that a person chooses."""
        patterns = " ".join(f"*{suffix}" for suffix in pictures.SUFFIXES)
        path, _ = QFileDialog.getOpenFileName(self._window, plain(tr("action.reference")), self._folder(),
                                              tr("open.pictures") + f" ({patterns});;" + tr("open.all") + " (*)")
        if path:
            self.background.run(lambda: files.read_reference(path), done,
                                lambda problem: self.warn(tr("open.cannot"), str(problem)))

    def _opened(self, opened: files.Opened) -> None:
        self.live.photograph = opened.photograph is not None
        self.document.load(None if opened.items else opened.pixels, opened.settings,
                           opened.path if opened.ours else "", strokes=opened.items)
        self.read.emit(opened)
        self.remember(opened.path)
        self.said.emit(tr("open.opened", name=os.path.basename(opened.path)))

    def _strokes_opened(self, path: str, items, settings) -> None:
        self.document.load(None, settings, path, strokes=items)
        self.remember(path)
        self.said.emit(tr("open.opened", name=os.path.basename(path)))

    def open_example(self, path) -> None:
        """A drawing that comes with the window; it belongs to no file."""
        if self.may_discard():
            items, settings = files.load_svg(path)
            self.document.load(None, settings, strokes=items)

    def _open_failed(self, path: str, problem: Exception) -> None:
        self._forget(path)
        self.said.emit("")
        self.warn(tr("open.cannot"), str(problem))

    def place(self, image: QImage) -> None:
        """A picture from the clipboard or another program onto the page, as one step of undo."""
        image = image.convertToFormat(QImage.Format_RGBA8888)
        w, h = image.width(), image.height()
        if w * h == 0 or w * h > pictures.MAX_PIXELS:
            self.said.emit(tr("paste.none"))
            return
        bits = image.constBits()
        bits.setsize(image.byteCount())
        array = np.frombuffer(bits, np.uint8).reshape(h, image.bytesPerLine() // 4, 4)[:, :w].copy()
        as_is = self.as_is
        self.background.run(lambda: files.read_array(array, as_is), self._placed,
                            lambda problem: self.warn(tr("place.cannot"), str(problem)))

    def _placed(self, opened: files.Opened) -> None:
        self.live.photograph = opened.photograph is not None
        self.document.replace(opened.pixels, text="paste")
        self.read.emit(opened)

    def sketch_photograph(self, photograph: np.ndarray, style: str) -> None:
        """The face of a photograph as a sketch of a style onto the page, drawn by the data tools in a process of their
        own: the edge network runs under Jittor, which this process never imports."""
        self.said.emit(tr("photo.looking"))

        def failed(problem):
            self.said.emit("")
            self.warn(tr("photo.cannot"), str(problem))

        def done(pixels):
            self.document.replace(pixels, text="sketch")
            self.said.emit(tr("photo.done"))

        self.background.run(lambda: files.sketch_of(photograph, style), done, failed)

    @property
    def as_is(self) -> bool:
        """Are pictures taken as they are, without correction?"""
        return self._settings.value("as_is", False, type=bool)

    @as_is.setter
    def as_is(self, on: bool) -> None:
        self._settings.setValue("as_is", on)

    def paste(self) -> None:
        data = QApplication.clipboard().mimeData()
        paths = local_files(data)
        if paths:
            self.open_list(paths)
        elif data is not None and data.hasImage():
            self.place(QImage(data.imageData()))
        else:
            self.said.emit(tr("paste.none"))

    # -- saving ----------------------------------------------------------------------------------------------------
    def save(self) -> bool:
        """Save where it was saved before; the first time, ask.  False where nothing was saved."""
        return self.save_to(self.document.path) if self.document.path else self.save_as()

    def save_as(self) -> bool:
        path = self._ask_path(tr("save.title"), self.document.path or "drawing.png", strokes=True)
        return bool(path) and self.save_to(path)

    def save_to(self, path: str) -> bool:
        try:
            if path.lower().endswith(".svg"):
                files.save_svg(path, self.document.items, self.document.settings)
            else:
                files.save_drawing(path, self.document.pixels(), self.document.settings, self.document.items)
        except OSError as problem:
            self.warn(tr("save.cannot"), _where(path, problem))
            return False
        self.document.saved(path)
        self.remember(path)
        self.said.emit(tr("save.saved", name=os.path.basename(path)))
        return True

    def save_face(self, result: Any = None, both: bool = False) -> None:
        """The face of a result or of a history entry, None: the shown one, with the drawing and settings that made it;
        ``both``: beside its drawing."""
        result = result or self.live.result
        if result is None:
            return
        title, word = ("export.title", "both") if both else ("save.face.title", "face")
        path = self._ask_path(tr(title), self._beside(word))
        if not path:
            return
        kept = isinstance(result, Entry)
        sketch, items = (result.drawing, result.items) if kept else (result.sketch, result.tag[2])
        picture = files.side_by_side(sketch, result.face) if both else result.face
        try:
            files.save_face(path, picture, sketch, result.settings, "side by side" if both else "face", items)
        except OSError as problem:
            self.warn(tr("save.picture.cannot"), _where(path, problem))
            return
        self.remember(path)
        self.said.emit(tr("save.saved", name=os.path.basename(path)))

    def quick_save(self) -> None:
        """Drawing, strokes and face into a new folder named by the time, beside the last such one, without a question.
        The drawing stays the file it was."""
        if self.live.result is None:
            return
        place = str(self._settings.value("quick_folder", "") or Path(
            QStandardPaths.writableLocation(QStandardPaths.PicturesLocation) or Path.home()) / "DeepFaceDrawing")
        stem = time.strftime("%Y-%m-%d %H.%M.%S")
        folder = next(f for f in (Path(place) / (stem + end) for end in ("", *(f" ({n})" for n in range(2, 1000))))
                      if not f.exists())
        result = self.live.result
        items = result.tag[2]

        def work():
            files.save_drawing(folder / "drawing.png", result.sketch, result.settings, items)
            files.save_svg(folder / "drawing.svg", items, result.settings)
            files.save_face(folder / "face.png", result.face, result.sketch, result.settings, items=items)

        self.background.run(work, lambda nothing: self.said.emit(tr("save.saved", name=str(folder))),
                            lambda problem: self.warn(tr("save.picture.cannot"), str(problem)))

    def copy_face(self) -> None:
        if self.live.result is not None:
            QApplication.clipboard().setImage(to_image(self.live.result.face))
            self.said.emit(tr("copy.done"))

    # -- questions -------------------------------------------------------------------------------------------------
    def may_discard(self) -> bool:
        """Ask about unsaved changes, if any; True where one may go on."""
        if not self.document.modified or (self.document.is_blank() and not self.document.path):
            return True
        answer = ask_unsaved(self._window)
        if answer == QMessageBox.Save:
            return self.save()
        return answer == QMessageBox.Discard

    def warn(self, text: str, details: str = "") -> None:
        box = QMessageBox(QMessageBox.Warning, "DeepFaceDrawing", text, QMessageBox.Ok, self._window)
        box.setInformativeText(details)
        box.setModal(True)
        box.open()

    # -- recent files ----------------------------------------------------------------------------------------------
    def recent(self) -> List[str]:
        value = self._settings.value("recent", [])
        value = [value] if isinstance(value, str) else list(value or [])
        return [str(path) for path in value if path][:RECENT]

    def remember(self, path: str) -> None:
        path = os.path.abspath(path)
        self._settings.setValue("recent", [path] + [p for p in self.recent() if p != path][:RECENT - 1])
        self._settings.setValue("folder", os.path.dirname(path))
        self.recent_changed.emit()

    def _forget(self, path: str) -> None:
        self._settings.setValue("recent", [p for p in self.recent() if p != path])
        self.recent_changed.emit()

    def forget_all(self) -> None:
        self._settings.setValue("recent", [])
        self.recent_changed.emit()

    def _folder(self) -> str:
        return str(self._settings.value("folder", "") or Path.home())

    def _beside(self, word: str) -> str:
        stem = Path(self.document.path).stem if self.document.path else "drawing"
        return f"{stem}_{word}.png"

    def _ask_path(self, title: str, name: str, strokes: bool = False) -> Optional[str]:
        start = name if os.path.isabs(name) else os.path.join(self._folder(), name)
        kinds = "PNG (*.png)" + (";;" + tr("save.strokes") + " (*.svg)" if strokes else "")
        path, kind = QFileDialog.getSaveFileName(self._window, title, start, kinds)
        if path and not path.lower().endswith((".png", ".svg") if strokes else ".png"):
            path += ".svg" if "*.svg" in kind else ".png"
            if os.path.exists(path):  # the dialog asked about another name
                answer = QMessageBox.question(self._window, title, tr("replace.question",
                                                                      name=os.path.basename(path)))
                if answer != QMessageBox.Yes:
                    return None
        if path and not os.path.isdir(os.path.dirname(os.path.abspath(path))):
            self.warn(tr("save.cannot.folder"), path)  # mistyped: make no folders
            return None
        return path or None


def ask_unsaved(window: QWidget) -> int:
    """QMessageBox.Save, Discard or Cancel; each button has a letter to press with Alt."""
    box = QMessageBox(QMessageBox.Question, tr("unsaved.title"), tr("unsaved.question"), parent=window)
    for button, code in ((QMessageBox.Save, "unsaved.save"), (QMessageBox.Discard, "unsaved.discard"),
                         (QMessageBox.Cancel, "unsaved.cancel")):
        box.addButton(button).setText(tr(code))
    box.setDefaultButton(QMessageBox.Save)
    box.setEscapeButton(QMessageBox.Cancel)
    return box.exec_()


def local_files(data) -> List[str]:
    """The local files that a drop or the clipboard names."""
    if data is None or not data.hasUrls():
        return []
    return [url.toLocalFile() for url in data.urls() if url.isLocalFile()]


def _where(path: str, problem: OSError) -> str:
    return f"{path}: {problem.strerror or problem}"


class Drops(QObject):
    """Takes drops for a window; the page shows, while something is over it, that it may be let go."""

    def __init__(self, window: QWidget, filing: Filing, page: QWidget):
        super().__init__(window)
        self._filing, self._page = filing, page
        self.mark = QLabel(page, objectName="drop", alignment=Qt.AlignCenter, wordWrap=True)
        self.mark.setAttribute(Qt.WA_TransparentForMouseEvents)
        self.mark.hide()
        window.setAcceptDrops(True)
        window.installEventFilter(self)

    def eventFilter(self, window, event) -> bool:
        if event.type() == QEvent.DragEnter:
            data = event.mimeData()
            if data.hasUrls() or data.hasImage():
                event.acceptProposedAction()
                count = len(local_files(data))
                self.mark.setText(tr("drop.many", n=count) if count > 1 else tr("drop.one"))
                self.mark.setGeometry(self._page.rect())
                self.mark.raise_()
                self.mark.show()
            return True
        if event.type() == QEvent.DragLeave:
            self.mark.hide()
            return True
        if event.type() == QEvent.Drop:
            self.mark.hide()
            self._take(event)
            return True
        return False

    def _take(self, event) -> None:
        data, paths = event.mimeData(), local_files(event.mimeData())
        event.acceptProposedAction()
        # after the drop is over: a question in the middle of it would block the other program
        if paths:
            QTimer.singleShot(0, lambda: self._filing.open_list(paths))
        elif data.hasImage():
            image = data.imageData()
            QTimer.singleShot(0, lambda: self._filing.place(image))
        else:  # a browser's link: the picture itself is on the other side of the network
            QTimer.singleShot(0, lambda: self._filing.said.emit(tr("drop.link")))
