"""Light and dark palettes, the few rules of style that Qt's own look lacks, and the window's icons: drawn with lines in
the palette's colour, so that they are sharp on any screen and readable in light and dark."""
from __future__ import annotations

from pathlib import Path

from PyQt5.QtCore import QPointF, QRect, QRectF, QSize, QSizeF, Qt
from PyQt5.QtGui import QColor, QIcon, QIconEngine, QPainter, QPainterPath, QPalette, QPen, QPixmap, QPolygonF
from PyQt5.QtWidgets import QApplication, QStyleFactory

ACCENT = "#2f7de1"
_CHECK = (Path(__file__).parent / "check.png").as_posix()

_LIGHT = {"Window": "#f4f5f7", "WindowText": "#1d2127", "Base": "#ffffff", "AlternateBase": "#eceef1",
          "Text": "#1d2127", "Button": "#fbfbfc", "ButtonText": "#1d2127", "ToolTipBase": "#ffffff",
          "ToolTipText": "#1d2127", "Highlight": ACCENT, "HighlightedText": "#ffffff", "Link": "#1a5fb4",
          "Light": "#ffffff", "Midlight": "#e6e8ec", "Mid": "#c3c8d0", "Dark": "#9aa1ab", "Shadow": "#6b717a",
          "BrightText": "#c01c28", "PlaceholderText": "#6b727d", "Handle": "#ffffff", "Faint": "#8b919b"}
_DARK = {"Window": "#26282c", "WindowText": "#e8eaed", "Base": "#313439", "AlternateBase": "#2d3035",
         "Text": "#e8eaed", "Button": "#363a40", "ButtonText": "#e8eaed", "ToolTipBase": "#3a3e45",
         "ToolTipText": "#f1f2f4", "Highlight": "#3d8bef", "HighlightedText": "#ffffff", "Link": "#7db3f5",
         "Light": "#4b5058", "Midlight": "#41454c", "Mid": "#4a4f57", "Dark": "#17191b", "Shadow": "#0f1011",
         "BrightText": "#ff7b86", "PlaceholderText": "#a2a8b1", "Handle": "#d7dade", "Faint": "#838992"}

THEMES = ("system", "light", "dark")


def apply(name: str) -> None:
    """"light", "dark", or "system": as the desktop has it."""
    app = QApplication.instance()
    if app.style().objectName().lower() != "fusion":
        app.setStyle(QStyleFactory.create("Fusion"))
    if getattr(app, "_jt_dfd_system_palette", None) is None:
        app._jt_dfd_system_palette = QPalette(app.palette())
    if name == "system":
        name = "dark" if is_dark(app._jt_dfd_system_palette) else "light"
    colours = _DARK if name == "dark" else _LIGHT
    palette = QPalette()
    for role, colour in colours.items():
        if not hasattr(QPalette, role):
            continue  # only for the style sheet
        palette.setColor(getattr(QPalette, role), QColor(colour))
    for role in ("WindowText", "Text", "ButtonText"):
        palette.setColor(QPalette.Disabled, getattr(QPalette, role), QColor(colours["Faint"]))
    palette.setColor(QPalette.Disabled, QPalette.Highlight, QColor(colours["Mid"]))
    app.setPalette(palette)
    app.setStyleSheet(_sheet(colours))


def is_dark(palette: QPalette) -> bool:
    return palette.color(QPalette.Window).lightness() < 128


def _sheet(c: dict) -> str:
    return f"""
QToolTip {{ color: {c["ToolTipText"]}; background: {c["ToolTipBase"]}; border: 1px solid {c["Mid"]}; padding: 4px; }}
QToolBar {{ border: 0; border-bottom: 1px solid {c["Mid"]}; spacing: 2px; padding: 3px 6px; }}
QToolBar QToolButton {{ border: 1px solid transparent; border-radius: 5px; padding: 4px; }}
QToolBar QToolButton:hover {{ background: {c["Midlight"]}; }}
QToolButton#fold {{ border: 1px solid transparent; background: transparent; padding: 2px; }}
QToolButton:focus, QToolButton#fold:focus {{ border: 1px solid {c["Highlight"]}; border-radius: 5px; }}
QToolBar QToolButton:checked {{ background: {c["Midlight"]}; border-color: {c["Highlight"]}; }}
QStatusBar {{ border-top: 1px solid {c["Mid"]}; }}
QStatusBar::item {{ border: 0; }}
QFrame#bar {{ background: {c["ToolTipBase"]}; border-top: 2px solid {c["Highlight"]}; }}
QLabel#caption {{ font-weight: 600; }}
QLabel#key {{ border: 1px solid {c["Mid"]}; border-radius: 4px; padding: 1px 7px; background: {c["Base"]}; }}
QLabel#word {{ background: {c["ToolTipBase"]}; color: {c["ToolTipText"]}; border: 1px solid {c["Mid"]};
    border-radius: 9px; padding: 2px 9px; }}
QLabel#onpage {{ color: #59616d; }}
QToolButton#onpage {{ background: #ffffff; border: 1px solid #c3c8d0; border-radius: 6px; }}
QToolButton#onpage:hover, QToolButton#onpage:focus {{ border: 2px solid {c["Highlight"]}; }}
QLabel#drop {{ background: rgba(47, 125, 225, 60); color: #1d2127; border: 3px dashed {c["Highlight"]};
    font-weight: 600; }}
QLabel#bad {{ color: {c["BrightText"]}; font-weight: 600; }}
QLabel#quiet {{ color: {c["PlaceholderText"]}; }}
QFrame#rule {{ color: {c["Mid"]}; }}
QPushButton {{ padding: 5px 12px; border: 1px solid {c["Mid"]}; border-radius: 5px; background: {c["Button"]}; }}
QPushButton:hover {{ background: {c["Midlight"]}; }}
QPushButton:pressed {{ background: {c["Mid"]}; }}
QPushButton#borrowed {{ text-align: left; padding: 4px 8px; }}
QPushButton:focus {{ border-color: {c["Highlight"]}; }}
QPushButton:checked {{ background: {c["Highlight"]}; color: {c["HighlightedText"]}; border-color: {c["Highlight"]}; }}
QPushButton:checked:focus, QToolBar QToolButton:checked:focus {{ border-color: {c["WindowText"]}; }}
QPushButton:disabled {{ color: {c["Faint"]}; background: {c["Window"]}; }}
QPushButton#primary {{ background: {c["Highlight"]}; color: {c["HighlightedText"]}; border-color: {c["Highlight"]}; }}
QPushButton:checked:disabled {{ background: {c["Mid"]}; border-color: {c["Mid"]}; }}
QPushButton#primary:disabled {{ background: {c["Midlight"]}; color: {c["Faint"]}; border-color: {c["Mid"]}; }}
QListWidget {{ border: 1px solid transparent; border-radius: 5px; background: transparent; }}
QListWidget:focus {{ border-color: {c["Highlight"]}; }}
QListWidget::item {{ border: 2px solid transparent; border-radius: 5px; padding: 1px; }}
QListWidget::item:hover {{ border-color: {c["Mid"]}; }}
QListWidget::item:selected {{ border-color: {c["Highlight"]}; background: transparent; }}
QSlider::groove:horizontal {{ height: 4px; border-radius: 2px; background: {c["Mid"]}; }}
QSlider::sub-page:horizontal {{ height: 4px; border-radius: 2px; background: {c["Highlight"]}; }}
QSlider::sub-page:horizontal:disabled {{ background: {c["Mid"]}; }}
QSlider::handle:horizontal {{ width: 13px; height: 13px; margin: -5px 0; border-radius: 7px; background: {c["Handle"]};
    border: 1px solid {c["Shadow"]}; }}
QSlider::handle:horizontal:hover, QSlider::handle:horizontal:focus {{ border-color: {c["Highlight"]}; }}
QToolBar::separator {{ width: 1px; margin: 5px 6px; background: {c["Mid"]}; }}
QCheckBox {{ border: 1px solid transparent; border-radius: 4px; padding: 1px 3px 1px 0; }}
QCheckBox:focus {{ border-color: {c["Highlight"]}; }}
QCheckBox::indicator {{ width: 14px; height: 14px; border-radius: 3px;
    border: 1px solid {c["Faint"]}; background: {c["Base"]}; }}
QCheckBox::indicator:hover, QCheckBox::indicator:focus {{ border-color: {c["Highlight"]}; }}
QCheckBox::indicator:checked {{ background: {c["Highlight"]}; border-color: {c["Highlight"]};
    image: url("{_CHECK}"); }}
QScrollBar {{ background: transparent; border: 0; margin: 0; }}
QScrollBar:vertical {{ width: 10px; }}
QScrollBar:horizontal {{ height: 10px; }}
QScrollBar::handle {{ background: {c["Mid"]}; border-radius: 3px; margin: 2px; }}
QScrollBar::handle:hover {{ background: {c["Faint"]}; }}
QScrollBar::handle:disabled {{ background: transparent; }}
QScrollBar::handle:vertical {{ min-height: 28px; }}
QScrollBar::handle:horizontal {{ min-width: 28px; }}
QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
QProgressBar {{ border: 1px solid {c["Mid"]}; border-radius: 4px; background: {c["Base"]}; height: 10px; }}
QProgressBar::chunk {{ background: {c["Highlight"]}; border-radius: 3px; }}
"""


_GLASS = "o 4,4 12,12; 14.5,14.5 20.5,20.5; 7,10 13,10"
#: {name: shapes on a 24 x 24 grid}.  A shape is a line through its points; with z it is closed, c is a cubic curve, o
#: an ellipse and r a rectangle by their corner and size.
_SHAPES = {
    "open": "3,19 3,5 9,5 11,8 19,8 19,11; z 3,19 6.5,11 22,11 18.5,19",
    "save": "z 4,4 16,4 20,8 20,20 4,20; r 8,13 8,7; r 8,4 7,4.5",
    "quick": "r 3,7 18,13; 8,7 10,4 14,4 16,7; o 8.4,9.9 7.2,7.2",
    "brush": "z 17,3 21,7 9,19 5,15; z 5,15 9,19 3,21",
    "eraser": "z 14,4 21,11 12,20 7,20 3,16; 8.5,9.5 16,16.5; 12,20 21,20",
    "select": "z 6,3 6,18.5 10,15 13,21 15.4,19.8 12.5,14 17.5,13.5",
    "mirror": "z 9,7 9,17 3,17; z 15,7 15,17 21,17; 12,3 12,6; 12,9 12,12; 12,15 12,18; 12,20.5 12,21",
    "clear": "z 5,3 14,3 19,8 19,21 5,21; 9,11 15,17; 15,11 9,17",
    "undo": "4,9 14,9; c 14,9 22,9 22,19 14,19; 14,19 10,19; 8,5 4,9 8,13",
    "redo": "20,9 10,9; c 10,9 2,9 2,19 10,19; 10,19 14,19; 16,5 20,9 16,13",
    "zoom-in": _GLASS + "; 10,7 10,13",
    "zoom-out": _GLASS,
    "fit": "9,4 4,4 4,9; 15,4 20,4 20,9; 9,20 4,20 4,15; 15,20 20,20 20,15; r 9,9 6,6",
    "random": "r 4,4 16,16; " + "; ".join(f"o {x - 0.7:g},{y - 0.7:g} 1.4,1.4" for x, y in (
        (8.5, 8.5), (15.5, 8.5), (12, 12), (8.5, 15.5), (15.5, 15.5))),
    "sweep": "r 3,16 2.4,5; r 8.25,13 2.4,8; r 13.5,10 2.4,11; r 18.75,7 2.4,14",
    "morph": "o 2.5,7 9.5,11; o 12,7 9.5,11; 9,12.5 15,12.5; 13,10.5 15,12.5 13,14.5",
    "panel": "r 3,5 18,14; 15,5 15,19",
}


def _path(shapes: str) -> QPainterPath:
    path = QPainterPath()
    for shape in shapes.split("; "):
        points = [QPointF(*map(float, pair.split(","))) for pair in shape.split(" ") if "," in pair]
        if shape[0] in "or":
            box = QRectF(points[0], QSizeF(points[1].x(), points[1].y()))
            path.addEllipse(box) if shape[0] == "o" else path.addRoundedRect(box, 1, 1)
        elif shape[0] == "c":
            path.moveTo(points[0])
            path.cubicTo(*points[1:])
        else:
            path.addPolygon(QPolygonF(points))
            if shape[0] == "z":
                path.closeSubpath()
    return path


class _Lines(QIconEngine):
    def __init__(self, name: str):
        super().__init__()
        self._name = name

    def paint(self, painter: QPainter, rect: QRect, mode, state) -> None:
        group = QPalette.Disabled if mode == QIcon.Disabled else QPalette.Active
        painter.save()
        painter.setRenderHint(QPainter.Antialiasing)
        painter.translate(rect.topLeft())
        painter.scale(rect.width() / 24, rect.height() / 24)
        painter.setPen(QPen(QApplication.palette().color(group, QPalette.ButtonText), 1.7, Qt.SolidLine, Qt.RoundCap,
                            Qt.RoundJoin))
        painter.drawPath(_path(_SHAPES[self._name]))
        painter.restore()

    def pixmap(self, size: QSize, mode, state) -> QPixmap:
        pixmap = QPixmap(size)
        pixmap.fill(Qt.transparent)
        painter = QPainter(pixmap)
        self.paint(painter, QRect(0, 0, size.width(), size.height()), mode, state)
        painter.end()
        return pixmap

    def clone(self):
        return _Lines(self._name)


def icon(name: str) -> QIcon:
    """The icon of that name; KeyError for an unknown one."""
    _SHAPES[name]
    return QIcon(_Lines(name))
