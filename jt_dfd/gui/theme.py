"""Light and dark palettes, and the few rules of style that Qt's own look lacks."""
from __future__ import annotations

from pathlib import Path

from PyQt5.QtGui import QColor, QPalette
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
