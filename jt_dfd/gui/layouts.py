"""Rows and columns of widgets."""
from __future__ import annotations

from typing import Any, Optional, Tuple

from PyQt5.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget


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
