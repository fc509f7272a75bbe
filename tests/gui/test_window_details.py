"""The window looked at closely: what a stranger stumbles over."""
import fcntl
import threading

import numpy as np
import pytest
from conftest import PATIENCE, Weights
from hands import draw, mouse, pen
from PyQt5.QtCore import QEvent, Qt
from PyQt5.QtGui import QImage
from PyQt5.QtTest import QTest
from PyQt5.QtWidgets import QMessageBox
from test_window import LINE, faces, key, settle, shown

from jt_dfd.gui import files, filing
from jt_dfd.gui.strokes import to_array
from jt_dfd.gui.words import plain, tr


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
    assert w.squares.captions[0].text() == "Drawing"
    key(w, Qt.Key_Plus, Qt.ControlModifier)
    assert w.squares.captions[0].text() == "Drawing   125%"
    key(w, Qt.Key_0, Qt.ControlModifier)
    w.set_language("zh")
    assert w.squares.captions[0].text() == "草图"
    w.set_language("en")


# -- faces -------------------------------------------------------------------------------------------------------------
def test_without_real_time_the_busy_line_ends_with_the_face(window, weights, qtbot):
    """Drawn on while a face was made: nothing newer is on its way, and the caption says what is shown."""
    weights.set(face_delay=0.3)
    w = window()
    settle(w, qtbot)
    w.controls.real_time.setChecked(False)
    draw(w.canvas, LINE)
    w.controls.convert.click()
    assert w.face.busy
    draw(w.canvas, [(60, 400), (400, 420)])
    qtbot.waitUntil(lambda: w.live.result is not None, timeout=PATIENCE)
    assert not w.face.busy and w.face.dimmed and "earlier" in w.face.word.text() and w.face.word.isVisible()
    w.controls.convert.click()
    settle(w, qtbot)
    assert not w.face.word.isVisible() and not w.face.dimmed


def test_the_word_does_not_lie_over_the_note_while_the_engine_starts(window, weights, qtbot):
    """In a small window it covered "Preparing the engine"."""
    weights.set(compile=2)
    w, seen = window(), []

    def look(*step):
        draw(w.canvas, LINE)
        seen.append((w.face.busy, w.face.note.isVisible(), w.face.word.isVisible()))

    w.engine.progress.connect(look)
    qtbot.waitUntil(lambda: (True, True, False) in seen, timeout=PATIENCE)
    settle(w, qtbot)
    assert not any(note and word for _, note, word in seen) and not w.face.note.isVisible()


def test_work_is_seen_before_the_first_face_and_a_slow_one_dims_the_old(window, weights, qtbot):
    """The busy line is inside the widget, and its bar runs."""
    weights.set(hang="face")
    w = window()
    settle(w, qtbot)
    idle = shown(w.face)
    draw(w.canvas, LINE)
    assert w.face.busy and w.face.word.isVisible() and w.face.rect().contains(w.face.word.geometry())

    def bar():
        picture = w.face.grab().toImage().scaled(w.face.size())
        foot = [picture.pixelColor(x, picture.height() - 2).blue() - picture.pixelColor(x, picture.height() - 2).red()
                for x in range(picture.width())]
        return [x for x, blue in enumerate(foot) if blue > 60]

    qtbot.waitUntil(lambda: len(bar()) > 30, timeout=PATIENCE)
    first = bar()
    qtbot.waitUntil(lambda: bar() != first, timeout=PATIENCE)
    assert not np.array_equal(shown(w.face), idle)
    weights.set()
    w.engine.retry()
    qtbot.waitUntil(lambda: w.live.result is not None and not w.engine.waiting, timeout=PATIENCE)
    assert not w.face.word.isVisible() and not w.face.dimmed
    bright = shown(w.face).astype(float).std()
    weights.set(hang="shadow")
    draw(w.canvas, [(60, 400), (400, 420)])
    assert not w.face.dimmed, "not at once: it would flash at every stroke"
    qtbot.waitUntil(lambda: w.face.dimmed and "Working" in w.face.word.text(), timeout=PATIENCE)
    assert shown(w.face).astype(float).std() < 0.8 * bright


def test_a_face_that_could_not_be_made_says_so_at_the_face(window, qtbot):
    w = window()
    settle(w, qtbot)
    draw(w.canvas, LINE)
    qtbot.waitUntil(lambda: w.live.result is not None and not w.engine.waiting, timeout=PATIENCE)
    w.controls.borrow("nose", np.zeros(3, np.float32))  # of other weights
    qtbot.waitUntil(lambda: "could not" in w.face.word.text(), timeout=PATIENCE)
    assert w.face.dimmed and "other weights" in w.face.word.toolTip() and w.face.word.isVisible()
    w.controls.give_back("nose")
    qtbot.waitUntil(lambda: not w.engine.waiting and not w.face.word.isVisible(), timeout=PATIENCE)
    assert not w.face.dimmed


def test_the_face_follows_when_real_time_is_switched_off(window, qtbot):
    w = window()
    draw(w.canvas, LINE)
    settle(w, qtbot)
    w.engine.stop()
    draw(w.canvas, [(60, 400), (400, 420)])
    w.controls.real_time.setChecked(False)
    assert "earlier" in w.face.word.text() and w.face.dimmed


def test_a_face_that_fails_is_not_waited_for_and_other_weights_make_it(window, weights, qtbot, tmp_path):
    w = window()
    settle(w, qtbot)
    w.controls._borrowed = {"nose": np.zeros(3, np.float32)}  # of other weights
    draw(w.canvas, LINE)
    qtbot.waitUntil(lambda: w.live.shadow is not None and not w.engine.waiting, timeout=PATIENCE)
    w.controls.changed.emit("")
    qtbot.waitUntil(lambda: "other weights" in w.statusBar().currentMessage(), timeout=PATIENCE)
    assert not w.face.busy
    seen = faces(w)
    w.engine.use(params=Weights(tmp_path / "others").folder)
    qtbot.waitUntil(lambda: bool(seen), timeout=PATIENCE)
    assert not w.controls.settings().borrowed


def test_the_shadow_of_another_drawing_does_not_lie_under_this_one(window, qtbot):
    w = window()
    draw(w.canvas, LINE)
    settle(w, qtbot)
    w.live.keep()
    w.controls.real_time.setChecked(False)
    w.document.load(np.full((512, 512), 254, np.uint8))
    assert w.live.shadow is None and shown(w.canvas).min() > 250
    w.controls.convert.click()
    settle(w, qtbot)
    assert w.live.shadow is not None
    w.live.restore(w.history.entries[-1])
    assert w.live.shadow is None


def test_a_face_on_its_way_does_not_replace_the_one_gone_back_to(window, qtbot):
    w = window()
    draw(w.canvas, LINE)
    settle(w, qtbot)
    w.live.keep()
    w.controls.real_time.setChecked(False)
    draw(w.canvas, [(60, 400), (400, 420)])
    seen, done = faces(w), []
    w.engine.job_done.connect(lambda job, answer: done.append(job))
    w.controls.convert.click()
    w.live.restore(w.history.entries[-1])
    assert not w.face.busy
    w.engine.submit("sample", gender="female", seed=1)  # answered after whatever was asked before
    qtbot.waitUntil(lambda: bool(done), timeout=PATIENCE)
    assert not seen and np.array_equal(w.live.result.sketch, w.document.pixels())


def test_a_part_borrowed_for_one_drawing_does_not_go_into_the_next(window, qtbot):
    w = window()
    draw(w.canvas, LINE)
    settle(w, qtbot)
    w.controls.borrow("nose", w.live.result.vectors["nose"])
    w.controls.sliders["nose"].setValue(40)
    w.document.saved("")
    w.actions["new"].trigger()
    assert not w.controls.settings().borrowed and w.controls.borrowed_box.isHidden()
    assert w.controls.sliders["nose"].value() == 40


def test_a_random_face_does_not_go_over_what_was_drawn_while_it_was_waited_for(window, weights, qtbot):
    weights.set(compile=1)
    w = window()
    w.actions["random"].trigger()
    draw(w.canvas, LINE)
    pixels = w.document.pixels()
    qtbot.waitUntil(lambda: "left out" in w.statusBar().currentMessage(), timeout=PATIENCE)
    assert np.array_equal(w.document.pixels(), pixels)


# -- what is kept ------------------------------------------------------------------------------------------------------
def test_sliders_are_part_of_what_is_saved(window, tmp_path, monkeypatch):
    w = window(start=False)
    w.controls.sliders["nose"].setValue(40)
    assert not w.isWindowModified(), "an empty page is in no file"
    draw(w.canvas, LINE)
    w.filing.save_to(str(tmp_path / "mine.png"))
    w.controls.strength.setValue(90)
    assert not w.isWindowModified()
    w.controls.sliders["nose"].setValue(60)
    assert w.isWindowModified()
    asked = []
    monkeypatch.setattr(filing, "ask_unsaved", lambda window: asked.append(1) or QMessageBox.Cancel)
    assert not w.close() and asked
    w.controls.sliders["nose"].setValue(40)
    assert not w.isWindowModified()


def test_sliders_moved_after_the_last_stroke_are_recovered_too(window, tmp_path, qtbot):
    w = window(start=False)
    draw(w.canvas, LINE)
    qtbot.waitUntil(w.autosave.path.exists, timeout=PATIENCE)
    w.controls.sliders["mouth"].setValue(17)
    qtbot.waitUntil(lambda: files.open_picture(w.autosave.path).settings.refine["mouth"] == 17, timeout=PATIENCE)


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


# -- room --------------------------------------------------------------------------------------------------------------
class _Leftover:
    time = 0.0

    def release(self):
        pass


def test_the_recovery_bar_does_not_widen_the_window(window, qtbot):
    w = window(start=False, size=(800, 600))
    w.offer_recovery([_Leftover(), _Leftover()])
    qtbot.wait(20)
    assert w.recovery_bar.isVisible() and w.width() == 800 and w.minimumSizeHint().width() < 800


@pytest.mark.parametrize("language", ["en", "es", "zh"])
def test_nothing_falls_off_the_tool_bar_however_narrow(window, qtbot, language):
    w = window(start=False)
    w.set_language(language)
    for width in [*range(1400, 300, -22), 300, 840, 1200]:
        w.resize(width, 300)
        qtbot.wait(5)
        edge = w.actions.bar.width()
        for name in ("open", "brush", "mirror", "clear", "zoom_in", "random", "sweep", "morph", "panel"):
            button = w.actions.bar.widgetForAction(w.actions[name])
            assert button.isVisible() and button.geometry().right() < edge, (name, width)
        assert w.width() == max(width, w.minimumWidth()) and w.minimumWidth() <= 683
    w.set_language("en")


@pytest.mark.parametrize("language", ["en", "es", "zh"])
def test_a_borrowed_part_s_name_is_not_cut(window, qtbot, language):
    w = window(start=False)
    w.set_language(language)
    for name in w.controls.settings().refine:
        w.controls.borrow(name, np.zeros(4, np.float32))
    qtbot.wait(20)
    for n in range(5):
        button = w.controls._borrowed_row.itemAt(n).widget()
        assert button.fontMetrics().horizontalAdvance(plain(button.text())) + 18 <= button.width(), button.text()
    w.set_language("en")


def test_what_is_said_over_a_small_face_is_not_cut(window, weights, qtbot):
    weights.set(compile=30)
    w = window(size=(300, 300))
    qtbot.waitUntil(lambda: "/" in w.face.step.text(), timeout=PATIENCE)
    assert w.face.width() < 200, "or this tests nothing"

    def whole(label):
        return label.isHidden() or label.height() >= label.heightForWidth(label.width())

    qtbot.waitUntil(lambda: whole(w.face.title) and whole(w.face.step) and whole(w.face.hint), timeout=20000)
    assert w.face.step.isVisible() and w.face.bar.isVisible()
    w.resize(1400, 900)
    qtbot.waitUntil(lambda: w.face.hint.isVisible() and w.face.title.isVisible(), timeout=20000)


def test_a_closed_window_takes_its_language_along(window):
    w = window(start=False)
    w.set_language("zh")
    w.close()
    assert tr("Brush") == "Brush"


def test_another_process_that_holds_jittor_s_lock_is_told_where_one_looks(window, weights, qtbot, tmp_path):
    lock = tmp_path / "jittor.lock"
    lock.touch()
    weights.set(lock=str(lock))
    w = window()
    qtbot.waitUntil(lambda: w.device_label.text() == "CPU", timeout=PATIENCE)
    with open(lock, "r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        draw(w.canvas, LINE)
        qtbot.waitUntil(lambda: "another Jittor" in w.device_label.text(), timeout=PATIENCE)
        assert "another Jittor" in w.face.word.text() and w.face.word.isVisible()
        assert w.face.word.geometry().right() <= w.face.width()
    qtbot.waitUntil(lambda: w.live.result is not None, timeout=PATIENCE)
    assert w.device_label.text() == "CPU" and not w.face.word.isVisible()


def test_settings_that_were_edited_by_hand_do_not_keep_the_window_away(window, tmp_path):
    (tmp_path / "settings.ini").write_text(
        "[General]\npencil=abc\ngeometry=none\nreal_time=@Size(1 2)\nface={{\nrecent=@Invalid()\n"
        "[size]\nbrush=\n")
    w = window(start=False)
    assert w.controls.pencil.value() == 100 and w.controls.real_time.isChecked() and w.canvas.sizes["brush"] > 0


def test_what_is_under_way_is_said_until_it_is_done(window, qtbot):
    w = window(start=False)
    w.filing.said.emit("Looking for the face…")
    qtbot.wait(4500)
    assert w.statusBar().currentMessage() == "Looking for the face…"
    w.filing.said.emit("Done")
    qtbot.waitUntil(lambda: not w.statusBar().currentMessage(), timeout=PATIENCE)


def test_what_is_drawn_while_a_picture_is_read_is_asked_about(window, tmp_path, qtbot, monkeypatch):
    w, go, asked = window(start=False), threading.Event(), []
    read = files.open_picture
    files.save_drawing(tmp_path / "a.png", np.full((512, 512), 255, np.uint8), w.document.settings)
    monkeypatch.setattr(files, "open_picture", lambda *a: (go.wait(PATIENCE / 1000), read(*a))[1])
    monkeypatch.setattr(filing, "ask_unsaved", lambda window: (asked.append(1), QMessageBox.Cancel)[1])
    assert w.filing.open(str(tmp_path / "a.png"))
    draw(w.canvas, LINE)
    before = w.document.pixels()
    go.set()
    qtbot.waitUntil(lambda: not w.statusBar().currentMessage(), timeout=PATIENCE)
    assert asked and np.array_equal(w.document.pixels(), before) and not w.document.is_blank()
