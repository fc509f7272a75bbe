"""Fixtures of the data tests.  They run in one process that may load Jittor, and never Qt or PyTorch."""
from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = Path(__file__).resolve().parent / "samples"
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from jt_dfd.data import models  # noqa: E402


def _need(*names):
    lacking = models.missing(*names)
    if lacking:
        pytest.skip("; ".join(lacking))


@pytest.fixture
def samples():
    """The folder of eight sample pairs; not to be written to."""
    return SAMPLES


@pytest.fixture
def a_set(tmp_path):
    """A copy of the sample set."""
    shutil.copytree(SAMPLES, tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def face_models():
    """Skips where the networks that find faces and people are not installed."""
    _need("face_short", "face_full", "mesh", "person")
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed: tools/install_data_extras.sh")


@pytest.fixture
def edge_model():
    _need("hed")
    pytest.importorskip("h5py", reason="h5py is not installed: tools/install_data_extras.sh")


@pytest.fixture
def generator_models(face_models):
    _need("face_mapping", "face_synthesis")
    pytest.importorskip("openvino", reason="openvino is not installed: tools/install_data_extras.sh")
