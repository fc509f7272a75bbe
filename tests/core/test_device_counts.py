"""What a face asks of a GPU, whatever computes it here: each operator, copy and wait costs its microseconds.  And that
the way a GPU takes, all components side by side, gives the CPU's faces."""
import numpy as np
import pytest

from jt_dfd import Synthesizer, synthesizer
from jt_dfd.backend import jt
from jt_dfd.benchmark import inputs
from jt_dfd.benchmark.jittor_side import counted
from jt_dfd.components import COMPONENTS
from jt_dfd.config import preset
from jt_dfd.inference import pipeline
from jt_dfd.runtime import ways

#: operators of a face and of a stroke in one component, as counted; fewer is progress, and goes here; more needs a
#: reason.  ``release`` in name only: its layers with few channels, since what is counted does not depend on them
AS_ON_GPU, OURS = "as on a GPU", ways.OURS
MAX_OPERATORS = {(AS_ON_GPU, "tiny"): (184, 109), (AS_ON_GPU, "release"): (382, 226), (OURS, "tiny"): (521, 230)}


@pytest.fixture
def made(tiny_params, tmp_path, monkeypatch):
    """Function of (way, preset): a synthesizer that has made a face."""
    def make(way, name):
        monkeypatch.setattr(ways, "taken", lambda name: ways.OURS)
        monkeypatch.setattr(pipeline, "AS_ON_GPU", way == AS_ON_GPU)
        params = tiny_params
        if name == "release":
            few = {f"{kind}_widths": (2,) * 5 for kind in ("encoder", "image", "feature")}
            params = inputs.write_weights(tmp_path / "few", preset("release").with_changes(
                preset="few", latent=8, feature_channels=2, generator_width=2, **few))
        s = Synthesizer(params, device="cpu")
        s.synthesize(np.full((512, 512), 255, np.uint8))
        return s
    return make


def drawing(seed):
    return np.where(np.random.default_rng(seed).random((512, 512)) < 0.02, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("way, name", MAX_OPERATORS)
def test_a_face_and_a_stroke(made, way, name):
    s = made(way, name)
    s.synthesize(drawing(0))
    s.forget()
    _, face = counted(lambda: s.synthesize(drawing(1), as_is=True))
    stroke = drawing(1)
    stroke[330:340, 250:260] = 0
    _, more = counted(lambda: s.synthesize(stroke, as_is=True))
    print(f"\n{name}, {way}: a face {face}, a stroke {more}")
    for counts, most in zip((face, more), MAX_OPERATORS[way, name]):
        assert counts["operators"] <= most
        assert (counts["uploads"], counts["downloads"]) == (1, 2) and counts["waits"] <= 2
    _, none = counted(lambda: s.synthesize(stroke, as_is=True))
    assert none == {"operators": 0, "uploads": 0, "downloads": 0, "waits": 0}
    _, early = counted(lambda: s.synthesize(drawing(2), as_is=True, on_shadow=lambda page: None))
    assert (early["uploads"], early["downloads"]) == (1, 3), "the shadow by itself, so that it can be shown first"


def test_side_by_side_gives_the_same_faces_over_two_hundred_strokes(made, monkeypatch):
    """Random strokes and erasures through one component or several, as they are drawn; every new drawing forgets."""
    import cv2

    for place in (pipeline, synthesizer):     # a grey level on the canvas becomes two where it is enlarged
        monkeypatch.setattr(place, "resized", lambda picture, size: picture)
    alone, together = made(OURS, "tiny"), made(AS_ON_GPU, "tiny")
    page, rng = np.full((512, 512), 255, np.uint8), np.random.default_rng(3)
    for step in range(200):
        if step % 40 == 0:
            page = drawing(step)
            alone.forget()
            together.forget()
        start = rng.integers(0, 512, 2)
        end = np.clip(start + rng.integers(-200, 200, 2), 0, 511)
        cv2.line(page, tuple(map(int, start)), tuple(map(int, end)), int(rng.choice([0, 0, 255])), 6)
        settings = {"k": int(rng.integers(1, 40)), "refine": float(rng.random())} if step % 10 == 9 else {}
        faces = []
        for s, way in ((alone, False), (together, True)):
            monkeypatch.setattr(pipeline, "AS_ON_GPU", way)
            faces.append(s.synthesize(page, as_is=True, **settings))
        a, b = faces
        assert all(np.array_equal(a.rows[c], b.rows[c]) for c in COMPONENTS), step
        for one, other in ((a.face, b.face), (a.shadow, b.shadow)):
            assert np.abs(one.astype(int) - other).max() <= 1, step


def test_side_by_side_from_vectors_and_back(made, monkeypatch):
    monkeypatch.setattr(pipeline, "resized", lambda picture, size: picture)
    faces, sketches = [], []
    for way in (OURS, AS_ON_GPU):
        s = made(way, "tiny")
        vectors, page = s.sample_vectors(seed=4)
        faces.append(s.face_from_vectors(vectors))
        sketches.append(page)
    for a, b in (faces, sketches):
        assert a.std() > 0 and np.abs(a.astype(int) - b).max() <= 1


def test_counting_counts():
    x = jt.array(np.arange(6, dtype=np.float32))
    x.sync()
    (a, b), counts = counted(lambda: jt.fetch_sync([x + 1, jt.array(np.ones(3)) * 2]))
    assert counts == {"operators": 2, "uploads": 1, "downloads": 2, "waits": 1} and a[1] == 2 and b[0] == 2
    assert counted(lambda: 3) == (3, dict.fromkeys(counts, 0))
