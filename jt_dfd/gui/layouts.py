"""Where widgets stand: rows and columns, and the two squares of drawing and face."""
from __future__ import annotations

from typing import Any, Optional, Tuple

from PyQt5.QtCore import QRect, QSize, Qt
from PyQt5.QtGui import QPainter
from PyQt5.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget


def row(*parts: Any, of: Optional[QWidget] = None, margins: Optional[Tuple[int, int, int, int]] = None,
        spacing: int = -1) -> QHBoxLayout:
    """Side by side: widgets, layouts, and numbers, which are empty room that stretches.  (part, number): one that
    stretches itself.

    of        whose layout it is to be
    margins   left, top, right, bottom; None: the style's, as with ``spacing`` below zero
    """
    return _filled(QHBoxLayout(of) if of is not None else QHBoxLayout(), parts, margins, spacing)


def column(*parts: Any, of: Optional[QWidget] = None, margins: Optional[Tuple[int, int, int, int]] = None,
           spacing: int = -1) -> QVBoxLayout:
    """The same, one below the other."""
    return _filled(QVBoxLayout(of) if of is not None else QVBoxLayout(), parts, margins, spacing)


def _filled(layout, parts, margins, spacing):
    if margins is not None:
        layout.setContentsMargins(*margins)
    if spacing >= 0:
        layout.setSpacing(spacing)
    for part in parts:
        part, stretch = part if isinstance(part, tuple) else (part, 0)
        if isinstance(part, int):
            layout.addStretch(part)
        elif isinstance(part, QWidget):
            layout.addWidget(part, stretch)
        else:
            layout.addLayout(part, stretch)
    return layout


_GAP, _CAPTION = 14, 26
#: edge below which a square is not made smaller, logical pixels
_MIN_SIDE = 150


class _Caption(QLabel):
    """A line that ends in dots where it does not fit."""

    def paintEvent(self, event) -> None:
        text = self.fontMetrics().elidedText(self.text(), Qt.ElideRight, self.width())
        QPainter(self).drawText(self.rect(), Qt.AlignLeft | Qt.AlignVCenter, text)


class Squares(QWidget):
    """Drawing and face side by side, or one above the other, as large as the room allows."""

    def __init__(self, left: QWidget, right: QWidget, parent=None):
        super().__init__(parent)
        self.views = (left, right)
        self.captions = (_Caption(self, objectName="caption"), _Caption(self, objectName="caption"))
        self.bad = _Caption(self, objectName="bad")  # what is wrong with the drawing, in its caption's place
        for view in self.views:
            view.setParent(self)
        self.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Expanding)

    def minimumSizeHint(self) -> QSize:
        return QSize(2 * _MIN_SIDE + 3 * _GAP, _MIN_SIDE + _CAPTION + 12)

    def sizeHint(self) -> QSize:
        return QSize(2 * 512 + 3 * _GAP, 512 + _CAPTION + _GAP)

    def resizeEvent(self, event) -> None:
        w, h = self.width(), self.height()
        beside = min((w - 3 * _GAP) // 2, h - _CAPTION - 12)
        above = min(w - 2 * _GAP, (h - 2 * _CAPTION - _GAP - 12) // 2)
        side = max(1, beside, above)
        if beside >= above:
            left, top = (w - 2 * side - _GAP) // 2, 8
            places = [(left, top), (left + side + _GAP, top)]
        else:
            left, top = (w - side) // 2, 8
            places = [(left, top), (left, top + side + _CAPTION + _GAP)]
        for (x, y), view, caption in zip(places, self.views, self.captions):
            caption.setGeometry(QRect(x, y, side, _CAPTION))
            view.setGeometry(QRect(x, y + _CAPTION, side, side))
        self.bad.setGeometry(self.captions[0].geometry())
