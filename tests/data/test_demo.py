"""The weights that ship draw faces: the networks that find faces in photographs find them where the sketch has them."""
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jt_dfd.components import CANONICAL_POINTS
from jt_dfd.data import index


def demo(root):
    if not (root / "Params" / "demo" / "config.json").is_file():
        pytest.skip("Params/demo is not there")
    return root / "Params" / "demo"


def synthesize(root, out, *words):
    done = subprocess.run([sys.executable, str(root / "tools/synthesize.py"), *map(str, words), "-o", str(out),
                           "--device", "cpu"], capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-3000:]
    return {p.name: np.asarray(Image.open(p).convert("RGB")) for p in sorted(out.rglob("*.png"))}


def test_it_is_light_and_says_where_it_comes_from(root):
    folder = demo(root)
    assert sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) < 60e6
    provenance = json.loads((folder / "config.json").read_text())["provenance"]
    for stage in ("embedding", "synthesis"):
        assert provenance[stage]["options"]["preset"] == "compact" and provenance[stage]["options"]["steps"] > 0


@pytest.mark.parametrize("refine", [0, 0.5, 1])
def test_faces_are_found_where_the_sketch_has_them(root, samples, face_models, tmp_path, refine):
    from jt_dfd.data.detect import FaceFinder

    demo(root)
    sketches = [samples / row.sketch for row in index.read(samples)] + sorted((root / "tests/sketches").glob("*.png"))
    faces = synthesize(root, tmp_path / "faces", *sketches, "--refine", f"all={refine}")
    assert len(faces) == len(sketches) >= 8
    find, missed = FaceFinder(), []
    for name, picture in faces.items():
        face = find(picture, thorough=False)
        if face is None:
            missed.append(name)
            continue
        for point in ("left_eye", "right_eye", "nose"):
            away = np.hypot(*np.subtract(face.landmarks[point], CANONICAL_POINTS[point]))
            # an eye is some 60 pixels wide
            assert away < 25, (name, point, face.landmarks[point])
    assert not missed


def test_another_mouth_changes_the_mouth(root, samples, tmp_path):
    """Following the drawing: two sketches that differ in the mouth alone give faces that differ there most."""
    demo(root)
    rows = index.read(samples)
    one, two = (np.asarray(Image.open(samples / row.sketch).convert("L").resize((512, 512))).copy() for row in rows[:2])
    window = (slice(335, 430), slice(185, 327))
    mixed = one.copy()
    mixed[window] = two[window]
    for name, sketch in (("one", one), ("mixed", mixed)):
        Image.fromarray(sketch).save(tmp_path / f"{name}.png")
    faces = synthesize(root, tmp_path / "faces", tmp_path / "one.png", tmp_path / "mixed.png", "--refine", "all=0")
    change = np.abs(faces["one.png"].astype(float) - faces["mixed.png"]).mean(2)
    eyes = change[205:275, 150:362].mean()
    assert change[window].mean() > 3 * eyes and change[window].mean() > 4
