"""Configurations: presets, strict reading."""
import json

import pytest

from jt_dfd import config
from jt_dfd.config import Config, ConfigError, preset


def test_presets_survive_writing_and_reading(tmp_path):
    for name in config.PRESETS:
        path = tmp_path / f"{name}.json"
        path.write_text(config.dump(preset(name), provenance={"made": "here"}))
        data = config.load(path)
        assert data["network"] == preset(name) and data["provenance"] == {"made": "here"}


@pytest.mark.parametrize("change, complaint", [
    ({"latent": 0}, "latent must be a positive whole number"),
    ({"latent": True}, "latent must be a positive whole number"),
    ({"latent": "512"}, "latent must be a positive whole number"),
    ({"canvas": 300}, "canvas must be 512, 256, 128 or 64"),
    ({"encoder_widths": [32, 64]}, "encoder_widths needs 5 numbers"),
    ({"image_widths": [32, 64, -1, 3, 3]}, "image_widths must be a list of positive"),
    ({"widths": [1]}, "unknown fields widths"),
    ({"generator_downs": 11}, "do not divide"),
])
def test_a_bad_field_is_named_with_its_file(tmp_path, change, complaint):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"format": 1, "network": {**preset("release").to_dict(), **change}}))
    with pytest.raises(ConfigError, match=complaint) as caught:
        config.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 2}', '{"format": 1}',
                                  '{"format": 1, "network": 3}', "[" * 100000])
def test_broken_files_are_named(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="config.json"):
        config.load(path)


def test_unknown_preset_lists_the_known():
    with pytest.raises(ConfigError, match="release, compact, tiny"):
        preset("huge")
    assert Config() == preset("release")
