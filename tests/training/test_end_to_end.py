"""One command from a set of pairs to a folder that the synthesizer uses."""
import subprocess
import sys

import numpy as np


def test_training_all_of_tiny_on_the_sample_pairs_gives_weights_that_draw(root, tmp_path):
    words = [sys.executable, str(root / "tools/train_all.py"), "--data", str(root / "tests/data/samples"), "--out",
             str(tmp_path), "--preset", "tiny", "--embedding-steps", "20", "--synthesis-steps", "20", "--batch", "2",
             "--perceptual-network", "off", "--device", "cpu"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-2000:]
    # a second call finds everything done
    assert subprocess.run(words, capture_output=True, timeout=3600).returncode == 0
    from jt_dfd import Synthesizer

    synthesizer = Synthesizer(tmp_path / "params", "cpu")
    sketch = root / "tests/data/samples/sketches/00013.png"
    blank = np.full((512, 512), 255, np.uint8)
    face = synthesizer.synthesize(sketch, "male", refine=0, k=3).face
    assert face.shape == (512, 512, 3) and face.std() > 5
    assert np.abs(face.astype(int) - synthesizer.synthesize(blank, "male", refine=0, k=3).face).mean() > 1
