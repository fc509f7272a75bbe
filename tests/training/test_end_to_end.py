"""One command from a set of pairs to a folder that the synthesizer uses."""
import json
import subprocess
import sys

import numpy as np


def test_from_the_papers_data_to_weights_that_draw(root, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(root / "tests/data"))
    from hq import celebamask_hq

    source = celebamask_hq(tmp_path / "CelebAMask-HQ", (0, 1, 7, 8, 9, 10, 11, 2006))
    words = ["--celebamask-hq", str(source), "--style", "photocopy", "--drawn", "no", "--workers", "1"]
    assert subprocess.call([sys.executable, str(root / "tools/prepare_data.py"), *words, "--out",
                            str(tmp_path / "set")]) == 0
    words = [sys.executable, str(root / "tools/train_all.py"), "--data", str(tmp_path / "set"), "--out",
             str(tmp_path), "--preset", "tiny", "--steps", "60", "--batch", "2",
             "--perceptual-network", "off", "--device", "cpu", "--set", "generator_width=12", "latent=16",
             "--synthesis-lr", "1e-4"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stderr[-2000:]
    options = json.loads((tmp_path / "synthesis/options.json").read_text())
    assert options["lr"] == 1e-4 and json.loads((tmp_path / "embedding/options.json").read_text())["lr"] == 1e-3
    assert "<code>python -m jt_dfd train_embedding --out" in (tmp_path / "embedding/index.html").read_text()
    # a second call finds everything done
    again = subprocess.run(words, capture_output=True, timeout=3600, text=True)
    assert again.returncode == 0 and again.stderr.count("finished already") == 2
    # more of stage I would make stage II's work worthless: said before a step
    more = subprocess.run([*words, "--embedding-steps", "70"], capture_output=True, timeout=3600, text=True)
    assert more.returncode == 2 and "--embedding-steps 60" in more.stderr and "[1/4]" not in more.stdout
    from jt_dfd import Synthesizer

    synthesizer = Synthesizer(tmp_path / "params", "cpu")
    assert (synthesizer.config.generator_width, synthesizer.config.latent) == (12, 16)
    sketch = tmp_path / "set/sketches/1.png"
    blank = np.full((512, 512), 255, np.uint8)
    face = synthesizer.synthesize(sketch, "male", refine=0, k=3).face
    assert face.shape == (512, 512, 3) and face.std() > 5
    assert np.abs(face.astype(int) - synthesizer.synthesize(blank, "male", refine=0, k=3).face).mean() > 1
