"""Menus, tool bar and keys of the window: what they are called and what they call."""
from __future__ import annotations

import os
from typing import Callable, Dict

from PyQt5.QtCore import QObject, QSize, Qt
from PyQt5.QtGui import QKeySequence
from PyQt5.QtWidgets import QAction, QActionGroup, QLabel, QMainWindow, QMenu, QSizePolicy, QToolBar, QWidget

from .controls import Slider
from .icons import icon
from .theme import THEMES
from .words import LANGUAGES, Words, mark, plain, tr


class Actions(QObject):
    """Every action by name, in ``self[name]``; the window connects what is not connected here."""

    def __init__(self, window: QMainWindow, words: Words):
        super().__init__(window)
        self._window, self._words = window, words
        self._all: Dict[str, QAction] = {}
        self._make()
        self.recent_menu = QMenu(window)
        self.recent_menu.setToolTipsVisible(True)
        words.bind(self.recent_menu.setTitle, mark("Open &recent"))
        self._make_menus()
        self.size = Slider(1, 20, 2)
        self.size_label = QLabel()
        self.bar = self._make_bar()

    def __getitem__(self, name: str) -> QAction:
        return self._all[name]

    def _add(self, name: str, text: str, keys=(), picture: str = "", tip: str = "", check: bool = False) -> QAction:
        action = QAction(self._window)
        action.setCheckable(check)
        action.setShortcuts([QKeySequence(k) for k in ([keys] if isinstance(keys, str) else keys)])
        if picture:
            action.setIcon(icon(picture))
        self._words.bind(lambda words: (action.setText(words), action.setIconText(plain(words))), text)
        first = action.shortcuts()[0].toString(QKeySequence.NativeText) if action.shortcuts() else ""
        self._words.bind(lambda words: action.setToolTip(plain(words) + (f"  ({first})" if first else "")), tip or text)
        self._window.addAction(action)
        self._all[name] = action
        return action

    def _make(self) -> None:
        add = self._add
        add("new", mark("&New"), "Ctrl+N")
        add("open", mark("&Open…"), "Ctrl+O", "open", mark("Open a picture as the drawing"))
        add("as_is", mark("&Take pictures as they are"), tip=mark("Read pictures without correcting paper, ink and shape"),
            check=True)
        add("save", mark("&Save drawing"), "Ctrl+S", "save", mark("Save the drawing with its settings"))
        add("save_as", mark("Save drawing &as…"), "Ctrl+Shift+S")
        add("save_face", mark("Save &face as…"), "Ctrl+E")
        add("export", mark("Export side &by side…"), "Ctrl+Shift+E")
        add("save_both", mark("Save &drawing and face…"), "Ctrl+Alt+S",
            tip=mark("Both into a new folder named by the time"))
        add("quit", mark("&Quit"), "Ctrl+Q")
        add("undo", mark("&Undo"), "Ctrl+Z", "undo")
        add("redo", mark("&Redo"), ("Ctrl+Shift+Z", "Ctrl+Y"), "redo")
        add("clear", mark("C&lear"), ("Ctrl+Del", "Ctrl+Backspace"), "clear", mark("An empty page; can be undone"))
        add("copy", mark("&Copy face"), ("Ctrl+C", "Ctrl+Shift+C"))
        add("paste", mark("&Paste picture"), "Ctrl+V")
        tools = QActionGroup(self)
        for name, text, key, tip in (("brush", mark("&Brush"), "B", mark("Draw")),
                                     ("eraser", mark("&Eraser"), "E", mark("Erase; the right button does too"))):
            tools.addAction(add(name, text, key, name, tip, check=True))
        self["brush"].setChecked(True)
        add("mirror", mark("&Mirror drawing"), "M", "mirror", mark("Draw both halves of the face at once"), check=True)
        add("smaller", mark("Smaller tool"), "[")
        add("larger", mark("Larger tool"), "]")
        add("zoom_in", mark("Zoom &in"), ("Ctrl++", "Ctrl+="), "zoom-in")
        add("zoom_out", mark("Zoom &out"), "Ctrl+-", "zoom-out")
        add("fit", mark("&Whole page"), "Ctrl+0", "fit")
        add("full", mark("&Full screen"), "F11", check=True)
        add("shadow", mark("&Shadow"), "S", check=True)
        add("real_time", mark("&Real time"), "R", check=True)
        add("convert", mark("&Convert"), ("Ctrl+Return", "Ctrl+Enter"))
        add("random", mark("Random &face"), "Ctrl+R", "random", mark("Start from a random plausible face"))
        add("sweep", mark("Refinement s&weep"), "Ctrl+T", "sweep",
            mark("The face at 0, 25, 50, 75 and 100 % refinement"))
        add("morph", mark("&Morph…"), "Ctrl+M", "morph", mark("Morph between two faces of the history"))
        add("folder", mark("&Weights folder…"))
        add("restart", mark("Restart the &engine"))
        add("keys", mark("&Keys and gestures"), "F1")
        add("about", mark("&About"))

    def _make_menus(self) -> None:
        bar = self._window.menuBar()

        def menu(text: str, *names) -> QMenu:
            made = bar.addMenu("")
            self._words.bind(made.setTitle, text)
            for name in names:
                if name == "-":
                    made.addSeparator()
                elif isinstance(name, QMenu):
                    made.addMenu(name)
                else:
                    made.addAction(self[name])
            return made

        menu(mark("&File"), "new", "open", self.recent_menu, "as_is", "-", "save", "save_as", "save_face", "save_both", "export",
             "-", "quit")
        menu(mark("&Edit"), "undo", "redo", "clear", "-", "copy", "paste", "-", "brush", "eraser", "mirror", "smaller",
             "larger")
        view = menu(mark("&View"), "zoom_in", "zoom_out", "fit", "full", "-", "shadow", "-")
        menu(mark("F&ace"), "convert", "real_time", "-", "random", "sweep", "morph")
        engine = menu(mark("E&ngine"), "folder")
        menu(mark("&Help"), "keys", "about")
        names = {"system": mark("As the desktop"), "light": mark("Light"), "dark": mark("Dark")}
        self.themes = self._choice(view, mark("&Colours"), {t: names[t] for t in THEMES})
        self.languages = self._choice(view, mark("&Language"), dict(LANGUAGES, system=mark("As the desktop")))
        self.devices = self._choice(engine, mark("&Device"), {
            "auto": mark("Graphics card if there is one"), "cpu": "CPU", "cuda": "CUDA"})
        engine.addAction(self["restart"])

    def _choice(self, menu: QMenu, title: str, options: Dict[str, str]) -> QActionGroup:
        """A submenu of which one entry is checked; the entries' data are the keys of ``options``."""
        sub = menu.addMenu("")
        self._words.bind(sub.setTitle, title)
        group = QActionGroup(self)
        for value, text in options.items():
            action = sub.addAction("")
            action.setCheckable(True)
            action.setData(value)
            self._words.bind(action.setText, text)
            group.addAction(action)
        return group

    def _make_bar(self) -> QToolBar:
        bar = QToolBar()
        bar.setObjectName("tools")
        bar.setMovable(False)
        bar.setIconSize(QSize(22, 22))
        self._words.bind(bar.setWindowTitle, mark("Tools"))
        self._words.bind(self.size.setToolTip, mark("Size of the tool  ([ and ])"))
        self.size.setFocusPolicy(Qt.NoFocus)
        self.size_label.setFixedWidth(bar.fontMetrics().horizontalAdvance("60 px "))
        for group in (("open", "save"), ("brush", "eraser", self.size, self.size_label, "mirror"),
                      ("undo", "redo", "clear"), ("zoom_out", "fit", "zoom_in")):
            for item in group:
                bar.addWidget(item) if isinstance(item, QWidget) else bar.addAction(self[item])
            if group[0] != "zoom_out":
                bar.addSeparator()
        space = QWidget()
        space.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Preferred)
        bar.addWidget(space)
        for name in ("random", "sweep", "morph"):
            bar.addAction(self[name])
        self._window.addToolBar(bar)
        self._window.setContextMenuPolicy(Qt.NoContextMenu)  # no menu that hides the tool bar
        return bar

    def fit_bar(self, width: int) -> None:
        """Words beside the pictures only where there is room for them; the window gets no narrower than the rest."""
        self.size.setFixedWidth(110 if width >= self._roomy else 70)
        style = Qt.ToolButtonTextBesideIcon if width >= self._roomy else Qt.ToolButtonIconOnly
        for name in ("random", "sweep", "morph"):
            self.bar.widgetForAction(self[name]).setToolButtonStyle(style)
        if style == Qt.ToolButtonIconOnly:
            self._window.setMinimumWidth(self.bar.sizeHint().width())

    @property
    def _roomy(self) -> int:
        words = sum(self.bar.fontMetrics().horizontalAdvance(self[name].iconText())
                    for name in ("random", "sweep", "morph"))
        return 780 + words

    def show_size(self, low: int, high: int, size: int) -> None:
        self.size.blockSignals(True)
        self.size.setRange(low, high)
        self.size.setValue(size)
        self.size.blockSignals(False)
        self.size_label.setText(f" {size} px")

    def show_recent(self, paths, opener: Callable[[str], None], forget: Callable[[], None]) -> None:
        self.recent_menu.clear()
        self.recent_menu.setEnabled(bool(paths))
        for n, path in enumerate(paths, 1):
            action = self.recent_menu.addAction(f"&{n % 10}  {os.path.basename(path)}".replace("&&", "&"))
            action.setToolTip(path)
            action.triggered.connect(lambda checked, path=path: opener(path))
        if paths:
            self.recent_menu.addSeparator()
            self.recent_menu.addAction(tr("Forget these")).triggered.connect(lambda checked: forget())
