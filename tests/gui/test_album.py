"""Past faces, their names and pins outlive the window; what was removed does not come back."""
import numpy as np
import pytest
from conftest import PATIENCE
from hands import draw
from PyQt5.QtCore import Qt
from PyQt5.QtTest import QTest
from PyQt5.QtWidgets import QInputDialog
from test_place_to_draw import a_face, menu_entry
from test_window import LINE

from jt_dfd.gui import history


def close(w):
    w.document.saved("")
    w.close()


def opened(window, qtbot, count, **kwargs):
    w = window(start=False, **kwargs)
    qtbot.waitUntil(lambda: w.history.count() == count, timeout=PATIENCE)
    return w


@pytest.fixture
def three(window, qtbot, monkeypatch):
    """A window with two steps of one drawing, the first of them pinned and named, and a drawing before it."""
    w = window()
    a_face(w, qtbot, LINE)
    w.document.saved("")
    w.actions["new"].trigger()
    for y in (60, 200):
        a_face(w, qtbot, [(60, y), (400, y + 20)])
    dear = w.history.entries[1]
    menu_entry(w.face_menus.history([dear]), "Pin").trigger()
    monkeypatch.setattr(QInputDialog, "getText", lambda *a, **k: ("Tante Grün", True))
    menu_entry(w.face_menus.history([dear]), "Name").trigger()
    return w


def test_faces_names_pins_and_their_order_are_there_again(window, qtbot, three, tmp_path):
    before = three.history.entries
    close(three)
    w = opened(window, qtbot, 3)
    after = w.history.entries
    assert [e.name for e in after] == [e.name for e in before] == ["", "Tante Grün", ""]
    assert [e.pinned for e in after] == [False, True, False]
    for a, b in zip(after, before):
        assert np.array_equal(a.face, b.face) and np.array_equal(a.drawing, b.drawing)
        assert a.settings.face_key() == b.settings.face_key()
        assert all(np.array_equal(a.vectors[name], b.vectors[name]) for name in b.vectors)
    assert w.history.item(0).text() == "Tante Grün" and w.actions["morph"].isEnabled()
    w.history.itemDoubleClicked.emit(w.history.item(1))
    assert np.array_equal(w.document.pixels(), before[0].drawing)
    assert sorted(p.suffix for p in (tmp_path / "history").iterdir()) == [".json"] * 3 + [".png"] * 3


def test_steps_of_a_drawing_are_one_entry_still_and_new_ones_do_not_join_them(window, qtbot, weights):
    w = window()
    for y in (60, 200):
        a_face(w, qtbot, [(60, y), (400, y + 20)])
    close(w)
    w = opened(window, qtbot, 1)
    w.engine.start()
    a_face(w, qtbot, LINE)
    assert w.history.count() == 2 and len(w.history.entries) == 3
    close(w)
    w = opened(window, qtbot, 2)
    assert [len(w.history.steps(w.history.item(n).data(Qt.UserRole))) for n in (0, 1)] == [1, 2]


def test_what_was_removed_or_unpinned_stays_so(window, qtbot, three, tmp_path):
    w = three
    w.history.item(2).setSelected(True)
    QTest.keyClick(w.history, Qt.Key_Delete)
    menu_entry(w.face_menus.history([w.history.entries[1]]), "Unpin").trigger()
    close(w)
    w = opened(window, qtbot, 1)
    assert len(w.history.entries) == 2 and not any(e.pinned for e in w.history.entries)
    assert len(list((tmp_path / "history").iterdir())) == 4


def test_no_more_are_kept_than_in_the_window_and_a_damaged_one_is_left_out(window, qtbot, tmp_path, monkeypatch):
    monkeypatch.setattr(history, "MAX_ENTRIES", 3)
    w = window()
    for n in range(5):
        a_face(w, qtbot, [(60, 60 + 60 * n), (400, 80 + 60 * n)])
    close(w)
    folder = tmp_path / "history"
    paths = sorted(folder.glob("*.png"))
    assert len(paths) == 3 and len(list(folder.iterdir())) == 6
    paths[0].write_bytes(paths[0].read_bytes()[:2000])
    paths[1].with_suffix(".json").unlink()  # a window killed in between
    found = history.read_album(folder)
    assert [entry.path for entry in found] == [paths[2], paths[1]] and not found[1].pinned
    paths[2].with_suffix(".json").write_text("[1]")
    assert [entry.path for entry in history.read_album(folder)] == [paths[1]]


def test_a_folder_that_cannot_be_written_is_told_and_drawing_goes_on(window, qtbot, tmp_path):
    (tmp_path / "history").write_text("a file where the folder should be")
    w = window()
    a_face(w, qtbot, LINE)
    qtbot.waitUntil(lambda: "cannot be kept" in w.statusBar().currentMessage(), timeout=PATIENCE)
    draw(w.canvas, [(60, 400), (300, 420)])
    assert w.history.count() == 1
