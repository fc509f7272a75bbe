"""The real window, driven by hand: mouse, pen, keys, sliders, files."""
import numpy as np
import pytest
from conftest import PATIENCE, Weights
from hands import draw, mouse, pen
from PIL import Image
from PyQt5.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PyQt5.QtGui import QDragEnterEvent, QDropEvent, QImage, QMouseEvent, QWheelEvent
from PyQt5.QtTest import QTest
from PyQt5.QtWidgets import QApplication, QFileDialog, QMessageBox

from jt_dfd.gui import engine as engine_module
from jt_dfd.gui import files, filing
from jt_dfd.gui.messages import EngineTrouble, KeySheet
from jt_dfd.gui.series import Morph, Sweep
from jt_dfd.gui.strokes import to_array

LINE = [(100, 100), (200, 120), (300, 180), (380, 300)]


def faces(window):
    """The window's faces as they come."""
    seen = []
    window.engine.face.connect(seen.append)
    return seen


def settle(window, qtbot):
    qtbot.waitUntil(lambda: window.engine.state == engine_module.READY and not window.engine.waiting, timeout=PATIENCE)


def key(window, key, modifiers=Qt.NoModifier):
    QTest.keyClick(window.canvas, key, modifiers)


def shown(widget):
    """What a widget shows, as a grey array."""
    return to_array(widget.grab().toImage().convertToFormat(QImage.Format_Grayscale8))


# -- drawing -----------------------------------------------------------------------------------------------------------
def test_a_mouse_stroke_becomes_ink_a_shadow_and_a_face(window, qtbot):
    w = window()
    seen = faces(w)
    qtbot.waitUntil(lambda: w.engine.state == engine_module.READY, timeout=PATIENCE)
    draw(w.canvas, LINE)
    assert w.document.pixels()[100:300].min() == 0
    qtbot.waitUntil(lambda: bool(seen), timeout=PATIENCE)
    assert np.array_equal(seen[-1].sketch, w.document.pixels())
    assert w.live.shadow is not None and w.live.shadow.min() < 255
    assert shown(w.face).std() > 10
    page = shown(w.canvas)
    assert ((page > 195) & (page < 213)).sum() > 500, "the shadow (128) at 40 % lies under the strokes as 204"
    assert "ms" in w.time_label.text() and w.device_label.text() == "CPU" and "weights" in w.weights_label.text()


def test_ink_appears_while_the_button_is_down_and_escape_drops_it(window):
    w = window(start=False)
    w.actions["guide"].setChecked(False)
    mouse(w.canvas, QEvent.MouseButtonPress, 100, 200)
    for x in range(110, 400, 10):
        mouse(w.canvas, QEvent.MouseMove, x, 200)
    assert shown(w.canvas).min() < 60
    key(w, Qt.Key_Escape)
    mouse(w.canvas, QEvent.MouseButtonRelease, 400, 200)
    assert w.document.is_blank() and shown(w.canvas).min() > 200


def test_what_is_seen_while_drawing_is_what_stays(window):
    """The live stroke is repainted in pieces; the finished one whole.  They must not differ visibly."""
    w = window(start=False)
    mouse(w.canvas, QEvent.MouseButtonPress, 60, 60)
    for n in range(1, 80):
        at = 256 + 190 * np.cos(n / 6), 256 + 150 * np.sin(n / 4)
        mouse(w.canvas, QEvent.MouseMove, *at)
    live = to_array(w.canvas._page.convertToFormat(QImage.Format_Grayscale8))
    mouse(w.canvas, QEvent.MouseButtonRelease, *at)
    after = to_array(w.canvas._page.convertToFormat(QImage.Format_Grayscale8))
    assert np.abs(live.astype(int) - after).max() <= 3


def test_pen_pressure_and_its_eraser_end(window):
    w = window(start=False)
    w.set_size(10)
    pen(w.canvas, [(100, 200, 0.05), (200, 200, 0.1), (400, 200, 0.95)])
    ink = (255 - w.document.pixels().astype(float)).sum(0) / 255
    assert ink[390] > ink[120] + 3
    pen(w.canvas, [(250, 150, 0.9), (250, 250, 0.9)], eraser=True)
    assert w.document.pixels()[200, 250] == 255 and w.canvas.tool == "brush"
    assert w.document.stack.count() == 2


def test_eraser_tool_and_right_button_erase(window):
    w = window(start=False)
    w.set_size(8)
    draw(w.canvas, [(50, 200), (450, 200)])
    key(w, Qt.Key_E)
    assert w.canvas.tool == "eraser" and w.actions["eraser"].isChecked()
    draw(w.canvas, [(150, 180), (150, 220)])
    key(w, Qt.Key_B)
    draw(w.canvas, [(300, 180), (300, 220)], button=Qt.RightButton)
    row = w.document.pixels()[200]
    assert row[150] == 255 and row[300] == 255 and row[220] == 0


def test_undo_redo_clear_by_keys(window):
    w = window(start=False)
    assert not w.actions["undo"].isEnabled() and not w.actions["clear"].isEnabled()
    draw(w.canvas, LINE)
    one = w.document.pixels()
    draw(w.canvas, [(50, 400), (450, 400)])
    two = w.document.pixels()
    key(w, Qt.Key_Z, Qt.ControlModifier)
    assert np.array_equal(w.document.pixels(), one)
    key(w, Qt.Key_Z, Qt.ControlModifier | Qt.ShiftModifier)
    assert np.array_equal(w.document.pixels(), two)
    key(w, Qt.Key_Delete, Qt.ControlModifier)
    assert w.document.is_blank()
    key(w, Qt.Key_Z, Qt.ControlModifier)
    assert np.array_equal(w.document.pixels(), two)


def test_shift_draws_straight_and_mirror_draws_both_halves(window):
    w = window(start=False)
    draw(w.canvas, [(100, 100), (150, 300), (250, 20), (400, 100)], modifiers=Qt.ShiftModifier)
    rows = np.nonzero(w.document.pixels().min(1) < 200)[0]
    assert rows.min() >= 98 and rows.max() <= 101, "a straight line from the first point to the last"
    w.document.clear()
    key(w, Qt.Key_M)
    draw(w.canvas, [(100, 200), (150, 300)])
    pixels = w.document.pixels()
    assert pixels[:, 90:160].min() == 0 and pixels[:, 352:422].min() == 0


def test_brackets_and_slider_change_the_size(window):
    w = window(start=False)
    before = w.canvas.sizes["brush"]
    key(w, Qt.Key_BracketRight)
    key(w, Qt.Key_BracketRight)
    assert w.canvas.sizes["brush"] == before + 2 == w.actions.size.value()
    key(w, Qt.Key_BracketLeft)
    assert w.canvas.sizes["brush"] == before + 1
    w.actions.size.setValue(12)
    draw(w.canvas, [(100, 200), (400, 200)])
    assert (255 - w.document.pixels()[:, 250].astype(float)).sum() / 255 == pytest.approx(12, abs=0.3)


def test_zoom_keeps_the_point_under_the_pointer_and_strokes_land_there(window):
    w = window(start=False)
    pos = w.canvas.pos(400, 100)
    for _ in range(5):
        QApplication.sendEvent(w.canvas, QWheelEvent(
            pos, QPointF(w.canvas.mapToGlobal(pos.toPoint())), QPoint(), QPoint(0, 120), Qt.NoButton, Qt.NoModifier,
            Qt.NoScrollPhase, False))
    assert w.canvas.zoom > 2
    at = w.canvas.at(pos)
    assert (at.x(), at.y()) == pytest.approx((400, 100), abs=1)
    draw(w.canvas, [(400, 100), (420, 110)])
    assert w.document.pixels()[95:115, 395:425].min() == 0
    mouse(w.canvas, QEvent.MouseButtonPress, 400, 100, Qt.MiddleButton)
    target = w.canvas.pos(400, 100) + QPointF(-60, 40)
    before = w.canvas.at(target)
    mouse(w.canvas, QEvent.MouseMove, before.x(), before.y(), Qt.MiddleButton)
    mouse(w.canvas, QEvent.MouseButtonRelease, before.x(), before.y(), Qt.MiddleButton)
    moved = w.canvas.at(target)
    assert (moved.x(), moved.y()) == pytest.approx((400, 100), abs=1), "panning takes the point along"
    key(w, Qt.Key_0, Qt.ControlModifier)
    assert w.canvas.zoom == 1


@pytest.mark.parametrize("size", [(1600, 700), (800, 1000), (600, 450), (2400, 1400)])
def test_both_views_stay_square_and_inside(window, size, qtbot):
    w = window(start=False, size=size)
    qtbot.wait(20)
    for view in (w.canvas, w.face):
        assert view.width() == view.height() >= 100
        assert w.squares.rect().contains(view.geometry())
    assert not w.canvas.geometry().intersects(w.face.geometry())


# -- controls ----------------------------------------------------------------------------------------------------------
def test_sliders_reach_the_engine_and_all_moves_them_together(window, qtbot):
    w = window()
    draw(w.canvas, LINE)
    settle(w, qtbot)
    seen = faces(w)
    w.controls.sliders["nose"].setValue(40)
    qtbot.waitUntil(lambda: bool(seen), timeout=PATIENCE)
    settle(w, qtbot)
    assert seen[-1].settings.refine == {"eye1": 50, "eye2": 50, "nose": 40, "mouth": 50, "rest": 50}
    assert w.controls.sliders["all"].value() == 48
    w.controls.sliders["all"].setValue(25)
    settle(w, qtbot)
    assert set(seen[-1].settings.refine.values()) == {25}
    w.controls.genders["male"].click()
    w.controls.k.setValue(6)
    settle(w, qtbot)
    assert (seen[-1].settings.gender, seen[-1].settings.k) == ("male", 6)


def test_without_real_time_only_convert_makes_a_face(window, qtbot):
    w = window()
    settle(w, qtbot)
    key(w, Qt.Key_R)
    assert not w.controls.real_time.isChecked()
    seen = faces(w)
    draw(w.canvas, LINE)
    w.controls.sliders["mouth"].setValue(10)
    qtbot.wait(400)
    assert not seen
    w.controls.convert.click()
    qtbot.waitUntil(lambda: len(seen) == 1, timeout=PATIENCE)
    draw(w.canvas, [(60, 400), (400, 420)])
    assert "earlier" in w.face.word.text() and w.face.dimmed
    w.controls.real_time.click()
    qtbot.waitUntil(lambda: len(seen) == 2, timeout=PATIENCE)
    assert not w.face.word.isVisible() and not w.face.dimmed


def test_genders_are_grey_where_the_bank_has_none(window, weights, qtbot):
    weights.set(genders=[])
    w = window()
    settle(w, qtbot)
    assert not any(button.isEnabled() for button in w.controls.genders.values())
    draw(w.canvas, LINE)
    settle(w, qtbot)
    assert w.live.result is not None


def test_shadow_switch_and_strength_change_the_page_only(window, qtbot):
    w = window()
    draw(w.canvas, LINE)
    settle(w, qtbot)
    seen, before = faces(w), shown(w.canvas).astype(float).mean()
    w.controls.strength.setValue(90)
    darker = shown(w.canvas).astype(float).mean()
    key(w, Qt.Key_S)
    none = shown(w.canvas).astype(float).mean()
    assert darker < before < none
    qtbot.wait(200)
    assert not seen, "the shadow's look asks for no new face"


def test_an_emptied_page_has_no_face_even_if_one_was_on_its_way(window, weights, qtbot):
    weights.set(face_delay=0.3)
    w = window()
    settle(w, qtbot)
    draw(w.canvas, LINE)
    qtbot.wait(100)
    w.document.clear()
    qtbot.wait(600)
    assert w.live.result is None and w.live.shadow is None and w.face.image is None


def drag(slider, *values):
    """The handle taken, led over the values, and let go."""
    def at(value):
        return QPoint(round(7 + value / 100 * (slider.width() - 14)), slider.height() // 2)

    QTest.mousePress(slider, Qt.LeftButton, pos=at(slider.value()))
    for value in values:
        QApplication.sendEvent(slider, QMouseEvent(QEvent.MouseMove, QPointF(at(value)), Qt.NoButton, Qt.LeftButton,
                                                   Qt.NoModifier))
    QTest.mouseRelease(slider, Qt.LeftButton, pos=at(values[-1]))


def test_undo_takes_back_whatever_a_person_did(window, qtbot):
    """Stroke, drag, keys, gender, K, a part, reset, clear: one step each, back to the beginning and forth again."""
    w = window()
    c = w.controls

    def state():
        s = c.settings()
        return (w.document.pixels().tobytes(), s.face_key())

    states = [state()]

    def did(act):
        count = w.document.stack.count()
        act()
        assert w.document.stack.count() == count + 1
        states.append(state())
        assert states[-1] != states[-2]

    did(lambda: draw(w.canvas, LINE))
    settle(w, qtbot)
    did(lambda: drag(c.sliders["nose"], 80, 60, 50, 30))
    assert c.sliders["nose"].value() < 40
    did(lambda: drag(c.sliders["nose"], 50, 70))
    did(lambda: drag(c.sliders["all"], 20, 10))
    did(lambda: [QTest.keyClick(c.sliders["mouth"], Qt.Key_Right) for _ in range(3)])
    did(lambda: c.genders["male"].click())
    did(lambda: QTest.keyClick(c.k, Qt.Key_Down))
    did(lambda: c.borrow("eye1", np.ones(16, np.float32)))
    did(w.actions["reset"].trigger)
    did(w.actions["clear"].trigger)
    for before in reversed(states[:-1]):
        key(w, Qt.Key_Z, Qt.ControlModifier)
        assert state() == before
    assert not w.actions["undo"].isEnabled() and not w.isWindowModified()
    for after in states[1:]:
        key(w, Qt.Key_Y, Qt.ControlModifier)
        assert state() == after
    seen = faces(w)
    key(w, Qt.Key_Z, Qt.ControlModifier)
    key(w, Qt.Key_Z, Qt.ControlModifier)
    qtbot.waitUntil(lambda: bool(seen) and not w.engine.waiting, timeout=PATIENCE)
    assert seen[-1].settings.face_key() == w.document.settings.face_key(), "the face follows"


# -- history, sweep, morph, random -------------------------------------------------------------------------------------
def two_faces(w, qtbot):
    draw(w.canvas, LINE)
    settle(w, qtbot)
    first = w.document.pixels(), w.live.result
    w.controls.sliders["all"].setValue(30)
    draw(w.canvas, [(60, 400), (300, 420)])
    settle(w, qtbot)
    w.live.keep()
    assert len(w.history.entries) >= 2
    return first


def test_history_brings_back_drawing_and_settings(window, qtbot):
    w = window()
    pixels, result = two_faces(w, qtbot)
    latest = w.document.pixels()
    w.history.restore_wanted.emit(w.history.entries[-1])
    assert np.array_equal(w.document.pixels(), pixels) and w.controls.sliders["all"].value() == 50
    settle(w, qtbot)
    assert np.array_equal(w.live.result.face, result.face)
    count = w.history.count()
    w.live.keep()
    assert w.history.count() == count, "going back makes no second entry"
    w.document.stack.undo()
    assert np.array_equal(w.document.pixels(), latest) and w.controls.sliders["all"].value() == 30


def test_a_part_of_an_earlier_face(window, qtbot):
    w = window()
    two_faces(w, qtbot)
    entry = w.history.entries[-1]
    menu = w.face_menus.history([entry])
    part = next(a.menu() for a in menu.actions() if a.menu())
    part.actions()[0].trigger()  # its left eye
    settle(w, qtbot)
    assert np.array_equal(w.live.result.vectors["eye1"], entry.vectors["eye1"])
    assert not np.array_equal(w.live.result.vectors["eye2"], entry.vectors["eye2"])
    assert w.controls.borrowed_box.isVisible()
    w.controls._borrowed_row.itemAt(0).widget().click()
    settle(w, qtbot)
    assert not np.array_equal(w.live.result.vectors["eye1"], entry.vectors["eye1"])
    assert not w.controls.borrowed_box.isVisible()


def test_the_sweep_shows_five_faces_and_takes_the_chosen(window, qtbot, tmp_path):
    w = window()
    draw(w.canvas, LINE)
    settle(w, qtbot)
    w.actions["sweep"].trigger()
    sweep = w.findChild(Sweep)
    qtbot.waitUntil(lambda: sweep.save.isEnabled(), timeout=PATIENCE)
    assert all(tile.isEnabled() and not tile.icon().isNull() for tile in sweep.tiles)
    sweep.save_into(tmp_path / "out")
    qtbot.waitUntil(lambda: len(list((tmp_path / "out").glob("sweep_*.png"))) == 5, timeout=PATIENCE)
    qtbot.waitUntil(lambda: sweep.save.isEnabled(), timeout=PATIENCE)
    sweep.tiles[2].click()
    assert {s.value() for s in w.controls.sliders.values()} == {50}


def test_a_morph_is_a_series_from_one_face_to_the_other(window, qtbot, tmp_path):
    w = window()
    two_faces(w, qtbot)
    older, newer = w.history.entries[1], w.history.entries[0]
    w.actions["morph"].trigger()
    morph = w.findChild(Morph)
    morph.steps.setValue(5)
    qtbot.waitUntil(lambda: morph.save.isEnabled(), timeout=PATIENCE)
    assert len(morph.frames) == 5 and morph.slider.maximum() == 4
    morph.save_into(tmp_path / "m")
    qtbot.waitUntil(lambda: len(list((tmp_path / "m").glob("morph_*.png"))) == 5, timeout=PATIENCE)
    assert [b.currentIndex() for b in morph.boxes] == [1, 0] and older is not newer


def test_a_random_face_is_a_start_that_can_be_undone(window, qtbot):
    w = window()
    settle(w, qtbot)
    w.actions["random"].trigger()
    qtbot.waitUntil(lambda: not w.document.is_blank(), timeout=PATIENCE)
    settle(w, qtbot)
    assert w.live.result is not None
    w.document.stack.undo()
    assert w.document.is_blank()


# -- files -------------------------------------------------------------------------------------------------------------
def test_save_and_open_bring_back_drawing_and_sliders(window, qtbot, tmp_path, monkeypatch):
    w = window()
    draw(w.canvas, LINE)
    w.controls.sliders["nose"].setValue(33)
    w.controls.genders["male"].click()
    path = tmp_path / "mine.png"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(tmp_path / "mine"), ""))
    assert w.isWindowModified()
    w.actions["save"].trigger()
    assert path.exists() and not w.isWindowModified() and "mine.png" in w.windowTitle()
    pixels = w.document.pixels()
    w.actions["new"].trigger()
    w.controls.sliders["all"].setValue(100)
    w.controls.genders["female"].click()
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a: (str(path), ""))
    w.actions["open"].trigger()
    qtbot.waitUntil(lambda: not w.document.is_blank(), timeout=PATIENCE)
    assert np.array_equal(w.document.pixels(), pixels)
    assert w.controls.sliders["nose"].value() == 33 and w.controls.genders["male"].isChecked()
    assert w.filing.recent()[0] == str(path)
    assert any("mine.png" in action.text() for action in w.actions.recent_menu.actions())
    draw(w.canvas, [(60, 400), (300, 420)])
    w.actions["save"].trigger()  # where it came from, without asking
    assert np.array_equal(files.open_picture(path).pixels, w.document.pixels())


def test_face_and_both_are_saved_and_copied(window, qtbot, tmp_path, monkeypatch):
    w = window()
    assert not w.actions["save_face"].isEnabled()
    draw(w.canvas, LINE)
    settle(w, qtbot)
    for action, name in (("save_face", "f.png"), ("export", "b.png")):
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, name=name: (str(tmp_path / name), ""))
        w.actions[action].trigger()
    assert np.array_equal(np.asarray(Image.open(tmp_path / "f.png")), w.live.result.face)
    both = np.asarray(Image.open(tmp_path / "b.png"))
    assert both.shape == (512, 1024, 3) and np.array_equal(both[:, :512, 0], w.document.pixels())
    key(w, Qt.Key_C, Qt.ControlModifier)
    assert QApplication.clipboard().image().size().width() == 512


def test_drop_paste_and_a_foreign_picture(window, qtbot, tmp_path):
    w = window(start=False)
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.uint8(np.indices((300, 300)).sum(0) // 3)).save(path)
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    QApplication.sendEvent(w, QDragEnterEvent(QPoint(300, 300), Qt.CopyAction, data, Qt.LeftButton, Qt.NoModifier))
    QApplication.sendEvent(w, QDropEvent(QPointF(300, 300), Qt.CopyAction, data, Qt.LeftButton, Qt.NoModifier))
    qtbot.waitUntil(lambda: not w.document.is_blank(), timeout=PATIENCE)
    assert w.document.path == "", "Save must not write over a foreign picture"
    image = QImage(64, 32, QImage.Format_ARGB32)
    image.fill(Qt.transparent)  # nothing on it: white
    QApplication.clipboard().setImage(image)
    key(w, Qt.Key_V, Qt.ControlModifier)
    qtbot.waitUntil(lambda: w.document.is_blank(), timeout=PATIENCE)
    w.document.stack.undo()
    assert not w.document.is_blank()


def test_a_picture_that_cannot_be_read_is_named_and_nothing_is_lost(window, qtbot, tmp_path, monkeypatch):
    w = window(start=False)
    draw(w.canvas, LINE)
    pixels, told = w.document.pixels(), []
    monkeypatch.setattr(filing, "ask_unsaved", lambda window: QMessageBox.Discard)
    monkeypatch.setattr(w.filing, "warn", lambda *text: told.append(text))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    w.filing.open(str(tmp_path / "bad.png"))
    qtbot.waitUntil(lambda: bool(told), timeout=PATIENCE)
    assert "bad.png" in told[0][1] and np.array_equal(w.document.pixels(), pixels)


@pytest.mark.parametrize("answer, closed, saved", [
    (QMessageBox.Cancel, False, False), (QMessageBox.Discard, True, False), (QMessageBox.Save, True, True)])
def test_closing_asks_about_unsaved_changes(window, tmp_path, monkeypatch, answer, closed, saved):
    w = window(start=False)
    draw(w.canvas, LINE)
    path, asked = tmp_path / "kept.png", []
    monkeypatch.setattr(filing, "ask_unsaved", lambda window: asked.append(1) or answer)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(path), ""))
    assert w.close() is closed
    assert asked and path.exists() is saved


def test_a_disk_that_refuses_is_told_and_the_drawing_stays_unsaved(window, monkeypatch):
    w = window(start=False)
    draw(w.canvas, LINE)
    told = []
    monkeypatch.setattr(w.filing, "warn", lambda *text: told.append(text))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: ("/proc/no/such.png", ""))
    w.actions["save"].trigger()
    assert "/proc/no/such.png" in told[0][1] and w.isWindowModified()


def test_the_window_remembers_how_it_was_left(window):
    w = window(start=False, size=(1111, 755))
    w.controls.sliders["eye1"].setValue(12)
    w.controls.real_time.setChecked(False)
    w.set_size(7)
    w.set_theme("dark")
    w.set_language("zh")
    w.close()
    again = window(start=False, size=(1111, 755))
    assert again.controls.sliders["eye1"].value() == 12 and not again.controls.real_time.isChecked()
    assert again.canvas.sizes["brush"] == 7
    assert again.palette().window().color().lightness() < 100 and again.actions["save"].iconText() == "保存草图"
    again.set_language("en")
    again.set_theme("light")


# -- trouble -----------------------------------------------------------------------------------------------------------
def test_an_engine_killed_leaves_the_drawing_and_comes_back(window, weights, qtbot):
    import os
    import signal

    weights.set(hang="face")
    w, told = window(), []
    settle(w, qtbot)
    # looked at in the very moment: how soon afterwards the engine is back is nobody's business
    w.engine.notice.connect(lambda *_: told.append(
        (w.engine.state, w.statusBar().currentMessage(), w.face.note.isVisible())))
    draw(w.canvas, LINE)
    pixels = w.document.pixels()
    qtbot.waitUntil(lambda: weights.arrived("face"), timeout=PATIENCE)
    weights.set()
    os.kill(w.engine.pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: bool(told), timeout=PATIENCE)
    state, words, note = told[0]
    assert state == engine_module.WAITING and "started again" in words and note
    draw(w.canvas, [(60, 400), (300, 420)])  # drawing goes on meanwhile
    assert not np.array_equal(w.document.pixels(), pixels)
    settle(w, qtbot)
    assert np.array_equal(w.live.result.sketch, w.document.pixels()) and not w.face.note.isVisible()


def test_broken_weights_offer_another_folder(window, weights, qtbot, tmp_path, monkeypatch):
    weights.set(broken="latest_net_G.pkl: expected 123 arrays, found 12")
    w = window()
    draw(w.canvas, LINE)
    qtbot.waitUntil(lambda: w.findChild(EngineTrouble) is not None, timeout=PATIENCE)
    dialog = w.findChild(EngineTrouble)
    assert "latest_net_G.pkl" in dialog.message.text() and "Traceback" in dialog.details.toPlainText()
    assert not dialog.isModal() and "not running" in w.face.title.text()
    good = Weights(tmp_path / "good")
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *a: str(good.folder))
    dialog.folder.click()
    settle(w, qtbot)
    qtbot.waitUntil(lambda: w.live.result is not None, timeout=PATIENCE)
    assert w.weights_label.text().endswith("good") and w.settings.value("params") == str(good.folder)


def test_progress_of_the_compile_is_seen_and_one_can_draw_meanwhile(window, weights, qtbot):
    weights.set(compile=2)
    w, seen = window(), []

    def look(*step):
        text = w.face.step.text()
        if "2 / 4" in text and not seen:
            draw(w.canvas, LINE)
            seen.append((w.face.note.isVisible(), text, w.face.bar.maximum(), w.document.is_blank()))

    w.engine.progress.connect(look)
    qtbot.waitUntil(lambda: bool(seen), timeout=PATIENCE)
    visible, text, most, blank = seen[0]
    assert visible and "ompiling" in text and most == 4 and not blank
    settle(w, qtbot)
    assert not w.face.note.isVisible() and np.array_equal(w.live.result.sketch, w.document.pixels())


def test_f1_shows_the_keys(window):
    w = window(start=False)
    key(w, Qt.Key_F1)
    assert w.findChild(KeySheet).isVisible()


def test_undo_in_the_middle_of_a_stroke(window):
    w = window(start=False)
    draw(w.canvas, LINE)
    mouse(w.canvas, QEvent.MouseButtonPress, 60, 400)
    mouse(w.canvas, QEvent.MouseMove, 200, 420)
    key(w, Qt.Key_Z, Qt.ControlModifier)
    mouse(w.canvas, QEvent.MouseMove, 300, 400)
    mouse(w.canvas, QEvent.MouseButtonRelease, 300, 400)
    assert w.document.stack.count() == 1
    assert w.document.pixels()[90:310].min() == 255 and w.document.pixels()[395:425].min() == 0
    page = to_array(w.canvas._page.convertToFormat(QImage.Format_Grayscale8))
    assert page[180:620].min() == 255
