"""What every test folder shares.  Each folder runs in a pytest process of its own (tools/test.sh): Jittor, PyTorch and
Qt do not share one."""
import os
import signal
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
for path in (str(ROOT), str(TESTS / "parity")):
    if path not in sys.path:
        sys.path.insert(0, path)


def pytest_configure(config):
    folders = {Path(a.split("::")[0]).resolve() for a in config.args}
    if folders & {TESTS, ROOT}:
        raise pytest.UsageError("each folder of tests/ needs a process of its own: run tools/test.sh, or "
                                "pytest tests/core (gui, converter, ...)")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # started in the background of a shell: ignored Ctrl-C is inherited, by the programs that tests interrupt, too
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("no_proxy", "NO_PROXY"):   # servers of the tests' own are reached without one
        os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"]))
    try:
        from hypothesis import HealthCheck, settings
    except ImportError:
        return
    # the same examples in every run, and no opinion on how long a busy machine takes to make them
    settings.register_profile("jt_dfd", derandomize=True, database=None, deadline=None,
                              suppress_health_check=list(HealthCheck))
    settings.load_profile("jt_dfd")


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture
def meant(root, tmp_path):
    """(file, page): a drawing in blue ink in the corner of a grey, oblong sheet, its red channel hardly a drawing; and
    the page that jt_dfd.drawings makes of it, which every way in has to come to."""
    import numpy as np
    from PIL import Image

    from jt_dfd import drawings, pictures

    strokes = 1 - np.asarray(Image.open(root / "tests/sketches/a.png").convert("L"), np.float32)[..., None] / 255
    sheet = np.full((700, 900, 3), (205, 206, 200), np.uint8)
    sheet[40:552, 300:812] = sheet[0, 0] * (1 - strokes) + np.float32((150, 60, 20)) * strokes
    Image.fromarray(sheet).save(tmp_path / "meant.png")
    page = drawings.read(tmp_path / "meant.png").page
    assert np.abs(page.astype(int) - pictures.to_sketch(sheet)).mean() > 20
    return tmp_path / "meant.png", page


@pytest.fixture(scope="session")
def demo():
    """The folder of weights that ships."""
    folder = ROOT / "Params" / "demo"
    if not (folder / "config.json").is_file():
        pytest.skip("Params/demo is not there")
    return folder


@pytest.fixture(scope="session")
def parity():
    """Folder of the fixtures that the release itself computed."""
    return TESTS / "parity"


@pytest.fixture(scope="session")
def tiny_params(tmp_path_factory):
    """A whole folder of weights of the ``tiny`` preset with its config.json; 40 rows a bank; not trained."""
    import weights

    from jt_dfd.checkpoints import write_config
    from jt_dfd.config import preset

    folder = tmp_path_factory.mktemp("params") / "tiny"
    weights.write_release(folder, preset("tiny"), rows=40)
    write_config(folder, preset("tiny"))
    return folder


@pytest.fixture(scope="session")
def release_params(tmp_path_factory):
    """A folder in the release's layout and size (2.5 GB), with the weights behind the fixtures.

    JT_DFD_RELEASE_PARAMS names one that is there already.
    """
    import shutil

    import weights

    from jt_dfd.config import preset

    kept = os.environ.get("JT_DFD_RELEASE_PARAMS")
    if kept:
        yield Path(kept)
        return
    folder = tmp_path_factory.mktemp("release")
    if shutil.disk_usage(folder).free < 4 << 30:
        pytest.skip("needs 4 GB of disk for weights of the release's size")
    yield weights.write_release(folder, preset("release"))
    shutil.rmtree(folder, ignore_errors=True)
