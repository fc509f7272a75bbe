"""A network is computed the way that is quicker on this machine, as measured, and stays with it."""
import json

import numpy as np
import pytest

from jt_dfd import pipeline
from jt_dfd.checkpoints import open_folder
from jt_dfd.components import COMPONENTS
from jt_dfd.kernels import narrow_convolution, source
from jt_dfd.runtime import ways


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(ways, "path", lambda: tmp_path / "cache" / "ways.json")
    return tmp_path / "cache" / "ways.json"


def runs(*clock, processor=None, disturbed=False):
    return [ways.Run(c, processor or c, disturbed) for c in clock]


def test_a_slow_kernel_is_not_taken(tiny_params, kept, monkeypatch):
    """The kernel that ends every network computes nothing for a while: all of them are computed in plain layers, with
    the same results, now and by the next networks."""
    folder = open_folder(tiny_params)
    rng = np.random.default_rng(0)
    vectors = {c: rng.standard_normal(folder.config.latent).astype(np.float32) for c in COMPONENTS}

    def photograph(networks):
        return networks.photograph(networks.map_features(vectors))

    want = photograph(pipeline.Networks(folder))
    start = "    int64_t weights = (int64_t)high * wide * channels;\n"
    assert start in narrow_convolution.CPU
    monkeypatch.setattr(narrow_convolution, "CPU", "#include <ctime>\n" + narrow_convolution.CPU.replace(
        start, start + "    for (clock_t end = clock() + CLOCKS_PER_SEC / 5; clock() < end; );\n"))
    networks = pipeline.Networks(folder)
    chosen = networks.choose_ways()
    slowed = {name: entry for name, entry in chosen.items() if "feature_decoder" not in name}  # those end differently
    assert len(slowed) == 6
    for name, entry in slowed.items():
        assert entry["taken"] == ways.PLAIN and entry[ways.OURS] > 0.2, (name, entry)
    assert np.abs(photograph(networks).astype(int) - want).max() <= 1
    again = pipeline.Networks(folder)
    later = again.choose_ways()
    assert {name: later[name] for name in chosen} == chosen, "measured once"
    assert again._layers("generator")[0][1] is again.generator.model[0]


def test_runs_that_nothing_disturbed_decide(kept):
    """Whatever others say, of which the clock may say anything."""
    wild = runs(0.001, 7.0, disturbed=True)
    assert ways.keep("a", runs(1.0, 1.1, 1.2) + wild, runs(0.9, 0.9, 0.9)) == ways.PLAIN
    assert ways.keep("b", runs(1.0, 1.1, 1.0), runs(0.98, 1.2, 1.0) + wild) == ways.OURS, "3 % are no difference"
    assert ways.taken("a") == ways.PLAIN and ways.taken("b") == ways.OURS and ways.taken("c") is None


def test_on_a_busy_machine_processor_time_decides_if_it_is_clear(kept):
    slow, quick = runs(9.0, 5.0, processor=2.0, disturbed=True), runs(30.0, 20.0, processor=1.0, disturbed=True)
    assert ways.keep("a", slow, quick) == ways.PLAIN and ways.keep("b", quick, slow) == ways.OURS
    near = runs(1.0, processor=1.1, disturbed=True)
    assert ways.keep("c", near, quick) == ways.keep("c", quick, near) == ways.default()
    assert ways.taken("c") is None, "the next time measures again"


def test_nothing_measured_takes_the_kernels_where_they_were_tuned(kept, monkeypatch):
    by_name = {s.name: s for s in source.VECTOR_SETS}
    for name, way in (("avx512", ways.OURS), ("avx2", ways.OURS), ("baseline", ways.PLAIN)):
        monkeypatch.setattr(source, "vector_set", lambda name=name: by_name[name])
        assert ways.default() == way


@pytest.mark.parametrize("content", ["", "[]", "{\"m\": 3}", "{\"m\": {\"n\": {\"taken\": \"x\"}}}"])
def test_a_damaged_file_is_as_good_as_none(kept, content):
    kept.parent.mkdir()
    kept.write_text(content)
    assert ways.taken("a") is None
    ways.keep("a", runs(2.0, 2.0, 2.0), runs(1.0, 1.0, 1.0))
    assert ways.taken("a") == ways.PLAIN and json.loads(kept.read_text())


def test_another_kernel_is_measured_anew(kept, monkeypatch):
    ways.keep("a", runs(2.0, 2.0, 2.0), runs(1.0, 1.0, 1.0))
    monkeypatch.setattr(narrow_convolution, "CPU", narrow_convolution.CPU + "// changed\n")
    assert ways.taken("a") is None
