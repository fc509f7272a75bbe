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
    """Each sketch with the next one's mouth in it: the face's mouth moves towards the next face's, more than towards
    any other's, and its eyes stay.  Colours are left out: a patch's mean belongs to the whole face.  Distances would
    not do: skin and beard around a mouth are the face's own, and weigh more."""
    rows = index.read(samples)
    count = len(rows)
    sketches = [np.asarray(Image.open(samples / row.sketch).convert("L").resize((512, 512))) for row in rows]
    mouth, eyes = (slice(335, 430), slice(185, 327)), (slice(205, 275), slice(150, 362))
    for i, sketch in enumerate(sketches):
        mixed = sketch.copy()
        mixed[mouth] = sketches[(i + 1) % count][mouth]
        Image.fromarray(sketch).save(tmp_path / f"own{i}.png")
        Image.fromarray(mixed).save(tmp_path / f"mixed{i}.png")
    faces = synthesize(root, tmp_path / "faces", *sorted(tmp_path.glob("*.png")), "--refine", "all=0")

    def patches(name, window):
        cut = [faces[f"{name}{i}.png"][window].astype(float) for i in range(count)]
        return [patch - patch.mean((0, 1)) for patch in cut]

    def along(a, b):
        return (a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum())

    own, mixed = patches("own", mouth), patches("mixed", mouth)
    change = [m - o for m, o in zip(mixed, own)]
    towards = [np.mean([along(change[i], own[(i + k) % count] - own[i]) for i in range(count)])
               for k in range(1, count)]
    assert towards[0] > 0.5 and towards[0] == max(towards), towards

    own_eyes, mixed_eyes = patches("own", eyes), patches("mixed", eyes)
    moved = np.mean([np.abs(m - o).mean() for m, o in zip(mixed_eyes, own_eyes)])
    apart = np.mean([np.abs(own_eyes[(i + 1) % count] - mixed_eyes[i]).mean() for i in range(count)])
    assert moved < apart / 2 and moved < np.mean(np.abs(change)) / 2
