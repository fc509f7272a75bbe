"""From a sketch to a face, with untrained weights of the tiny preset."""
import shutil

import numpy as np
import pytest

from jt_dfd import Synthesizer
from jt_dfd.checkpoints import SHARED_BANK, CheckpointError, bank_path, write_config
from jt_dfd.components import COMPONENTS, Geometry
from jt_dfd.config import preset
from jt_dfd.kernels.selection import LEFT_OUT, MAX_INK, visible
from jt_dfd.synthesizer import Recent, refine_amounts


@pytest.fixture(scope="module")
def synthesizer(tiny_params):
    return Synthesizer(tiny_params, device="cpu")


@pytest.fixture
def fresh(tiny_params):
    return lambda: Synthesizer(tiny_params, device="cpu")


@pytest.fixture(scope="module")
def sketch(root):
    from jt_dfd.pictures import to_sketch

    return to_sketch(root / "tests" / "sketches" / "a.png")


def close(a, b, levels=1):
    return np.abs(a.astype(int) - b.astype(int)).max() <= levels


def test_what_comes_back(synthesizer, sketch):
    r = synthesizer.synthesize(sketch)
    assert r.face.shape == (512, 512, 3) and r.face.dtype == np.uint8 and r.face.std() > 1
    assert r.shadow.shape == (512, 512) and r.shadow.dtype == np.uint8
    for c in COMPONENTS:
        size = Geometry(64).window(c).size
        assert r.latents[c].shape == r.vectors[c].shape == (24,) and r.latents[c].dtype == np.float32
        assert r.shadows[c].shape == (size, size) and r.shadows[c].dtype == np.uint8
        assert len(r.rows[c]) == len(set(r.rows[c].tolist())) == 15 and abs(r.weights[c].sum() - 1) < 1e-4
    assert set(r.milliseconds) == {"encode", "project", "shadow", "face", "total"}


def test_a_path_and_an_array_give_the_same(synthesizer, root, sketch):
    path = root / "tests" / "sketches" / "a.png"
    for other in (str(path), path, np.stack([sketch] * 3, -1)):
        assert np.array_equal(synthesizer.synthesize(other).face, synthesizer.synthesize(sketch).face)


def test_refinement_goes_from_the_drawing_to_the_projection(synthesizer, sketch):
    follow, full = (synthesizer.synthesize(sketch, refine=w) for w in (0, 1))
    mixed = synthesizer.synthesize(sketch, refine={"eye1": 0.25, "all": 0})
    for c in COMPONENTS:
        assert np.array_equal(follow.vectors[c], follow.latents[c])
        projected = sum(w * synthesizer.bank.rows(c, "female")[int(r)].numpy()
                        for w, r in zip(full.weights[c], full.rows[c]))
        assert np.abs(full.vectors[c] - projected).max() < 1e-4
        share = 0.25 if c == "eye1" else 0
        assert np.allclose(mixed.vectors[c], share * full.vectors[c] + (1 - share) * follow.latents[c], atol=1e-6)
    assert not np.array_equal(follow.face, full.face)
    assert np.array_equal(synthesizer.synthesize(sketch, refine={"eye1": 1}).face, full.face), "left out means 1"


def test_genders_have_their_own_banks(synthesizer, sketch):
    male, female = (synthesizer.synthesize(sketch, gender=g) for g in ("male", "female"))
    assert not np.array_equal(male.face, female.face) and synthesizer.genders == ("male", "female")


def test_every_new_synthesizer_gives_the_same_picture(synthesizer, fresh, sketch):
    assert np.array_equal(synthesizer.synthesize(sketch).face, fresh().synthesize(sketch).face)


def test_only_what_changed_is_computed_and_the_picture_is_that_of_the_whole(synthesizer, fresh, sketch, monkeypatch):
    """Random strokes, erasures and setting changes one after the other, against a synthesizer without memories."""
    import cv2

    drawing, rng, encoded = sketch.copy(), np.random.default_rng(0), []
    networks = synthesizer.networks
    real = networks.encode
    monkeypatch.setattr(networks, "encode", lambda crops: (encoded.append(set(crops)), real(crops))[1])
    whole, settings = fresh(), {"gender": "female", "refine": 1.0, "k": 15}
    for step in range(25):
        before = drawing.copy()
        start = rng.integers(0, 512, 2)
        end = np.clip(start + rng.integers(-60, 60, 2), 0, 511)
        cv2.line(drawing, tuple(map(int, start)), tuple(map(int, end)), int(rng.choice([0, 0, 255])), 6)
        if step % 7 == 3:
            settings = {"gender": str(rng.choice(["male", "female"])), "refine": {"all": float(rng.random())},
                        "k": int(rng.integers(1, 20))}
        if step % 9 == 8:
            drawing = before                       # undone
        whole.__init__(whole.folder.path, "cpu") if step % 5 == 0 else None
        whole.forget()
        a, b = synthesizer.synthesize(drawing, **settings), whole.synthesize(drawing, **settings)
        assert close(a.face, b.face) and close(a.shadow, b.shadow), step
        from jt_dfd.pictures import to_sketch
        touched = Geometry(64).touched(to_sketch(before, 64), to_sketch(drawing, 64))
        assert encoded[-1] <= set(touched) or step == 0, "a component without new ink was encoded again"
    encoded.clear()
    synthesizer.synthesize(drawing, **settings)
    assert not any(encoded), "nothing is new"


def test_memories_are_bounded(fresh, sketch, monkeypatch):
    """With hardly more room than one sketch needs, so that every next one overwrites what the last had decoded."""
    monkeypatch.setattr("jt_dfd.synthesizer.DECODED", 16)
    s, rng = fresh(), np.random.default_rng(0)
    for _i in range(8):
        noisy = np.where(rng.random((512, 512)) < 0.05, 0, sketch).astype(np.uint8)
        a = s.synthesize(noisy)
        assert all(len(places) <= 16 == store.shape[0] for places, store in s._decoded.values())
    assert len(s._latents) <= 64 and len(s._face) <= 8
    assert close(a.shadow, fresh().synthesize(noisy).shadow)
    wide = s.synthesize(noisy, k=40)
    assert close(wide.shadow, fresh().synthesize(noisy, k=40).shadow), "more neighbours than there was room for"


def test_what_a_sketch_needs_is_not_pushed_out_by_what_it_adds(fresh, sketch, monkeypatch):
    """A part as it was two sketches ago, in a third that is new otherwise, with memory for little more than two."""
    s = fresh()
    for memory in (s._latents, s._neighbours):
        memory.limit = 12
    noisy = [np.where(np.random.default_rng(i).random((512, 512)) < 0.05, 0, sketch).astype(np.uint8) for i in range(3)]
    eye = Geometry(512).window("eye1").slices
    noisy[2][eye] = noisy[0][eye]
    for drawing in noisy:
        s.synthesize(drawing, shadow=False)
    recent = Recent(3)
    for name in "abc":
        recent[name] = name
    for name in recent.missing(["a", "d", "e"]):
        recent[name] = name
    assert "a" in recent and "b" not in recent


def test_a_decoder_that_is_interrupted_leaves_nothing_half_remembered(fresh, sketch, monkeypatch):
    s = fresh()
    s.synthesize(sketch)
    noisy = np.where(np.random.default_rng(0).random((512, 512)) < 0.05, 0, sketch).astype(np.uint8)
    monkeypatch.setattr(s.networks, "decode_into", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        s.synthesize(noisy)
    monkeypatch.undo()
    assert close(s.synthesize(noisy).shadow, fresh().synthesize(noisy).shadow)


def test_without_a_shadow_nothing_is_decoded(fresh, sketch, monkeypatch):
    s = fresh()
    monkeypatch.setattr(s.networks, "decode_into", lambda *arguments: pytest.fail("decoded"))
    r = s.synthesize(sketch, shadow=False)
    assert r.shadow is None and r.shadows == {} and r.vectors["nose"].shape == (24,)
    monkeypatch.undo()
    whole = s.synthesize(sketch)
    assert np.array_equal(whole.face, r.face) and whole.shadow.std() > 0


def test_a_weight_that_changes_no_grey_level_is_not_decoded():
    weights = np.float32([1, -0.2, 3e-4, 2e-4, 0.2, 0, 4e-4])
    assert visible(weights).tolist() == [True, False, False, False, True, False, True]
    lost = np.clip(weights[~visible(weights)], 0, None).sum() * 255 * MAX_INK
    assert lost < LEFT_OUT
    assert visible(np.float32([0.5, 0.5])).all() and not visible(np.float32([np.nan, -1])).any()


def test_the_shadow_comes_before_the_face(fresh, sketch):
    s, order = fresh(), []
    real = s.networks.photograph
    s.networks.photograph = lambda *f: (order.append("face"), real(*f))[1]
    r = s.synthesize(sketch, on_shadow=lambda page: order.append(page))
    assert np.array_equal(order[0], r.shadow) and order[1:] == ["face"]


def test_results_are_the_caller_s_own(synthesizer, sketch):
    first = synthesizer.synthesize(sketch)
    face, shadow = first.face.copy(), first.shadow.copy()
    first.face[:], first.shadow[:] = 0, 0
    for array in first.shadows.values():
        array[:] = 7
    again = synthesizer.synthesize(sketch)
    assert np.array_equal(again.face, face) and np.array_equal(again.shadow, shadow)
    assert not all((a == 7).all() for a in again.shadows.values())


def test_faces_from_vectors_and_from_the_bank(synthesizer, sketch):
    r = synthesizer.synthesize(sketch)
    assert np.array_equal(synthesizer.face_from_vectors(r.vectors), r.face)
    vectors, drawn = synthesizer.sample_vectors("male", seed=3)
    again, other = synthesizer.sample_vectors("male", seed=3)[0], synthesizer.sample_vectors("male", seed=4)[0]
    assert drawn.shape == (512, 512) and drawn.dtype == np.uint8
    assert all(np.array_equal(vectors[c], again[c]) for c in COMPONENTS)
    assert any(not np.array_equal(vectors[c], other[c]) for c in COMPONENTS)
    for wrong in ({}, {**vectors, "nose": np.ones(3)}):
        with pytest.raises(ValueError, match="vector"):
            synthesizer.face_from_vectors(wrong)


@pytest.mark.parametrize("arguments, word", [
    ({"gender": "x"}, "gender"), ({"k": 0}, "k must"), ({"k": 2.5}, "k must"), ({"anchor": "far"}, "anchor"),
    ({"anchor": ["nearest"]}, "anchor"), ({"k": True}, "k must"),
    ({"sketch": np.zeros((9, 9, 2), np.uint8)}, "shape"), ({"sketch": np.zeros((0, 9), np.uint8)}, "shape"),
    ({"sketch": None}, "sketch"), ({"gender": None}, "gender"), ({"gender": ["male"]}, "gender"),
    ({"refine": None}, "refine"),
    ({"refine": 1.5}, "refine"), ({"refine": {"ear": 1}}, "ear"), ({"refine": {"nose": "much"}}, "nose"),
    ({"refine": float("nan")}, "refine"), ({"sketch": np.zeros((3, 3), np.float32)}, "uint8"),
    ({"sketch": "nowhere.png"}, "nowhere.png"),
])
def test_wrong_arguments_are_named(synthesizer, sketch, arguments, word):
    with pytest.raises(ValueError, match=word):
        synthesizer.synthesize(**{"sketch": sketch, **arguments})


def test_refine_amounts():
    assert refine_amounts({"all": 0.5, "nose": 1}) == {"eye1": 0.5, "eye2": 0.5, "nose": 1.0, "mouth": 0.5, "rest": 0.5}
    assert refine_amounts(0)["rest"] == 0 and refine_amounts({})["rest"] == 1


def test_folders_with_one_bank_for_everybody_or_for_one_gender(tiny_params, tmp_path, sketch):
    folder = tmp_path / "shared"
    shutil.copytree(tiny_params, folder)
    for c in COMPONENTS:
        (folder / bank_path(c, "male")).rename(folder / bank_path(c, SHARED_BANK))
        (folder / bank_path(c, "female")).unlink()
    write_config(folder, preset("tiny"))
    s = Synthesizer(folder, device="cpu")
    assert s.genders == ()
    assert np.array_equal(s.synthesize(sketch, gender="male").face, s.synthesize(sketch, gender="female").face)
    one = tmp_path / "one"
    shutil.copytree(tiny_params, one)
    for c in COMPONENTS:
        (one / bank_path(c, "male")).unlink()
    write_config(one, preset("tiny"))
    s = Synthesizer(one, device="cpu")
    assert s.synthesize(sketch, gender="female").face.any() and s.genders == ("female",)
    with pytest.raises(ValueError, match="no male bank"):
        s.synthesize(sketch, gender="male")


def test_folders_that_are_not_whole_are_refused(tiny_params, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(tiny_params, folder)
    (folder / "Combine/latest_net_G.pkl").unlink()
    with pytest.raises(CheckpointError, match="latest_net_G.pkl: missing"):
        Synthesizer(folder, device="cpu")
    with pytest.raises(CheckpointError, match="no such folder"):
        Synthesizer(tmp_path / "none", device="cpu")


@pytest.mark.parametrize("damage, word", [
    (lambda f: (f / "AE_whole/man_nose_feature.bin").write_bytes(b"12345"), "man_nose_feature.bin"),
    (lambda f: (f / "AE_whole/female_mouth_feature.bin").unlink(), "female_mouth_feature.bin: missing"),
    (lambda f: [p.unlink() for p in f.glob("AE_whole/*.bin")], "no feature bank"),
])
def test_a_bank_that_is_wrong_is_found_before_anything_is_drawn(tiny_params, tmp_path, damage, word):
    folder = tmp_path / "broken"
    shutil.copytree(tiny_params, folder)
    damage(folder)
    with pytest.raises(CheckpointError, match=word):
        Synthesizer(folder, device="cpu")


def test_warming_reports_its_progress(fresh):
    seen = []
    fresh().warm(lambda stage, done, total: seen.append((done, total)))
    assert seen[0][0] == 0 and seen[-1][0] == seen[-1][1] and [d for d, _ in seen] == sorted(d for d, _ in seen)
