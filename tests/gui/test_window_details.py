"""The window looked at closely: what a stranger stumbles over."""
import numpy as np
import pytest
from hands import draw, mouse, pen
from PyQt5.QtCore import QEvent, Qt
from PyQt5.QtGui import QImage
from PyQt5.QtTest import QTest
from PyQt5.QtWidgets import QMessageBox
from test_window import LINE, key, shown

from jt_dfd.gui.strokes import to_array


# -- the hand ----------------------------------------------------------------------------------------------------------
def test_a_stroke_reaches_to_where_the_button_was_let_go(window):
    """A fast hand on a busy machine: press and release, and no move between them."""
    w = window(start=False)
    mouse(w.canvas, QEvent.MouseButtonPress, 100, 200)
    mouse(w.canvas, QEvent.MouseButtonRelease, 400, 200)
    assert w.document.pixels()[200, 105:395].max() < 128


def test_another_button_does_not_end_the_stroke(window):
    w = window(start=False)
    mouse(w.canvas, QEvent.MouseButtonPress, 100, 200)
    mouse(w.canvas, QEvent.MouseMove, 200, 200)
    mouse(w.canvas, QEvent.MouseButtonPress, 200, 200, Qt.RightButton)
    mouse(w.canvas, QEvent.MouseButtonRelease, 200, 200, Qt.RightButton)
    assert w.canvas.drawing
    mouse(w.canvas, QEvent.MouseMove, 400, 200)
    mouse(w.canvas, QEvent.MouseButtonRelease, 400, 200)
    assert w.document.pixels()[200, 105:395].max() < 128 and w.document.stack.count() == 1


def test_a_lost_release_neither_blocks_the_next_stroke_nor_draws_on(window, qtbot):
    w = window(start=False)
    mouse(w.canvas, QEvent.MouseButtonPress, 100, 200)
    mouse(w.canvas, QEvent.MouseMove, 200, 200)
    box = QMessageBox(w)
    box.setModal(True)
    box.open()  # comes up under the hand and takes the release
    qtbot.waitUntil(lambda: not w.canvas.drawing)
    box.close()
    mouse(w.canvas, QEvent.MouseMove, 400, 400, Qt.NoButton)
    assert w.document.pixels()[300:].min() == 255 and w.document.stack.count() == 1
    mouse(w.canvas, QEvent.MouseButtonPress, 100, 300)
    mouse(w.canvas, QEvent.MouseButtonPress, 100, 400)  # a second press without a release between
    mouse(w.canvas, QEvent.MouseButtonRelease, 200, 400)
    assert w.document.stack.count() == 3 and w.document.pixels()[400, 105:195].max() < 128


def test_a_pen_s_button_erases_and_does_not_end_a_stroke(window):
    w = window(start=False)
    w.set_size(8)
    draw(w.canvas, [(50, 200), (450, 200)])
    pen(w.canvas, [(150, 180, 0.9), (150, 220, 0.9)], button=Qt.RightButton)
    assert w.document.pixels()[200, 150] == 255
    w.canvas.begin(w.canvas.at(w.canvas.pos(100, 300)), 0.5)
    w.canvas._button = Qt.LeftButton
    pen(w.canvas, [(200, 300, 0.9)], button=Qt.RightButton)
    assert w.canvas.drawing


def test_keys_mean_the_page_under_the_pointer(window):
    w = window(start=False)
    w.controls.real_time.setFocus()
    QTest.mouseMove(w.face)
    QTest.mouseMove(w.canvas)
    assert w.canvas.hasFocus(), "Space pans and does not switch real time off"


def test_the_zoom_is_told(window):
    w = window(start=False)
    assert w.stage.captions[0].text() == "Drawing"
    key(w, Qt.Key_Plus, Qt.ControlModifier)
    assert w.stage.captions[0].text() == "Drawing   125%"
    key(w, Qt.Key_0, Qt.ControlModifier)
    w.set_language("zh")
    assert w.stage.captions[0].text() == "草图"
    w.set_language("en")


# -- colours -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_box_without_its_tick_can_be_seen(window, theme):
    w = window(start=False)
    w.set_theme(theme)
    w.controls.real_time.setChecked(False)
    box = w.controls.real_time.grab().toImage().convertToFormat(QImage.Format_Grayscale8)
    around, edge = box.pixelColor(0, 0).red(), to_array(box)[:, :16].astype(int)
    assert np.abs(edge - around).max() > 60, "its frame has to stand out from the panel"
    w.controls.real_time.setChecked(True)
    assert not np.array_equal(to_array(box), shown(w.controls.real_time)), "and the tick from no tick"
    w.set_theme("light")
