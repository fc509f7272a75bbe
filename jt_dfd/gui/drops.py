"""What is dragged onto the window: files, pictures out of other programs, links."""
from __future__ import annotations

from PyQt5.QtCore import QEvent, QObject, Qt, QTimer
from PyQt5.QtWidgets import QLabel, QWidget

from .filing import Filing, local_files
from .words import tr


class Drops(QObject):
    """Takes drops for a window; the page shows, while something is over it, that it may be let go."""

    def __init__(self, window: QWidget, filing: Filing, page: QWidget):
        super().__init__(window)
        self._filing, self._page = filing, page
        self.mark = QLabel(page)
        self.mark.setObjectName("drop")
        self.mark.setAlignment(Qt.AlignCenter)
        self.mark.setWordWrap(True)
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
