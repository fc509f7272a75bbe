"""English and Chinese."""
import re
import string

import pytest
from PyQt5.QtWidgets import QDialogButtonBox, QMessageBox
from sources import texts

from jt_dfd.gui.chinese import CHINESE
from jt_dfd.gui.live import STAGES
from jt_dfd.gui.messages import KeySheet
from jt_dfd.gui.words import plain, tr

#: names that are the same in both languages
SAME = {"DeepFaceDrawing"}


def fields(text):
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name)


def test_everything_is_translated_and_nothing_is_left_over():
    sources = texts()
    assert len(sources) > 150
    assert not set(sources) - set(CHINESE), "without Chinese"
    assert not set(CHINESE) - set(sources), "of texts that are gone"


@pytest.mark.parametrize("source", sorted(CHINESE))
def test_a_translation_keeps_placeholders_and_menu_letters(source):
    chinese = CHINESE[source]
    assert fields(source) == fields(chinese)
    assert source in SAME or re.search("[\u4e00-\u9fff]", chinese), "not Chinese"
    assert ("&" in source) == ("&" in chinese)
    if "&" in source:
        assert re.search("&(.)", source).group(1).upper() == re.search("&(.)", chinese).group(1), "another letter"


def test_menu_letters_are_unique_within_a_menu(window):
    w = window(start=False)
    for menu in [w.menuBar()] + [a.menu() for a in w.menuBar().actions()]:
        letters = [m.group(1).lower() for a in menu.actions() for m in [re.search("&(.)", a.text())] if m]
        assert len(letters) == len(set(letters)), [a.text() for a in menu.actions()]


def test_keys_are_unique(window):
    w = window(start=False)
    keys = [k.toString() for a in w.actions._all.values() for k in a.shortcuts()]
    assert len(keys) == len(set(keys)) and len(keys) > 25


def test_the_language_changes_while_the_window_is_open(window):
    w = window(start=False)
    english = w.controls.convert.text(), w.windowTitle(), w.menuBar().actions()[0].text()
    w.set_language("zh")
    assert w.controls.convert.text() == "生成" and w.stage.captions[0].text() == "草图"
    assert "未命名" in w.windowTitle() and w.actions["save"].toolTip().startswith("保存草图及其设置")
    assert w.actions["morph"].iconText() == "渐变"
    # Qt's own words too, and none of them blank
    box = QMessageBox(QMessageBox.Question, "", "", QMessageBox.Save | QMessageBox.Cancel | QMessageBox.Discard)
    for which in (QMessageBox.Save, QMessageBox.Cancel, QMessageBox.Discard):
        assert re.search("[\u4e00-\u9fff]", box.button(which).text())
    sheet = KeySheet(w)
    assert re.search("[\u4e00-\u9fff]", sheet.findChild(QDialogButtonBox).button(QDialogButtonBox.Close).text())
    w.set_language("en")
    assert (w.controls.convert.text(), w.windowTitle(), w.menuBar().actions()[0].text()) == english
    box = QMessageBox(QMessageBox.Question, "", "", QMessageBox.Save)
    assert plain(box.button(QMessageBox.Save).text()) == "Save"


def test_every_stage_has_words(qapp):
    assert all(tr(words)[0].isupper() for words in STAGES.values())
