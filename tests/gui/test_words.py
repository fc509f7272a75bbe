"""The window's words: one file a language, a code for each text."""
import json
import re
import string

import pytest
from PyQt5.QtGui import QKeySequence
from PyQt5.QtWidgets import QDialogButtonBox, QLabel, QMessageBox
from sources import CODE, named, said

from jt_dfd.drawings import NOTES, WARNINGS
from jt_dfd.gui import engine, words
from jt_dfd.gui.messages import KeySheet
from jt_dfd.gui.words import LANGUAGES, TEXTS, plain
from jt_dfd.runtime import display, first_compile

ENGLISH = TEXTS["en"]
OTHERS = sorted(set(TEXTS) - {"en"})
#: what a letter of the language looks like, and texts that are the same in all of them
LETTERS = {"zh": "[\u4e00-\u9fff]"}
SAME = {"gesture.shift", "gesture.escape", "qt", "language"}


def fields(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_every_code_in_the_sources_has_words_and_no_words_are_left_over():
    codes = said()
    assert len(codes) > 80 and all(CODE.match(code) for code in codes), "prose as a key"
    assert not codes - set(ENGLISH), "codes without words"
    whole, beginnings = named()
    left = {c for c in ENGLISH if c not in whole and re.sub(r"[.]tip$", "", c) not in whole
            and not any(c.startswith(b) for b in beginnings) and not c.startswith(("action.", "step.", "reading."))}
    assert not left, "words of codes that are gone"


def test_every_step_has_words():
    """Of a first compile, and of what the engine does after it: what is not in the file is shown as its bare code."""
    steps = set(display.STEPS) | set(engine.STEPS)
    assert {"step." + step for step in steps} == {code for code in ENGLISH if code.startswith("step.")}
    assert {first_compile._step(name) for name in ("jittor_core", "mkl", "mpi", "Operators", "cublas", "?")} <= steps


def test_what_is_said_of_a_picture_is_what_the_tools_say():
    for code, text in {**NOTES, **WARNINGS}.items():
        assert ENGLISH[f"reading.{code}"] == text


def test_every_action_has_words_and_no_other_has(window):
    w = window(start=False)
    assert {f"action.{name}" for name in w.actions._all} == {
        code for code in ENGLISH if code.startswith("action.") and not code.endswith((".tip", ".why"))}


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_all_texts_with_their_placeholders_and_menu_letters(language):
    texts = TEXTS[language]
    assert set(texts) == set(ENGLISH)
    for code, english in ENGLISH.items():
        text = texts[code]
        assert fields(english) == fields(text), code
        assert code in SAME or (re.search(LETTERS[language], text) if language in LETTERS else text != english), code
        if code.startswith(("action.", "menu.")) and not code.endswith((".tip", ".why")):
            assert ("&" in english) == ("&" in text), code


def test_a_language_is_one_file(window, tmp_path, monkeypatch):
    (tmp_path / "en.json").write_text(json.dumps(ENGLISH))
    (tmp_path / "xx.json").write_text(json.dumps({"language": "Other", "qt": "", "convert": "Make!"}))
    monkeypatch.setattr(words, "FOLDER", tmp_path)
    read = words._read()
    TEXTS["xx"] = read["xx"]
    LANGUAGES["xx"] = "Other"
    try:
        w = window(start=False)
        action = next(a for a in w.actions.languages.actions() if a.data() == "xx")
        assert action.text() == "Other"
        action.trigger()
        assert w.controls.convert.text() == "Make!" and plain(w.actions["save"].text()) == "Save drawing"
        w.set_language("en")
    finally:
        del TEXTS["xx"], LANGUAGES["xx"]


@pytest.mark.parametrize("language", sorted(TEXTS))
def test_the_keyboard_sheet_has_every_key(window, language):
    w = window(start=False)
    w.set_language(language)
    w.actions._add("about_keys", "Ctrl+J")  # an action of a moment ago
    w.menuBar().actions()[0].menu().addAction(w.actions["about_keys"])
    shown = {label.text() for label in KeySheet(w.actions.sheet(), w).findChildren(QLabel)}
    for name, action in w.actions._all.items():
        if action.shortcuts():
            assert action.shortcuts()[0].toString(QKeySequence.NativeText) in shown, name
            assert plain(action.text()).replace("&", "&&") in shown, name
    w.set_language("en")


@pytest.mark.parametrize("language", sorted(TEXTS))
def test_menu_letters_are_unique_within_a_menu(window, language):
    w = window(start=False)
    w.set_language(language)
    for menu in [w.menuBar()] + [a.menu() for a in w.menuBar().actions()]:
        letters = [m.group(1).lower() for a in menu.actions() for m in [re.search("&(.)", a.text())] if m]
        assert len(letters) == len(set(letters)), [a.text() for a in menu.actions()]
    w.set_language("en")


def test_keys_are_unique(window):
    w = window(start=False)
    keys = [k.toString() for a in w.actions._all.values() for k in a.shortcuts()]
    assert len(keys) == len(set(keys)) and len(keys) > 25


def test_the_language_changes_while_the_window_is_open(window):
    w = window(start=False)
    english = w.controls.convert.text(), w.windowTitle(), w.menuBar().actions()[0].text()
    w.set_language("zh")
    assert w.controls.convert.text() == "生成" and w.squares.captions[0].text() == "草图"
    assert "未命名" in w.windowTitle() and w.actions["save"].toolTip().startswith("保存草图及其设置")
    assert w.actions["morph"].iconText() == "渐变"
    # Qt's own words too, and none of them blank
    box = QMessageBox(QMessageBox.Question, "", "", QMessageBox.Save | QMessageBox.Cancel | QMessageBox.Discard)
    for which in (QMessageBox.Save, QMessageBox.Cancel, QMessageBox.Discard):
        assert re.search("[\u4e00-\u9fff]", box.button(which).text())
    sheet = KeySheet(w.actions.sheet(), w)
    assert re.search("[\u4e00-\u9fff]", sheet.findChild(QDialogButtonBox).button(QDialogButtonBox.Close).text())
    w.set_language("en")
    assert (w.controls.convert.text(), w.windowTitle(), w.menuBar().actions()[0].text()) == english
    box = QMessageBox(QMessageBox.Question, "", "", QMessageBox.Save)
    assert plain(box.button(QMessageBox.Save).text()) == "Save"
