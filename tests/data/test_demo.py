"""The weights that ship draw faces: the networks that find faces in photographs find them where the sketch has them."""
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jt_dfd.components import CANONICAL_POINTS
from jt_dfd.data import index


def synthesize(root, out, *words):
    done = subprocess.run([sys.executable, str(root / "tools/synthesize.py"), *map(str, words), "-o", str(out),
                           "--device", "cpu"], capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-3000:]
    return {p.name: np.asarray(Image.open(p).convert("RGB")) for p in sorted(out.rglob("*.png"))}


def test_it_is_light_and_says_where_it_comes_from(demo):
    assert sum(f.stat().st_size for f in demo.rglob("*") if f.is_file()) < 60e6
    provenance = json.loads((demo / "config.json").read_text())["provenance"]
    for stage in ("embedding", "synthesis"):
        assert provenance[stage]["options"]["preset"] == "compact" and provenance[stage]["options"]["steps"] > 0


@pytest.mark.parametrize("refine", [0, 0.5, 1])
def test_faces_are_found_where_the_sketch_has_them(root, demo, samples, face_models, tmp_path, refine):
    from jt_dfd.data.detect import FaceFinder

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


def test_another_mouth_is_followed(root, demo, samples, tmp_path):
    """Each sketch with the next one's mouth in it: over all, the face's mouth is nearer to the next face's, its eyes to
    its own.  Colours are left out: a patch's mean belongs to the whole face."""
    rows = index.read(samples)
    sketches = [np.asarray(Image.open(samples / row.sketch).convert("L").resize((512, 512))) for row in rows]
    mouth, eyes = (slice(335, 430), slice(185, 327)), (slice(205, 275), slice(150, 362))
    for i, sketch in enumerate(sketches):
        mixed = sketch.copy()
        mixed[mouth] = sketches[(i + 1) % len(sketches)][mouth]
        Image.fromarray(sketch).save(tmp_path / f"own{i}.png")
        Image.fromarray(mixed).save(tmp_path / f"mixed{i}.png")
    faces = synthesize(root, tmp_path / "faces", *sorted(tmp_path.glob("*.png")), "--refine", "all=0")

    def away(window, steps):
        """Mean distance of mixed faces to the faces ``steps`` further on."""
        total = 0.0
        for i in range(len(rows)):
            a, b = (faces[name][window].astype(float) for name in (f"mixed{i}.png", f"own{(i + steps) % len(rows)}.png"))
            total += np.abs((a - a.mean((0, 1))) - (b - b.mean((0, 1)))).mean()
        return total / len(rows)

    assert away(mouth, 1) < away(mouth, 0)
    assert away(eyes, 0) < away(eyes, 1) / 2
