"""The window's languages: every text has a code, and ``languages/`` holds the words for it, one file a language.

A file is JSON: ``language`` is its name for itself, ``qt`` names the translation of Qt's own dialogs ("" where Qt
speaks it already), every other entry is a text.  To add a language, put a file beside the others: menus, options and
tests find it.  What a language lacks is said in English.
"""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Callable, Dict, List, Tuple

from PyQt5.QtCore import QCoreApplication, QLibraryInfo, QLocale, QObject, QTranslator, pyqtSignal

FOLDER = Path(__file__).parent / "languages"


def _read() -> Dict[str, Dict[str, str]]:
    return {path.stem: json.loads(path.read_text(encoding="utf8")) for path in sorted(FOLDER.glob("*.json"))}


#: {language: {code: text}}
TEXTS = _read()
#: {language: its name for itself}
LANGUAGES = {name: texts["language"] for name, texts in TEXTS.items()}
_spoken = TEXTS["en"]


def tr(code: str, **values) -> str:
    """The text of a code in the window's language, with {placeholders} filled in.  What is no code (an error's own
    message, say) is returned as it is."""
    text = _spoken.get(code) or TEXTS["en"].get(code, code)
    return text.format(**values) if values else text


def plain(text: str) -> str:
    """A menu text without its letter to press and its dots, for tips and tool buttons."""
    text = re.sub(r"\(&.\)|…", "", text)
    return re.sub("&(.)", r"\1", text).strip()


class Words(QObject):
    """Remembers who shows which text, so that the language can change while the window is open."""

    changed = pyqtSignal()

    def __init__(self, parent=None):
        super().__init__(parent)
        self.language = "en"
        self._bound: List[Tuple[Callable[[str], object], str]] = []
        self._installed: List[QTranslator] = []

    def bind(self, setter: Callable[[str], object], code: str) -> None:
        """Call ``setter(text)`` now and at every change of language."""
        self._bound.append((setter, code))
        setter(tr(code))

    def use(self, language: str) -> None:
        """A name among LANGUAGES; anything else is English."""
        global _spoken
        self.release()
        self.language = language if language in TEXTS else "en"
        _spoken = TEXTS[self.language]
        if _spoken["qt"]:
            qt = QTranslator(self)
            if qt.load("qtbase_" + _spoken["qt"], QLibraryInfo.location(QLibraryInfo.TranslationsPath)):
                self._installed.append(qt)
                QCoreApplication.installTranslator(qt)
        for setter, code in self._bound:
            setter(tr(code))
        self.changed.emit()

    def release(self) -> None:
        """Take this window's language back: another window in this process has its own."""
        global _spoken
        _spoken = TEXTS["en"]
        for translator in self._installed:
            QCoreApplication.removeTranslator(translator)
        self._installed = []

    @staticmethod
    def system() -> str:
        """The desktop's language where we speak it, else English."""
        name = QLocale.system().name().split("_")[0]
        return name if name in LANGUAGES else "en"
