"""A network is computed the way that is quicker on this machine, as measured, and stays with it."""
import json
import subprocess
import sys

import pytest

from jt_dfd.kernels import narrow_convolution
from jt_dfd.runtime import ways


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(ways, "path", lambda: tmp_path / "cache" / "ways.json")
    return tmp_path / "cache" / "ways.json"


SLOWED = """
import sys
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from jt_dfd import pipeline
from jt_dfd.checkpoints import open_folder
from jt_dfd.components import COMPONENTS
from jt_dfd.kernels import narrow_convolution, source
from jt_dfd.runtime import ways

kept = Path(sys.argv[2])
ways.path = lambda: kept
folder = open_folder(sys.argv[1])
rng = np.random.default_rng(0)
vectors = {c: rng.standard_normal(folder.config.latent).astype(np.float32) for c in COMPONENTS}
before = pipeline.Networks(folder)
want = before.photograph(before.map_features(vectors))
run = source.run
def slowed(kernel, call, *more):   # in the call: Jittor goes by that, the text before may be older
    return run(kernel, "struct timespec wait = {0, 300000000}; nanosleep(&wait, nullptr); " + call, *more)
source.PRELUDE = "#include <time.h>\\n" + source.PRELUDE
narrow_convolution.source = SimpleNamespace(run=slowed)
ways.REPEATS = 5   # one stolen second must not decide
networks = pipeline.Networks(folder)
chosen = networks.choose_ways()
assert len(chosen) == 11
for name, entry in chosen.items():
    if not name.startswith("feature_decoder"):   # those end in another layer
        assert entry["taken"] == ways.PLAIN and entry[ways.OURS] > 0.3, (name, entry)
got = networks.photograph(networks.map_features(vectors))
assert np.abs(got.astype(int) - want).max() <= 1
written = kept.read_bytes()
again = pipeline.Networks(folder)
assert again.choose_ways() == chosen and kept.read_bytes() == written, "measured once"
assert again._layers("generator")[0][1] is again.generator.model[0]
"""


def test_a_slow_kernel_is_not_taken(tiny_params, tmp_path, root):
    """The kernel that ends every network waits a while: all of them are computed in plain layers, with the same
    results, now and by the next networks."""
    done = subprocess.run([sys.executable, "-c", SLOWED, str(tiny_params), str(tmp_path / "cache" / "ways.json")],
                          capture_output=True, text=True, timeout=1200, cwd=str(root))
    assert done.returncode == 0, done.stderr[-3000:]


def test_plain_layers_are_taken_only_where_they_are_clearly_quicker(kept):
    assert ways.keep("a", ours=[1.0, 1.1, 9.0], plain=[0.9, 0.9, 8.0]) == ways.PLAIN
    assert ways.keep("b", ours=[1.0, 1.1, 1.0], plain=[0.99, 1.2, 1.0]) == ways.OURS
    assert ways.keep("d", ours=[1.0, 1.0, 1.0], plain=[0.5, 1.2, 1.2]) == ways.OURS, "one lucky timing"
    assert ways.taken("a") == ways.PLAIN and ways.taken("b") == ways.OURS and ways.taken("c") is None


@pytest.mark.parametrize("content", ["", "[]", "{\"m\": 3}", "{\"m\": {\"n\": {\"taken\": \"x\"}}}"])
def test_a_damaged_file_is_as_good_as_none(kept, content):
    kept.parent.mkdir()
    kept.write_text(content)
    assert ways.taken("a") is None
    ways.keep("a", [2.0], [1.0])
    assert ways.taken("a") == ways.PLAIN and json.loads(kept.read_text())


def test_another_kernel_is_measured_anew(kept, monkeypatch):
    ways.keep("a", [2.0], [1.0])
    monkeypatch.setattr(narrow_convolution, "CPU", narrow_convolution.CPU + "// changed\n")
    assert ways.taken("a") is None
