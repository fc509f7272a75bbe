"""Pictures from elsewhere in the window: what was done to them is said, and can be undone."""
import numpy as np
import pytest
from conftest import PATIENCE
from hands import drop
from PIL import Image
from PyQt5.QtCore import QMimeData, QUrl
from PyQt5.QtGui import QGuiApplication, QImage

from jt_dfd.drawings import Reading
from jt_dfd.drawings.words import Remark
from jt_dfd.gui import files
from jt_dfd.gui.engine import READY
from jt_dfd.pictures import to_sketch


@pytest.fixture
def red(tmp_path):
    """The authors' kind of drawing in red: the red channel is white all over."""
    page = np.full((512, 512, 3), 255, np.uint8)
    page[100:400, 250:254, 1:] = page[100:104, 150:350, 1:] = 0
    Image.fromarray(page).save(tmp_path / "red.png")
    return tmp_path / "red.png"


@pytest.fixture
def photograph(root, tmp_path):
    source = sorted((root / "tests/data/samples/faces").iterdir())[0]
    Image.open(source).convert("RGB").resize((640, 640)).crop((0, 40, 640, 600)).save(tmp_path / "me.jpg", quality=92)
    return tmp_path / "me.jpg"


@pytest.mark.parametrize("way", ["open", "drop", "paste"])
def test_every_way_in_uses_the_one_reading(window, qtbot, meant, way):
    w = window(start=False)
    path, page = meant
    if way == "open":
        w.filing.open(str(path))
    elif way == "drop":
        data = QMimeData()
        data.setUrls([QUrl.fromLocalFile(str(path))])
        list(drop(w, data))
    else:
        QGuiApplication.clipboard().setImage(QImage(str(path)))
        w.actions["paste"].trigger()
    qtbot.waitUntil(lambda: np.array_equal(w.document.pixels(), page), timeout=PATIENCE)
    assert "Coloured ink" in w.reading_bar.label.text()


def test_what_was_corrected_is_said_and_can_be_taken_back(window, qtbot, red):
    w = window(start=False)
    w.filing.open(str(red))
    qtbot.waitUntil(lambda: w.reading_bar.isVisibleTo(w), timeout=PATIENCE)
    assert "Coloured ink" in w.reading_bar.label.text() and not w.reading_bar.sketch.isVisibleTo(w.reading_bar)
    assert (w.document.pixels() < 128).sum() == 2 * 0 + 300 * 4 + 4 * 200 - 16
    w.set_language("zh")
    assert "彩色" in w.reading_bar.label.text()
    w.reading_bar.as_is.click()
    assert np.array_equal(w.document.pixels(), to_sketch(red)) and not w.reading_bar.isVisibleTo(w)
    w.document.stack.undo()
    assert (w.document.pixels() < 128).any()


def test_a_clean_drawing_is_opened_without_a_word_and_another_one_takes_the_bar_away(window, qtbot, red, root):
    w = window(start=False)
    w.filing.open(str(red))
    qtbot.waitUntil(lambda: w.reading_bar.isVisibleTo(w), timeout=PATIENCE)
    clean = root / "tests" / "sketches" / "a.png"
    w.filing.open(str(clean))
    qtbot.waitUntil(lambda: np.array_equal(w.document.pixels(), to_sketch(clean)), timeout=PATIENCE)
    qtbot.wait(50)
    assert not w.reading_bar.isVisibleTo(w)


def test_the_switch_takes_pictures_as_they_are(window, qtbot, red):
    w = window(start=False)
    w.actions["as_is"].setChecked(True)
    w.filing.open(str(red))
    qtbot.waitUntil(lambda: w.filing.recent()[:1] == [str(red)], timeout=PATIENCE)
    assert w.document.is_blank() and "empty page" in w.reading_bar.label.text()


def test_a_photograph_is_offered_as_lines_or_to_trace(window, qtbot, photograph, monkeypatch):
    w = window(start=False)
    w.filing.open(str(photograph))
    qtbot.waitUntil(lambda: w.reading_bar.isVisibleTo(w), timeout=PATIENCE)
    assert "photograph" in w.reading_bar.label.text()
    female, male = (w.reading_bar.genders[name] for name in ("female", "male"))
    assert female.isVisible() and female.isChecked() and not male.isChecked()
    male.click()
    assert w.document.settings.gender == "male" and not female.isChecked() and w.controls.genders["male"].isChecked()
    w.document.stack.undo()
    assert female.isChecked() and not male.isChecked()
    female.click()
    assert female.isChecked() and w.document.settings.gender == "female"
    w.reading_bar.trace.click()
    assert w.document.is_blank() and w.canvas.underlay is not None and w.reading_bar.trace.isChecked()
    assert w.controls.reference.isVisible() and w.actions["reference"].isChecked()
    w.reading_bar.trace.click()
    assert w.canvas.underlay is None and not w.controls.reference.isVisible()
    lines = np.full((512, 512), 255, np.uint8)
    lines[200:210, 100:400] = 0
    seen = []
    monkeypatch.setattr(files, "sketch_of", lambda *asked: (seen.append((asked[0].shape, asked[1])), lines)[1])
    for button, style in ((w.reading_bar.strokes, "drawn"), (w.reading_bar.sketch, "lines")):
        button.click()
        qtbot.waitUntil(lambda: bool(seen), timeout=PATIENCE)
        assert seen.pop() == ((560, 640, 3), style)
    qtbot.waitUntil(lambda: np.array_equal(w.document.pixels(), lines), timeout=PATIENCE)


def test_a_photograph_has_no_face_until_something_is_made_of_it(window, weights, qtbot, photograph):
    w = window()
    w.filing.open(str(photograph))
    qtbot.waitUntil(lambda: w.reading_bar.isVisibleTo(w), timeout=PATIENCE)
    w.reading_bar.genders["male"].click()
    qtbot.waitUntil(lambda: w.engine.state == READY, timeout=PATIENCE)
    qtbot.wait(300)
    assert weights.faces == 0 and w.live.result is None and not w.history.count()
    w.document.replace(np.full((512, 512), 255, np.uint8) - 255 * np.eye(512, dtype=np.uint8), text="sketch")
    qtbot.waitUntil(lambda: w.live.result is not None and not w.live.stale, timeout=PATIENCE)
    assert w.live.result.settings.gender == "male"


def test_a_photograph_without_a_face_is_said(window, qtbot, photograph, monkeypatch):
    from jt_dfd.errors import UserError

    w, told = window(start=False), []
    monkeypatch.setattr(w.filing, "warn", lambda *text: told.append(text))

    def none(picture, style):
        raise UserError("no face found")

    monkeypatch.setattr(files, "sketch_of", none)
    w.filing.sketch_photograph(np.zeros((64, 64, 3), np.uint8), "lines")
    qtbot.waitUntil(lambda: bool(told), timeout=PATIENCE)
    assert "no face found" in told[0][1]


def test_many_remarks_leave_room_for_the_drawing_in_a_low_window(window, qtbot):
    w = window(start=False, size=(683, 384))
    page = np.full((512, 512), 255, np.uint8)
    codes = ("paper", "ruling", "faint", "beside", "guessed")
    opened = files.Opened("", page, reading=Reading(page, tuple(Remark(code) for code in codes)))
    w.reading_bar.show_reading(opened)
    bar = w.reading_bar
    qtbot.waitUntil(lambda: bar.label.width() > 200, timeout=PATIENCE)
    assert bar.label.heightForWidth(bar.label.width()) <= 384 / 5 and bar.label.text().endswith("…")
    assert "guessed" in bar.label.toolTip() and "guessed" not in bar.label.text()
    w.resize(1200, 760)
    bar.show_reading(opened)
    assert "guessed" in bar.label.text()
