"""Operations against the numbers that are known of the release; inputs that are what they say."""
import itertools

import numpy as np
import pytest

from jt_dfd.benchmark import inputs, report, side
from jt_dfd.benchmark.stages import (
    face_operations,
    network_operations,
    step_operations,
    training_operations,
    work_operations,
)
from jt_dfd.checkpoints import open_folder
from jt_dfd.components import COMPONENTS, Geometry
from jt_dfd.config import preset
from jt_dfd.pictures import to_sketch


def test_the_release_s_operations():
    config = preset("release")
    assert face_operations(config) == pytest.approx(1150e9, rel=0.002)       # as measured on the release itself
    assert network_operations("generator", config) == pytest.approx(376e9, rel=0.002)
    assert sum(step_operations(config).values()) == face_operations(config)


def test_small_networks_by_hand():
    config = preset("tiny").with_changes(encoder_widths=(2, 3), image_widths=(3, 2), feature_widths=(3, 2), latent=4,
                                         feature_channels=2, generator_width=2, generator_blocks=1, generator_downs=1)
    size = config.geometry.window("eye1").size
    assert size == 16
    down, res = 2 * 2 * 1 * 16 * 8 * 8, 2 * (2 * 2 * 2 * 9 * 8 * 8)
    down2, res2 = 2 * 3 * 2 * 16 * 4 * 4, 2 * (2 * 3 * 3 * 9 * 4 * 4)
    assert network_operations("encoder", config, "eye1") == down + res + down2 + res2 + 2 * 3 * 16 * 4
    up = 2 * 3 * 3 * 16 * 4 * 4 + 2 * (2 * 9 * 9 * 64) + 2 * 3 * 2 * 16 * 8 * 8 + 2 * (2 * 2 * 2 * 9 * 256)
    assert (network_operations("image_decoder", config, "eye1")
            == 2 * 4 * 48 + 2 * (2 * 9 * 9 * 16) + up + 2 * 1 * 2 * 25 * 256)
    pixels = 64 * 64
    ends = 2 * 49 * 2 * 2 * pixels + 2 * 49 * 2 * 3 * pixels
    assert (network_operations("generator", config)
            == ends + 2 * (2 * 4 * 2 * 9 * 32 * 32) + 2 * (2 * 4 * 4 * 9 * 32 * 32))


def test_work_that_was_done_counts():
    config = preset("tiny")
    everything = {"encode": {c: 1 for c in COMPONENTS}, "decode": {c: 15 for c in COMPONENTS},
                  "features": {c: 1 for c in COMPONENTS}, "generator": {"rest": 1}}
    assert work_operations(config, everything) == face_operations(config)
    assert work_operations(config, {"decode": {"mouth": 2}}) == 2 * network_operations("image_decoder", config, "mouth")
    assert training_operations(config, "synthesis", 2) == 2 * training_operations(config, "synthesis", 1)
    assert training_operations(config, "synthesis", 1, gan=False) < training_operations(config, "synthesis", 1)


@pytest.mark.parametrize("canvas", (64, 256, 512))
@pytest.mark.parametrize("component", COMPONENTS)
def test_a_stroke_touches_its_component_alone_and_never_comes_twice(canvas, component):
    geometry = Geometry(canvas)
    before = to_sketch(inputs.sketch(geometry, 0), canvas)
    seen = set()
    for page in itertools.islice(inputs.strokes(geometry, component), 12):
        assert page.shape == (512, 512) and page.dtype == np.uint8
        assert geometry.touched(before, to_sketch(page, canvas)) == (component,)
        seen.add(page.tobytes())
    assert len(seen) == 12


def test_a_sketch_a_number():
    geometry = Geometry(64)
    assert np.array_equal(inputs.sketch(geometry, 3), inputs.sketch(geometry, 3))
    pages = [to_sketch(inputs.sketch(geometry, n), 64) for n in range(6)]
    for a, b in itertools.combinations(pages, 2):
        assert geometry.touched(a, b) == COMPONENTS


def test_seeded_weights_are_a_whole_folder(tmp_path):
    config = preset("tiny")
    folder = open_folder(inputs.write_weights(tmp_path / "params", config))
    assert folder.genders == ("male", "female") and folder.config == config
    for component in COMPONENTS:
        assert folder.bank(component, "female").shape == (40, config.latent)
        assert np.isfinite(folder.network("feature_decoder", component)["fc.0.weight"]).all()
    size = sum((folder.path / f).stat().st_size for f in folder.files())
    assert size == pytest.approx(inputs.weights_bytes(config), rel=0.05)
    again = open_folder(inputs.write_weights(tmp_path / "again", config))
    assert again.meta["files"] == folder.meta["files"]


def test_a_small_set_can_be_read(tmp_path):
    from jt_dfd.data import index

    assert len(index.read(inputs.write_set(tmp_path / "set", 4))) == 4


def test_summary_and_paired_ratio():
    s = report.summary([1, 2, 3, 4, 100])
    assert (s["median"], s["quartiles"], s["deviation"], s["minimum"], s["count"]) == (3, [2, 4], 1, 1, 5)
    # the machine was twice as slow in the second round, for both
    r = report.ratio([[1.0], [2.0]], [[2.0], [4.0]])
    assert r["median"] == 0.5 and r["pairs"] == [0.5, 0.5]
    assert report.ratio([[1.0]], []) == {}


def test_room_is_asked_for_first(monkeypatch):
    monkeypatch.setattr(side.machine, "available", lambda: 4 << 30)
    side.check_room(20_000, 512)
    with pytest.raises(side.NotHere, match=r"1,000,000 x 512 needs 4\.5 GB.*4\.3 GB are free"):
        side.check_room(1_000_000, 512)
    with pytest.raises(side.NotHere, match="a step needs about"):
        side.check_training(preset("release"), 1, "synthesis")
