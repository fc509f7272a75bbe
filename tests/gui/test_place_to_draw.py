"""The window as a place to draw: the empty page, words, drawings as strokes, room."""
import numpy as np
import pytest
from conftest import PATIENCE, Weights
from hands import draw, drop, mouse
from PyQt5.QtCore import QEvent, QMimeData, Qt, QUrl
from PyQt5.QtGui import QImage
from PyQt5.QtTest import QTest
from PyQt5.QtWidgets import (
    QAbstractButton,
    QAbstractSlider,
    QAbstractSpinBox,
    QFileDialog,
    QLabel,
    QMessageBox,
    QScrollBar,
    QWidget,
)
from test_window import LINE, faces, key, settle

from jt_dfd.errors import UserError
from jt_dfd.gui import app, files, filing, messages
from jt_dfd.gui.canvas import Canvas
from jt_dfd.gui.faceview import FaceView
from jt_dfd.gui.filing import ask_unsaved
from jt_dfd.gui.guide import EXAMPLES
from jt_dfd.gui.history import History
from jt_dfd.gui.messages import EngineTrouble, plainly
from jt_dfd.gui.settings import FaceSettings
from jt_dfd.gui.strokes import Picture, Raster, Stroke, to_array
from jt_dfd.gui.words import plain


def guide(w):
    """How much of the page is painted in the guide's blue."""
    picture = w.canvas.grab().toImage()
    return sum(picture.pixelColor(x, y).blue() - picture.pixelColor(x, y).red() > 20
               for x in range(0, picture.width(), 2) for y in range(0, picture.height(), 2))


# -- the empty page ----------------------------------------------------------------------------------------------------
def test_the_empty_page_speaks_until_something_is_drawn_and_can_be_silenced(window):
    w = window(start=False)
    said = w.empty_page.sentence
    assert said.isVisible() and "Draw a face" in said.text() and guide(w) > 100
    assert len(w.empty_page.buttons) == 3
    assert w.document.pixels().min() == 255, "the guide is no part of the drawing"
    mouse(w.canvas, QEvent.MouseButtonPress, 100, 200)
    mouse(w.canvas, QEvent.MouseMove, 200, 220)
    assert not said.isVisible() and guide(w) == 0
    mouse(w.canvas, QEvent.MouseButtonRelease, 200, 220)
    w.document.stack.undo()
    assert said.isVisible() and guide(w) > 100
    w.actions["guide"].trigger()
    assert not said.isVisible() and guide(w) == 0 and not any(b.isVisible() for b in w.empty_page.buttons.values())
    w.document.saved("")
    w.close()
    assert window(start=False).empty_page.sentence.isHidden(), "remembered"


def test_one_can_draw_through_the_sentence(window):
    w = window(start=False)
    middle = w.canvas.at(w.empty_page.sentence.geometry().center() + w.canvas.rect().topLeft())
    child = w.canvas.childAt(w.empty_page.sentence.geometry().center())
    assert child is None or child.testAttribute(Qt.WA_TransparentForMouseEvents)
    QTest.mouseClick(w.canvas, Qt.LeftButton, pos=w.canvas.pos(middle.x(), middle.y()).toPoint())
    assert not w.document.is_blank()


@pytest.mark.parametrize("way", ["click", "menu"])
def test_an_example_is_a_drawing_to_go_on_from(window, qtbot, way):
    w = window()
    settle(w, qtbot)
    seen = faces(w)
    if way == "click":
        QTest.mouseClick(w.empty_page.buttons[sorted(EXAMPLES)[1]], Qt.LeftButton)
    else:
        w.actions.examples_menu.actions()[1].trigger()
    assert not w.document.is_blank() and w.controls.genders["male"].isChecked()
    assert not w.isWindowModified() and w.document.path == "", "nothing of the person's is lost with it"
    qtbot.waitUntil(lambda: bool(seen), timeout=PATIENCE)
    steps = w.document.stack.count()
    before = w.document.pixels()
    key(w, Qt.Key_Z, Qt.ControlModifier)
    assert steps > 10 and 0 < (w.document.pixels() != before).sum() < 3000, "one of its strokes"
    draw(w.canvas, LINE)
    assert w.isWindowModified()


def test_an_example_asks_before_it_replaces_a_drawing(window, monkeypatch):
    w = window(start=False)
    draw(w.canvas, LINE)
    pixels = w.document.pixels()
    monkeypatch.setattr(filing, "ask_unsaved", lambda window: QMessageBox.Cancel)
    w.actions.examples_menu.actions()[0].trigger()
    assert np.array_equal(w.document.pixels(), pixels)


# -- words -------------------------------------------------------------------------------------------------------------
def test_parts_have_plain_names_k_is_under_advanced_and_convert_only_without_real_time(window):
    w = window(start=False)
    labels = [label.text().replace("&&", "&") for label in w.controls.findChildren(QLabel)]
    for name in ("Left eye", "Right eye", "Nose", "Mouth", "Hair & outline", "All"):
        assert name in labels
    assert not w.controls.k.isVisible() and not w.controls.convert.isVisible()
    w.controls.advanced.click()
    assert w.controls.k.isVisible()
    w.controls.real_time.click()
    assert w.controls.convert.isVisible()


def test_a_greyed_action_says_why(window, qtbot):
    w = window()
    settle(w, qtbot)
    for name, why in (("save_face", "no face yet"), ("clear", "empty"), ("undo", "nothing to undo"),
                      ("morph", "two faces")):
        assert not w.actions[name].isEnabled() and why in w.actions[name].toolTip(), name
    assert all(menu.menu().toolTipsVisible() for menu in w.menuBar().actions())
    draw(w.canvas, LINE)
    qtbot.waitUntil(lambda: w.live.result is not None, timeout=PATIENCE)
    for name in ("save_face", "clear", "undo"):
        assert w.actions[name].isEnabled() and "\n" not in w.actions[name].toolTip(), name


def test_dialogs_do_not_speak_of_options_and_checksums():
    long = ("/w/nose.pkl: its sha256 is not the one in /w/config.json: the file was changed or damaged. Fetch it "
            "again, or write the folder anew. Point --params at a folder that does. See tools/fetch_release.py.")
    assert plainly(long) == ("/w/nose.pkl: the file was changed or damaged. Fetch it again, or write the folder anew.")
    assert plainly("use --params") == "The weights cannot be used"


def test_bundled_weights_are_one_click_away(window, weights, qtbot, tmp_path, monkeypatch):
    good = Weights(tmp_path / "bundled")
    from jt_dfd.gui import window as window_module

    monkeypatch.setattr(window_module, "bundled", lambda: str(good.folder))
    weights.set(broken="its sha256 is not the one in config.json: the file was changed or damaged. "
                       "Point --params at others.")
    w = window()
    draw(w.canvas, LINE)
    qtbot.waitUntil(lambda: w.findChild(EngineTrouble) is not None, timeout=PATIENCE)
    dialog = w.findChild(EngineTrouble)
    assert "damaged" in dialog.message.text()
    assert not any(word in dialog.message.text() for word in ("--", "sha256"))
    assert "--params" in dialog.details.toPlainText(), "the whole of it is there for who asks"
    QTest.mouseClick(dialog.bundled, Qt.LeftButton)
    qtbot.waitUntil(lambda: w.live.result is not None, timeout=PATIENCE)
    assert w.engine.params == str(good.folder)
    assert not messages.EngineTrouble(True, "", "", False, w).bundled.isVisibleTo(w) and app.bundled().endswith("demo")


# -- strokes as SVG ----------------------------------------------------------------------------------------------------
def page(items):
    raster = Raster(1)
    raster.show(items)
    return to_array(raster.image)


def test_a_drawing_of_all_kinds_comes_back_from_svg_stroke_by_stroke(tmp_path):
    items = [Picture(np.random.default_rng(0).integers(200, 256, (512, 512)).astype(np.uint8)),
             Stroke(3.0, points=[(10, 10, 1.0), (200, 300, 1.0)]),
             Stroke(9.0, mirror=True, points=[(50, 60, 0.2), (90, 99, 0.9)]),
             Stroke(20.0, erase=True, points=[(100, 100, 1.0)])]
    path = tmp_path / "d.svg"
    files.save_svg(path, items, FaceSettings("male", k=4))
    found, settings = files.load_svg(path)
    assert len(found) == 4 and (settings.gender, settings.k) == ("male", 4)
    assert np.abs(page(found).astype(int) - page(items)).max() <= 3
    assert [p.name for p in tmp_path.iterdir()] == ["d.svg"]


@pytest.mark.parametrize("text", ["", "<svg/>", "no", '<svg xmlns="http://www.w3.org/2000/svg" data-program="jt_dfd">'
                                  '<polyline data-width="x" points="1,2" data-pressure="1"/></svg>',
                                  '<!DOCTYPE s [<!ENTITY a "b">]><svg data-program="jt_dfd">&a;</svg>'])
def test_what_is_no_drawing_of_ours_is_named(tmp_path, text):
    (tmp_path / "x.svg").write_text(text)
    with pytest.raises(UserError, match="x.svg"):
        files.load_svg(tmp_path / "x.svg")


def test_strokes_saved_as_svg_can_be_undone_after_opening(window, qtbot, tmp_path, monkeypatch):
    w = window(start=False)
    draw(w.canvas, LINE)
    one = w.document.pixels()
    draw(w.canvas, [(60, 400), (300, 420)])
    two = w.document.pixels()
    w.controls.sliders["nose"].setValue(20)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(tmp_path / "mine"), "Strokes, SVG (*.svg)"))
    w.actions["save"].trigger()
    assert (tmp_path / "mine.svg").exists() and not w.isWindowModified()
    w.actions["new"].trigger()
    w.filing.open(str(tmp_path / "mine.svg"))
    qtbot.waitUntil(lambda: not w.document.is_blank(), timeout=PATIENCE)
    assert np.abs(w.document.pixels().astype(int) - two).max() <= 3 and not w.isWindowModified()
    assert w.controls.sliders["nose"].value() == 20
    w.document.stack.undo()
    assert np.abs(w.document.pixels().astype(int) - one).max() <= 3 and w.isWindowModified()
    w.document.stack.redo()
    assert not w.isWindowModified()
    w.actions["save"].trigger()  # to where it came from, without asking
    assert len(files.load_svg(tmp_path / "mine.svg")[0]) == 2


# -- past faces --------------------------------------------------------------------------------------------------------
def a_face(w, qtbot, points):
    draw(w.canvas, points)
    settle(w, qtbot)
    w.live.keep()


def menu_entry(menu, beginning):
    return next(a for a in menu.actions() if a.text().startswith(beginning))


def test_the_faces_of_one_drawing_are_one_entry_with_its_steps_inside(window, qtbot):
    w = window()
    for n in range(3):
        a_face(w, qtbot, [(60, 100 + 40 * n), (400, 120 + 40 * n)])
    assert w.history.count() == 1 and len(w.history.entries) == 3
    w.document.saved("")
    w.actions["new"].trigger()
    a_face(w, qtbot, LINE)
    assert w.history.count() == 2 and len(w.history.entries) == 4
    session = w.history.item(1).data(Qt.UserRole)
    menu_entry(w.face_menus.history([session]), "Show its 3 steps").trigger()
    assert w.history.count() == 4
    first = w.history.item(3).data(Qt.UserRole)
    assert first is w.history.entries[-1]
    w.history.itemDoubleClicked.emit(w.history.item(3))
    assert np.array_equal(w.document.pixels(), first.drawing)
    menu_entry(w.face_menus.history([session]), "Put the steps").trigger()
    assert w.history.count() == 2
    w.history.item(1).setSelected(True)
    QTest.keyClick(w.history, Qt.Key_Delete)
    assert w.history.count() == 1 and len(w.history.entries) == 1, "folded, it goes with its steps"


def test_a_face_can_be_pinned_and_named(window, qtbot, monkeypatch):
    from PyQt5.QtWidgets import QInputDialog

    from jt_dfd.gui import history

    monkeypatch.setattr(history, "MAX_ENTRIES", 3)
    w = window()
    a_face(w, qtbot, LINE)
    dear = w.history.entries[0]
    menu_entry(w.face_menus.history([dear]), "Pin").trigger()
    monkeypatch.setattr(QInputDialog, "getText", lambda *a, **k: ("Aunt", True))
    menu_entry(w.face_menus.history([dear]), "Name").trigger()
    for n in range(5):
        a_face(w, qtbot, [(60, 200 + 30 * n), (400, 220 + 30 * n)])
    assert w.history.item(0).data(Qt.UserRole) is dear and w.history.item(0).text() == "Aunt"
    assert len(w.history.entries) == 3, "others made room, it did not"


@pytest.mark.parametrize("size, least, columns", [((1920, 1040), 780, 2), ((1366, 740), 500, 2), ((683, 384), 150, 2)])
def test_page_face_and_history_use_the_room(window, qtbot, size, least, columns):
    w = window(size=size)
    for n in range(2 * columns):
        w.document.saved("")
        w.actions["new"].trigger()
        a_face(w, qtbot, [(60, 100 + 40 * n), (400, 120 + 40 * n)])
    assert (w.width(), w.height()) == size
    assert w.canvas.width() >= least and w.face.width() == w.canvas.width()
    boxes = [w.history.visualItemRect(w.history.item(n)) for n in range(2 * columns)]
    assert len({box.top() for box in boxes}) == 2 and len({box.left() for box in boxes}) == columns
    assert w.history.iconSize().width() >= (100 if size[0] > 700 else 75)
    right = w.history.mapTo(w, w.history.rect().topRight()).x()
    assert right <= w.width() and w.side.horizontalScrollBar().maximum() == 0


def test_at_half_a_small_screen_the_panel_makes_room_for_the_page(window, qtbot):
    """683 x 384: a screen of 1366 x 768 at 200 %."""
    w = window(start=False, size=(683, 384))
    assert (w.width(), w.height()) == (683, 384)
    before = w.canvas.width()
    key(w, Qt.Key_F9)
    qtbot.waitUntil(lambda: w.canvas.width() > 1.2 * before)
    assert not w.side.isVisible() and w.canvas.width() >= 230
    for name in ("open", "brush", "random", "morph", "panel"):
        button = w.actions.bar.widgetForAction(w.actions[name])
        assert button.isVisible() and button.geometry().right() < w.actions.bar.width()
    key(w, Qt.Key_F9)
    w.side.ensureWidgetVisible(w.controls.real_time)
    QTest.mouseClick(w.controls.real_time, Qt.LeftButton, pos=w.controls.real_time.rect().center() * 0.3)
    assert not w.controls.real_time.isChecked()


# -- a random face -----------------------------------------------------------------------------------------------------
def soft_face():
    """Grey smudge with two windows' borders, as networks decode drawings, and lines in it."""
    oval = [(256 + 120 * np.cos(a), 260 + 160 * np.sin(a), 1.0) for a in np.linspace(0, 6.28, 60)]
    lines = [Stroke(4.0, points=oval), Stroke(4.0, points=[(200, 250, 1.0), (240, 240, 1.0)]),
             Stroke(4.0, points=[(210, 340, 1.0), (300, 345, 1.0)])]
    soft = page(lines).astype(float)
    soft = (soft + np.roll(soft, 1, 0) + np.roll(soft, 1, 1) + np.roll(soft, -1, 0)) / 4
    soft -= 18
    soft[200:300, 150:280] -= 15
    return np.clip(soft + np.random.default_rng(0).normal(0, 4, soft.shape), 0, 255).astype(np.uint8), page(lines)


def test_a_soft_drawing_becomes_thin_lines_where_its_lines_were():
    from jt_dfd.data.strokes import lines_of

    soft, drawn = soft_face()
    lines = lines_of(soft)
    assert 3 <= len(lines) <= 6
    again = page([Stroke(2.0, points=[(x, y, 1.0) for x, y in line]) for line in lines])
    assert set(np.unique(again[:150, :100])) == {255}, "no smudge"
    broad = page([Stroke(9.0, points=[(x, y, 1.0) for x, y in line]) for line in lines])
    assert ((drawn < 60) & (broad > 200)).sum() < 0.05 * (drawn < 60).sum()
    around = np.minimum.reduce([np.roll(drawn, (dy, dx), (0, 1)) for dy in (-4, 0, 4) for dx in (-4, 0, 4)])
    assert ((again < 128) & (around > 240)).sum() < 0.1 * (again < 128).sum(), "lines where none was"


def test_a_random_face_is_strokes_that_can_be_erased_and_undone_in_one_step(window, qtbot):
    w = window()
    settle(w, qtbot)
    draw(w.canvas, LINE)
    before = w.document.pixels()
    w.actions["random"].trigger()
    qtbot.waitUntil(lambda: w.document.stack.count() == 2, timeout=PATIENCE)
    assert all(isinstance(item, Stroke) for item in w.document.items)
    assert 0 < (w.document.pixels() < 128).sum() < 3000
    key(w, Qt.Key_Z, Qt.ControlModifier)
    assert np.array_equal(w.document.pixels(), before)


# -- small things ------------------------------------------------------------------------------------------------------
def links(*urls):
    data = QMimeData()
    data.setUrls([QUrl(url) for url in urls])
    return data


def test_several_dropped_files_are_stepped_through(window, qtbot, tmp_path):
    w = window(start=False)
    paths = [tmp_path / f"{n} & so.png" for n in range(3)]
    for n, path in enumerate(paths):
        picture = np.full((512, 512), 255, np.uint8)
        picture[100 + 50 * n:110 + 50 * n, 100:400] = 0
        files.save_drawing(path, picture, FaceSettings())

    def at(n):
        qtbot.waitUntil(lambda: w.document.path == str(paths[n]), timeout=PATIENCE)

    assert not w.actions["next"].isEnabled()
    steps = drop(w, links(*(QUrl.fromLocalFile(str(p)).toString() for p in paths)))
    next(steps)
    assert w.drops.mark.isVisible() and "3 files" in w.drops.mark.text()
    next(steps)
    assert not w.drops.mark.isVisible()
    at(0)
    assert not w.actions["previous"].isEnabled()
    key(w, Qt.Key_PageDown)
    at(1)
    w.actions["next"].trigger()
    at(2)
    assert not w.actions["next"].isEnabled()
    key(w, Qt.Key_PageUp)
    at(1)
    assert plain(w.actions.recent_menu.actions()[0].text()).endswith("1 & so.png")


def test_a_link_from_a_web_page_says_what_to_do(window, qtbot):
    w = window(start=False)
    list(drop(w, links("https://example.org/face.png")))
    qtbot.waitUntil(lambda: "Copy the picture" in w.statusBar().currentMessage(), timeout=PATIENCE)


def test_a_mistyped_path_makes_no_folders(window, tmp_path, monkeypatch):
    w, told = window(start=False), []
    draw(w.canvas, LINE)
    monkeypatch.setattr(w.filing, "warn", lambda *text: told.append(text))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(tmp_path / "misttyped" / "a.png"), ""))
    w.actions["save"].trigger()
    assert "misttyped" in told[0][1] and not (tmp_path / "misttyped").exists() and w.isWindowModified()


def test_an_autosave_that_fails_is_told_by_the_drawing_until_it_works(window, tmp_path, qtbot):
    (tmp_path / "recovery").write_text("a file where the folder should be")
    w = window(start=False)
    draw(w.canvas, LINE)
    qtbot.waitUntil(lambda: "autosaved" in w.squares.bad.text(), timeout=PATIENCE)
    assert w.squares.bad.isVisible() and "recovery" in w.squares.bad.toolTip()
    w.resize(683, 384)
    bad, caption = w.squares.bad, w.squares.captions[0]
    qtbot.waitUntil(lambda: bad.width() < 250, timeout=PATIENCE)  # where its words do not fit beside the caption
    look = bad.grab().toImage().convertToFormat(QImage.Format_RGBA8888)
    bits = look.constBits()
    bits.setsize(look.byteCount())
    seen = np.frombuffer(bits, np.uint8).reshape(look.height(), -1, 4).astype(int)
    assert np.ptp(seen[:, :12], axis=(0, 1)).max() > 50, "it begins with its 'not'"
    assert not caption.isVisible() and bad.geometry() == caption.geometry()
    (tmp_path / "recovery").unlink()
    draw(w.canvas, [(60, 400), (300, 420)])
    qtbot.waitUntil(lambda: not w.squares.bad.text(), timeout=PATIENCE)
    assert caption.isVisible()


def test_the_question_about_changes_has_letters_to_press(window, monkeypatch):
    asked = []

    def execute(box):
        asked.append({box.standardButton(b): b.text() for b in box.buttons()})
        return QMessageBox.Cancel

    monkeypatch.setattr(QMessageBox, "exec_", execute)
    assert ask_unsaved(window(start=False)) == QMessageBox.Cancel
    assert {t[t.index("&") + 1] for t in asked[0].values()} == {"S", "D", "C"}


def test_the_face_of_the_drawing_before_is_marked_after_opening_another(window, qtbot, tmp_path):
    w = window()
    draw(w.canvas, LINE)
    settle(w, qtbot)
    qtbot.waitUntil(lambda: w.live.result is not None, timeout=PATIENCE)
    w.controls.real_time.setChecked(False)
    w.document.saved("")
    w.actions.examples_menu.actions()[0].trigger()
    assert w.face.dimmed and "earlier" in w.face.word.text()


# -- taking away -------------------------------------------------------------------------------------------------------
def test_a_quick_save_asks_nothing_and_leaves_the_drawing_s_own_file(window, qtbot, tmp_path):
    w = window()
    w.settings.setValue("quick_folder", str(tmp_path / "faces"))
    assert not w.actions["quick"].isEnabled()
    draw(w.canvas, LINE)
    qtbot.waitUntil(lambda: w.live.result is not None, timeout=PATIENCE)
    for n in (1, 2):  # twice in a second: two folders
        key(w, Qt.Key_D, Qt.ControlModifier)
        qtbot.waitUntil(lambda n=n: len(list((tmp_path / "faces").glob("*/face.png"))) == n, timeout=PATIENCE)
    folder = sorted((tmp_path / "faces").iterdir())[0]
    assert sorted(f.name for f in folder.iterdir()) == ["drawing.png", "drawing.svg", "face.png"]
    assert np.array_equal(files.open_picture(folder / "face.png").pixels, w.document.pixels())
    assert len(files.load_svg(folder / "drawing.svg")[0]) == 1 and w.document.path == "" and w.isWindowModified()


@pytest.mark.parametrize("suffix", [".gif", ".mp4", ".webm"])
def test_a_morph_is_saved_as_a_film_and_a_face_in_between_is_used(window, qtbot, tmp_path, suffix):
    from jt_dfd.gui.series import Morph

    w = window()
    a_face(w, qtbot, LINE)
    a_face(w, qtbot, [(60, 400), (300, 420)])
    w.actions["morph"].trigger()
    morph = w.findChild(Morph)
    morph.steps.setValue(5)
    qtbot.waitUntil(lambda: morph.film.isEnabled() and len(morph.frames) == 5, timeout=PATIENCE)
    path = tmp_path / f"m{suffix}"
    morph.film_into(path)
    qtbot.waitUntil(lambda: morph.film.isEnabled(), timeout=PATIENCE)
    assert [f.name for f in tmp_path.iterdir() if f.suffix in files.FILM_SUFFIXES] == [path.name]
    if suffix == ".gif":
        from PIL import Image

        film = Image.open(path)
        count = film.n_frames
        film.seek(0)
        first = np.asarray(film.convert("RGB")).astype(int)
        assert count >= 5 and film.info["loop"] == 0
    else:
        import cv2

        film = cv2.VideoCapture(str(path))
        count = int(film.get(cv2.CAP_PROP_FRAME_COUNT))
        first = film.read()[1][:, :, ::-1].astype(int)
        assert count == 2 * files.FILM_REST + 3 + 3
    assert np.abs(first - morph.frames[0]).mean() < 12, "and in its own colours"
    morph.slider.setValue(2)
    between = morph.vectors()
    steps = w.document.stack.count()
    QTest.mouseClick(morph.use, Qt.LeftButton)
    qtbot.waitUntil(lambda: not w.engine.waiting and np.allclose(w.live.result.vectors["nose"], between["nose"]),
                    timeout=PATIENCE)
    assert w.document.stack.count() == steps + 1
    w.document.stack.undo()
    assert not w.controls.settings().borrowed


def test_the_steps_of_a_drawing_are_saved_as_a_film(window, qtbot, tmp_path, monkeypatch):
    from PIL import Image

    w = window()
    for n in range(3):
        a_face(w, qtbot, [(60, 100 + 40 * n), (400, 120 + 40 * n)])
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a: (str(tmp_path / "h"), "GIF (*.gif)"))
    menu_entry(w.face_menus.history([w.history.entries[0]]), "Save its steps").trigger()
    qtbot.waitUntil(lambda: (tmp_path / "h.gif").exists(), timeout=PATIENCE)
    film = Image.open(tmp_path / "h.gif")
    assert film.size == (1024, 512) and film.n_frames >= 3


# -- drawing without a pause -------------------------------------------------------------------------------------------
class Hand:
    """The window's end of the engine's connection, in a time of its own: 200 strokes at 10 a second, each asking for a
    face, whatever the engine is doing; what it tells is noted with the moment."""

    def __init__(self):
        self.now, self.told = 0.0, []
        self.strokes = [(0.1 * n, {"do": "face", "id": n, "sketch": n, "gender": "female", "refine": 1, "k": 15,
                                   "borrowed": {}}) for n in range(200)]

    def poll(self):
        return bool(self.strokes) and self.strokes[0][0] <= self.now

    def recv(self):
        if not self.strokes:
            raise EOFError  # the window is closed
        at, message = self.strokes.pop(0)
        self.now = max(self.now, at)
        return message

    def send(self, message):
        self.told.append((self.now, message["kind"], message.get("id")))


@pytest.mark.parametrize("shadow, face", [(0.05, 0.35), (0.15, 0.5), (0.3, 0.4), (0.02, 0.08)])
def test_200_strokes_at_ten_a_second_show_a_face_every_second_and_a_half(monkeypatch, shadow, face):
    """Shadow and face take their seconds of the hand's own time, not of this machine's, which may be busy."""
    from types import SimpleNamespace

    from jt_dfd.gui import engine_process

    hand = Hand()

    def synthesize(sketch, on_shadow, **rest):
        hand.now += shadow
        on_shadow(np.zeros((2, 2), np.uint8))
        hand.now += face
        return SimpleNamespace(face=np.zeros((2, 2, 3), np.uint8), vectors={})

    monkeypatch.setattr(engine_process, "time", SimpleNamespace(monotonic=lambda: hand.now,
                                                                perf_counter=lambda: hand.now))
    synthesizer = SimpleNamespace(synthesize=synthesize, device="cpu", genders=(), config=None)
    with pytest.raises(EOFError):
        engine_process.Server(hand, lambda *asked: synthesizer, "", "cpu").run()
    faces = [(at, number) for at, kind, number in hand.told if kind == "face"]
    moments = [0.0] + [at for at, _ in faces]
    assert np.diff(moments).max() <= 1.5, np.diff(moments)
    assert faces[-1][1] == 199 and faces[-1][0] <= 19.9 + 2 * (shadow + face), "the newest one at the end"
    answered = {number for _, kind, number in hand.told if kind in ("face", "dropped")}
    assert answered == set(range(200)), "nobody waits for what will not come"


def test_drawn_without_a_pause_by_hand_faces_come_and_the_newest_at_the_end(window, weights, qtbot):
    weights.set(shadow_delay=0.05, face_delay=0.35, hold=True)
    w = window()
    settle(w, qtbot)
    seen, n = [], 0
    w.engine.face.connect(lambda result: seen.append(n))
    while n < 40 or len(seen) < 3:
        draw(w.canvas, [(60 + n % 80, 40 + 5 * n % 400), (400, 60 + 5 * n % 400)])
        n += 1
        assert n < 400, "strokes starve the face"
        qtbot.wait(100)
    qtbot.waitUntil(lambda: not w.engine.waiting, timeout=PATIENCE)
    assert np.array_equal(w.live.result.sketch, w.document.pixels()), "the newest one at the end"


# -- for everyone ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("language", ["en", "es", "zh"])
def test_every_control_has_a_name_for_screen_readers(window, language):
    w = window(start=False)
    w.set_language(language)
    for widget in w.findChildren(QWidget):
        if isinstance(widget, (QAbstractSlider, QAbstractButton, QAbstractSpinBox, Canvas, FaceView, History)) and not (
                isinstance(widget, QScrollBar) or widget.objectName().startswith("qt_")):
            # what Qt tells a screen reader: the name that was set, else a button's text
            spoken = widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "")
            assert spoken, (type(widget).__name__, widget.toolTip())
    w.set_language("en")


def test_a_new_face_is_told_to_screen_readers(window, qtbot):
    w = window()
    assert w.face.accessibleDescription() == "No face yet"
    draw(w.canvas, LINE)
    qtbot.waitUntil(lambda: "made from the drawing" in w.face.accessibleDescription(), timeout=PATIENCE)


def test_the_tool_bar_is_reached_by_tab(window):
    w = window(start=False)
    w.canvas.setFocus()
    seen = set()
    for _ in range(60):
        QTest.keyClick(w.focusWidget(), Qt.Key_Tab)
        seen.add(w.focusWidget())
    assert w.side not in seen, "a stop that shows nothing"
    for name in ("open", "brush", "select", "clear", "random", "panel"):
        assert w.actions.bar.widgetForAction(w.actions[name]) in seen or not w.actions[name].isEnabled(), name
    assert w.actions.bar.widgetForAction(w.actions["open"]) in seen and w.controls.sliders["nose"] in seen
    assert w.empty_page.buttons[sorted(EXAMPLES)[0]] in seen


def test_focus_that_came_by_a_key_is_seen(window):
    w = window(start=False)
    for widget in (w.canvas, w.history, w.controls.sliders["nose"], w.controls.shadow, w.controls.genders["female"],
                   w.controls.advanced, w.controls.reset, w.actions.bar.widgetForAction(w.actions["open"])):
        w.setFocus()
        before = widget.grab().toImage()
        widget.setFocus(Qt.TabFocusReason)
        assert widget.hasFocus() and widget.grab().toImage() != before, widget
