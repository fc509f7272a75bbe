"""A network is computed the way that is quicker on this machine, as measured, and stays with it."""
import json
import time
from types import SimpleNamespace

import numpy as np
import pytest

from jt_dfd.checkpoints import open_folder
from jt_dfd.components import COMPONENTS
from jt_dfd.inference import pipeline
from jt_dfd.kernels import narrow_convolution, source
from jt_dfd.networks import steps
from jt_dfd.runtime import ways


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(ways, "path", lambda: tmp_path / "cache" / "ways.json")
    return tmp_path / "cache" / "ways.json"


def runs(*clock, processor=None, disturbed=False):
    return [ways.Run(c, processor or c, disturbed) for c in clock]


@pytest.fixture
def clock(monkeypatch):
    """Time that passes only where a test says so, undisturbed: what a busy machine's clocks tell nobody can foresee."""
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(ways, "resource", SimpleNamespace(getrusage=lambda who: SimpleNamespace(ru_nivcsw=0),
                                                          RUSAGE_SELF=0))
    monkeypatch.setattr(ways, "time", SimpleNamespace(perf_counter=lambda: now.seconds,
                                                      process_time=lambda: now.seconds))
    return now


def test_a_slow_kernel_is_not_taken(tiny_params, kept, monkeypatch, clock):
    """The kernel that ends every network is slow for a while: all of them are computed in plain layers, with the same
    results, now and by the next networks."""
    folder = open_folder(tiny_params)
    rng = np.random.default_rng(0)
    vectors = {c: rng.standard_normal(folder.config.latent).astype(np.float32) for c in COMPONENTS}

    def photograph(networks):
        return networks.photograph(networks.map_features(vectors))

    def slow(*arguments):
        clock.seconds += 0.2
        return narrow_convolution.narrow_convolution(*arguments)

    want = photograph(pipeline.Networks(folder))
    monkeypatch.setattr(steps, "narrow_convolution", slow)
    networks = pipeline.Networks(folder)
    chosen = networks.choose_ways()
    for name, entry in chosen.items():
        slowed = "feature_decoder" not in name  # those end differently
        assert entry["taken"] == (ways.PLAIN if slowed else ways.OURS), (name, entry)
        assert entry[ways.OURS] == pytest.approx(0.2 * slowed) and entry[ways.PLAIN] == 0, (name, entry)
    assert len(chosen) == 11
    assert np.abs(photograph(networks).astype(int) - want).max() <= 1
    again = pipeline.Networks(folder)
    later = again.choose_ways()
    assert later == chosen, "measured once"
    assert again._layers("generator")[0][0] is again.generator.model[0]


def test_runs_are_timed_in_turn():
    calls = []
    runs = ways.pairs(lambda: (calls.append("ours"), time.sleep(0.01)), lambda: calls.append("plain"))
    assert calls[:6] == ["ours", "plain"] * 3 and len(runs[0]) == len(runs[1]) == len(calls) / 2 - 1 >= ways.RUNS
    assert min(run.clock for run in runs[0]) >= 0.01, "at least what it waited"
    assert all(run.processor > 0 for run in ways.pairs(lambda: sum(range(100_000)), lambda: None)[0])


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
