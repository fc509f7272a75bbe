"""The drawing's undo, settings and file state, without a window."""
import numpy as np
import pytest

from jt_dfd.gui.document import Document
from jt_dfd.gui.settings import START, FaceSettings
from jt_dfd.gui.strokes import Stroke


def line(y):
    return Stroke(3.0, points=[(50, y, 1.0), (400, y + 9, 1.0)])


@pytest.fixture
def document(qapp):
    return Document()


def test_undo_and_redo_bring_back_the_very_pixels(document):
    states = [document.pixels()]
    for n in range(40):
        document.add_stroke(line(10 + 12 * n))
        states.append(document.pixels())
    for n in range(39, -1, -1):
        document.stack.undo()
        assert np.array_equal(document.pixels(), states[n])
    for n in range(1, 41):
        document.stack.redo()
        assert np.array_equal(document.pixels(), states[n])
    document.stack.undo()
    document.add_stroke(line(3))
    assert not document.stack.canRedo()


def test_clear_is_undoable_and_nothing_to_clear_is_no_step(document):
    document.clear()
    assert document.stack.count() == 0
    document.add_stroke(line(100))
    before = document.pixels()
    document.clear()
    assert document.is_blank()
    document.clear()
    assert document.stack.count() == 2
    document.stack.undo()
    assert np.array_equal(document.pixels(), before)


def test_a_picture_brings_settings_and_undo_takes_them_back(document):
    document.settings.k = 7
    picture = np.zeros((512, 512), np.uint8)
    document.replace(picture, FaceSettings("male", k=3))
    assert (document.settings.gender, document.settings.k) == ("male", 3)
    document.stack.undo()
    assert (document.settings.gender, document.settings.k) == ("female", 7)
    document.stack.redo()
    assert document.settings.k == 3 and np.array_equal(document.pixels(), picture)


def test_modified_follows_saving_undo_and_recovery(document):
    seen = []
    document.modified_changed.connect(seen.append)
    assert not document.modified
    document.add_stroke(line(100))
    assert document.modified and seen[-1] is True
    document.saved("a.png")
    assert not document.modified and document.path == "a.png"
    document.stack.undo()
    assert document.modified
    document.stack.redo()
    assert not document.modified
    document.load(np.zeros((512, 512), np.uint8), unsaved=True)
    assert document.modified and document.path == ""
    document.load(None)
    assert not document.modified and document.is_blank()


def test_pixels_are_a_copy_and_wrong_ones_are_refused(document):
    document.add_stroke(line(100))
    document.pixels()[:] = 0
    assert document.pixels().max() == 255
    for wrong in (np.zeros((511, 512), np.uint8), np.zeros((512, 512), np.float32)):
        with pytest.raises(ValueError, match="512x512 uint8"):
            document.replace(wrong)


def with_nose(settings, value):
    return FaceSettings(settings.gender, dict(settings.refine, nose=value), settings.k)


def test_settings_are_steps_of_undo_and_a_gesture_is_one(document):
    document.add_stroke(line(100))
    for value in (90, 70, 40):
        document.change_settings(with_nose(document.settings, value), "nose 1")
    document.change_settings(with_nose(document.settings, 10), "nose 2")
    document.change_settings(with_nose(document.settings, 10), "nose 3")  # no change, no step
    assert document.stack.count() == 3
    seen = []
    document.settings_changed.connect(lambda: seen.append(document.settings.refine["nose"]))
    for _ in range(2):
        document.stack.undo()
    assert seen == [40, START] and not document.is_blank()
    document.stack.redo()
    assert seen[-1] == 40


def test_undo_of_settings_leaves_how_the_shadow_looks(document):
    document.change_settings(with_nose(document.settings, 10))
    document.settings.strength = 77
    document.stack.undo()
    assert document.settings.refine["nose"] == START and document.settings.strength == 77
