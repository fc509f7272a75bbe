"""The window's language.  Sources are English; :mod:`chinese` holds the Chinese; Qt's own dialogs follow."""
from __future__ import annotations

import re
from typing import Callable, List, Tuple

from PyQt5.QtCore import QCoreApplication, QLibraryInfo, QLocale, QObject, QTranslator, pyqtSignal

from .chinese import CHINESE

CONTEXT = "jt_dfd"
LANGUAGES = {"en": "English", "zh": "中文"}


class _Chinese(QTranslator):
    """A translator whose table is a Python dict: nothing has to be compiled to install or change it."""

    def translate(self, context, source, disambiguation=None, n=-1):
        # None and not "": an empty string would count as the translation and blank Qt's own texts
        return CHINESE.get(source) if context == CONTEXT else None

    def isEmpty(self):
        return False  # Qt does not ask an empty translator


def tr(source: str, **values) -> str:
    """The text in the window's language, with {placeholders} filled in."""
    text = QCoreApplication.translate(CONTEXT, source)
    return text.format(**values) if values else text


def plain(text: str) -> str:
    """A menu text without its letter to press and its dots, for tips and tool buttons."""
    return re.sub(r"\(&.\)|&|…", "", text).strip()


def mark(source: str) -> str:
    """Marks a text that is translated later, where it is shown."""
    return source


class Words(QObject):
    """Remembers who shows which text, so that the language can change while the window is open."""

    changed = pyqtSignal()

    def __init__(self, parent=None):
        super().__init__(parent)
        self.language = "en"
        self._bound: List[Tuple[Callable[[str], None], str]] = []
        self._installed: List[QTranslator] = []

    def bind(self, setter: Callable[[str], None], source: str) -> None:
        """Call ``setter(text)`` now and at every change of language."""
        self._bound.append((setter, source))
        setter(tr(source))

    def use(self, language: str) -> None:
        """"en" or "zh"."""
        app = QCoreApplication.instance()
        self.release()
        self.language = language if language in LANGUAGES else "en"
        if self.language == "zh":
            qt = QTranslator(self)
            if qt.load("qtbase_zh_CN", QLibraryInfo.location(QLibraryInfo.TranslationsPath)):
                self._installed.append(qt)
            self._installed.append(_Chinese(self))
        for translator in self._installed:
            app.installTranslator(translator)
        for setter, source in self._bound:
            setter(tr(source))
        self.changed.emit()

    def release(self) -> None:
        """Take this window's language back: another window in this process has its own."""
        for translator in self._installed:
            QCoreApplication.removeTranslator(translator)
        self._installed = []

    @staticmethod
    def system() -> str:
        """The desktop's language where we speak it, else English."""
        return "zh" if QLocale.system().language() == QLocale.Chinese else "en"
