"""Menus, tool bar and keys of the window: what they are called and what they call."""
from __future__ import annotations

import os
from typing import Callable, Dict

from PyQt5.QtCore import QObject, QSize, Qt
from PyQt5.QtGui import QKeySequence
from PyQt5.QtWidgets import (
    QAction,
    QActionGroup,
    QLabel,
    QMainWindow,
    QMenu,
    QSizePolicy,
    QToolBar,
    QToolButton,
    QWidget,
)

from .controls import Slider
from .theme import THEMES, icon
from .words import LANGUAGES, TEXTS, Words, plain, tr

#: width of the window below which the tool bar's pictures are smaller, logical pixels (ours)
_COMPACT = 830


class Actions(QObject):
    """Every action by name, in ``self[name]``; the window connects what is not connected here."""

    def __init__(self, window: QMainWindow, words: Words):
        super().__init__(window)
        self._window, self._words = window, words
        self._all: Dict[str, QAction] = {}
        self._why: Dict[str, str] = {}  # why an action is grey
        self._make()
        self.recent_menu = QMenu(window)
        self.recent_menu.setToolTipsVisible(True)
        words.bind(self.recent_menu.setTitle, "menu.recent")
        self.examples_menu = QMenu(window)
        words.bind(self.examples_menu.setTitle, "menu.examples")
        self._make_menus()
        self.size = Slider(1, 20, 2)
        self.size_label = QLabel()
        self.bar = self._make_bar()

    def __getitem__(self, name: str) -> QAction:
        return self._all[name]

    def _add(self, name: str, keys=(), picture: str = "", check: bool = False) -> QAction:
        action = QAction(self._window)
        action.setCheckable(check)
        action.setShortcuts([QKeySequence(k) for k in ([keys] if isinstance(keys, str) else keys)])
        if picture:
            action.setIcon(icon(picture))
        text = f"action.{name}"
        tip = text + ".tip" if text + ".tip" in TEXTS["en"] else text
        self._words.bind(lambda words: (action.setText(words), action.setIconText(plain(words))), text)
        self._words.bind(lambda words: self._show_tip(name), tip)
        self._window.addAction(action)
        self._all[name] = action
        self._show_tip(name)
        return action

    def _show_tip(self, name: str) -> None:
        action, code = self._all.get(name), f"action.{name}"
        if action is None:
            return  # while it is being made
        longer = code + ".tip"
        tip = plain(tr(longer) if longer in TEXTS["en"] else tr(code))
        if action.shortcuts():
            tip += f"  ({action.shortcuts()[0].toString(QKeySequence.NativeText)})"
        why = "" if action.isEnabled() else self._why.get(name, "")
        action.setToolTip(tip + ("\n" + tr(why) if why else ""))

    def allow(self, able: bool, why: str, *names: str) -> None:
        """Grey actions out or not; ``why``: a code, told in the tool tip of a greyed one."""
        for name in names:
            self[name].setEnabled(able)
            self._why[name] = why
            self._show_tip(name)

    def _make(self) -> None:
        """name, keys, icon; the languages' files have the words, ``action.name`` and ``action.name.tip``."""
        add = self._add
        add("new", "Ctrl+N")
        add("open", "Ctrl+O", "open")
        add("next", "PgDown")
        add("previous", "PgUp")
        add("as_is", check=True)
        add("save", "Ctrl+S", "save")
        add("save_as", "Ctrl+Shift+S")
        add("quick", "Ctrl+D", "quick")
        add("save_face", "Ctrl+E")
        add("export", "Ctrl+Shift+E")
        add("quit", "Ctrl+Q")
        add("undo", "Ctrl+Z", "undo")
        add("redo", ("Ctrl+Shift+Z", "Ctrl+Y"), "redo")
        add("clear", ("Ctrl+Del", "Ctrl+Backspace"), "clear")
        add("copy", ("Ctrl+C", "Ctrl+Shift+C"))
        add("paste", "Ctrl+V")
        tools = QActionGroup(self)
        tools.addAction(add("brush", "B", "brush", check=True))
        tools.addAction(add("eraser", "E", "eraser", check=True))
        tools.addAction(add("select", "V", "select", check=True))
        # in lists and fields these keys mean other things
        for action in (add("select_all", "Ctrl+A"), add("delete", ("Del", "Backspace"))):
            action.setShortcutContext(Qt.WidgetShortcut)
        add("reference", check=True)
        self["brush"].setChecked(True)
        add("mirror", "M", "mirror", check=True)
        add("smaller", "[")
        add("larger", "]")
        add("zoom_in", ("Ctrl++", "Ctrl+="), "zoom-in")
        add("zoom_out", "Ctrl+-", "zoom-out")
        add("fit", "Ctrl+0", "fit")
        add("full", "F11", check=True)
        add("panel", "F9", "panel", check=True)
        add("guide", check=True)
        add("shadow", "S", check=True)
        add("real_time", "R", check=True)
        add("convert", ("Ctrl+Return", "Ctrl+Enter"))
        add("random", "Ctrl+R", "random")
        add("sweep", "Ctrl+T", "sweep")
        add("morph", "Ctrl+M", "morph")
        add("reset")
        add("folder")
        add("restart")
        add("keys", "F1")
        add("about")

    def _make_menus(self) -> None:
        bar = self._window.menuBar()

        def menu(code: str, *names) -> QMenu:
            made = bar.addMenu("")
            self._words.bind(made.setTitle, code)
            for name in names:
                if name == "-":
                    made.addSeparator()
                elif isinstance(name, QMenu):
                    made.addMenu(name)
                else:
                    made.addAction(self[name])
            made.setToolTipsVisible(True)
            return made

        menu("menu.file", "new", "open", self.recent_menu, self.examples_menu, "next", "previous", "as_is", "-",
             "save", "save_as", "quick", "save_face", "export", "-", "quit")
        menu("menu.edit", "undo", "redo", "clear", "-", "copy", "paste", "-", "brush", "eraser", "mirror", "smaller",
             "larger", "-", "select", "select_all", "delete")
        view = menu("menu.view", "zoom_in", "zoom_out", "fit", "full", "panel", "-", "guide", "reference", "shadow",
                    "-")
        menu("menu.face", "convert", "real_time", "reset", "-", "random", "sweep", "morph")
        engine = menu("menu.engine", "folder")
        menu("menu.help", "keys", "about")
        names = {"system": "desktop", "light": "theme.light", "dark": "theme.dark"}
        self.themes = self._choice(view, "menu.colours", {t: names[t] for t in THEMES})
        self.languages = self._choice(view, "menu.language", dict(LANGUAGES, system="desktop"))
        self.devices = self._choice(engine, "menu.device", {"auto": "device.auto", "cpu": "CPU", "cuda": "CUDA"})
        engine.addAction(self["restart"])

    def sheet(self):
        """The keyboard sheet, made of the menus: [(menu, [(keys, what they do)])] of every action that has keys."""
        out = []
        for menu in self._window.menuBar().actions():
            rows = [(action.shortcuts()[0].toString(QKeySequence.NativeText), plain(action.text()))
                    for action in menu.menu().actions() if action.shortcuts()]
            if rows:
                out.append((plain(menu.text()), rows))
        return out

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
        self._words.bind(bar.setWindowTitle, "bar.title")
        self._words.bind(self.size.setToolTip, "bar.size")
        self._words.bind(self.size.setAccessibleName, "bar.size")
        self.size_label.setFixedWidth(bar.fontMetrics().horizontalAdvance("60 px "))
        for group in (("open", "save", "quick"), ("brush", "eraser", "select", self.size, self.size_label, "mirror"),
                      ("undo", "redo", "clear"), ("zoom_out", "fit", "zoom_in")):
            for item in group:
                added = bar.addWidget(item) if isinstance(item, QWidget) else bar.addAction(self[item])
                if item is self.size_label:
                    self._label_action = added
            if group[0] != "zoom_out":
                bar.addSeparator()
        space = QWidget()
        space.setSizePolicy(QSizePolicy.Expanding, QSizePolicy.Preferred)
        bar.addWidget(space)
        for name in ("random", "sweep", "morph", "panel"):
            bar.addAction(self[name])
        for action in bar.actions():  # reached by Tab
            button = bar.widgetForAction(action)
            if isinstance(button, QToolButton):
                button.setFocusPolicy(Qt.TabFocus)
        self._window.addToolBar(bar)
        self._window.setContextMenuPolicy(Qt.NoContextMenu)  # no menu that hides the tool bar
        return bar

    def fit_bar(self, width: int, anew: bool = True) -> None:
        """Words beside the pictures only where there is room for them; the window gets no narrower than the rest.
        anew: words or fonts are others now."""
        if anew:
            self._dress(0)
            self._window.setMinimumWidth(self.bar.sizeHint().width())
        self._dress(width)

    def _dress(self, width: int) -> None:
        self.size.setFixedWidth(110 if width >= self._roomy else 70 if width >= _COMPACT else 44)
        self._label_action.setVisible(width >= _COMPACT)
        edge = 22 if width >= _COMPACT else 17
        self.bar.setIconSize(QSize(edge, edge))
        style = Qt.ToolButtonTextBesideIcon if width >= self._roomy else Qt.ToolButtonIconOnly
        for name in ("random", "sweep", "morph"):
            self.bar.widgetForAction(self[name]).setToolButtonStyle(style)

    @property
    def _roomy(self) -> int:
        words = sum(self.bar.fontMetrics().horizontalAdvance(self[name].iconText())
                    for name in ("random", "sweep", "morph"))
        return 912 + words

    def show_size(self, low: int, high: int, size: int) -> None:
        self.size.blockSignals(True)
        self.size.setRange(low, high)
        self.size.setValue(size)
        self.size.blockSignals(False)
        self.size.setEnabled(size > 0)  # some tools have none
        self.size_label.setText(f" {size} px" if size else "")

    def show_recent(self, paths, opener: Callable[[str], object], forget: Callable[[], None]) -> None:
        self.recent_menu.clear()
        self.recent_menu.setEnabled(bool(paths))
        for n, path in enumerate(paths, 1):
            action = self.recent_menu.addAction(f"&{n % 10}  " + os.path.basename(path).replace("&", "&&"))
            action.setToolTip(path)
            action.triggered.connect(lambda checked, path=path: opener(path))
        if paths:
            self.recent_menu.addSeparator()
            self.recent_menu.addAction(tr("recent.forget")).triggered.connect(lambda checked: forget())
