"""screen.py: the window on a virtual screen, drawn on with real X events."""
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import ENVIRONMENT, FAKE, PATIENCE, ROOT
from PIL import Image


@pytest.mark.screen
@pytest.mark.parametrize("scene", ["finished", "drawing"])
def test_a_face_drawn_with_real_events_is_seen(weights, tmp_path, scene):
    for program in ("Xvfb", "xdotool"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (apt-get install xvfb xdotool)")
    out = tmp_path / "window.png"
    done = subprocess.run([sys.executable, str(ROOT / "tests" / "gui" / "screen.py"), "--engine", FAKE, "--params",
                           str(weights.folder), "-o", str(out), "--size", "1200x760", "--scene", scene],
                          env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True,
                          timeout=3 * PATIENCE / 1000)
    assert done.returncode == 0, done.stderr
    picture = np.asarray(Image.open(out).convert("RGB")).astype(int)
    assert picture.shape == (760, 1200, 3) and os.path.getsize(out) < 300_000
    ink = (picture.max(2) < 60)
    assert ink[100:500, 20:430].sum() > 1000, "no strokes on the page"
    face = picture[150:450, 480:800]
    assert np.abs(face[..., 0] - face[..., 2]).mean() > 6, "no face beside it"
    assert weights.faces >= 2
