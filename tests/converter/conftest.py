"""What the converter's tests share.  This process may import PyTorch, never Jittor."""
import os
import subprocess
import sys

import numpy as np
import pytest

from jt_dfd.components import COMPONENTS
from jt_dfd.config import preset
from jt_dfd.networks import specification

try:
    import torch

    torch.set_num_threads(2)
except ImportError:
    torch = None

KINDS = ("encoder", "image_decoder", "feature_decoder", "generator", "discriminator")


def pytest_collection_modifyitems(items):
    for item in items:
        if torch is None and item.get_closest_marker("torch"):
            item.add_marker(pytest.mark.skip(reason="PyTorch is not installed (pip install 'jt_dfd[torch]')"))


def arrays_of(kind, config, component="rest", seed=0):
    """Plausible weights: nothing vanishes and nothing explodes."""
    random = np.random.default_rng(seed)
    out = {}
    for name, shape in specification(kind, config, component).items():
        x = random.standard_normal(shape, dtype=np.float32)
        if name.endswith("running_var"):
            x = np.exp(0.3 * x)
        elif len(shape) == 1:
            x = 0.2 * x + (name.endswith("weight"))
        else:
            x = x / np.sqrt(np.prod(shape[1:]))
        out[name] = x.astype(np.float32)
    return out


@pytest.fixture(scope="session")
def weights_of():
    return arrays_of


@pytest.fixture(scope="session")
def smallest():
    """A configuration whose networks take kilobytes: what the tests of damaged files are made of."""
    return preset("tiny").with_changes(preset="smallest", encoder_widths=(2, 3), image_widths=(3, 2),
                                       feature_widths=(3, 2), latent=4, feature_channels=2, generator_width=2,
                                       generator_blocks=1, discriminator_width=2)


def same(a, b):
    """Names, shapes, types and bits."""
    return list(a) == list(b) and all(
        a[n].shape == b[n].shape and a[n].dtype.newbyteorder("=") == b[n].dtype.newbyteorder("=")
        and np.ascontiguousarray(a[n]).tobytes() == np.ascontiguousarray(b[n]).tobytes() for n in a)


@pytest.fixture(scope="session")
def identical():
    return same


@pytest.fixture(scope="session")
def without(tmp_path_factory, root):
    """without("torch") runs convert_weights.py in a process where that package cannot be imported."""
    def run(package, *arguments):
        block = tmp_path_factory.mktemp("block")
        (block / "sitecustomize.py").write_text(
            "import sys\n"
            "class Block:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            f"        if name.split('.')[0] == {package!r}:\n"
            "            raise ModuleNotFoundError('No module named ' + repr(name), name=name)\n"
            "sys.meta_path.insert(0, Block())\n")
        environment = {"PYTHONPATH": str(block)}
        if package == "jittor":   # neither installed nor fetched (runtime/jittor_copy.py)
            environment.update(HOME=str(block), JITTOR_HOME=str(block))
            with open(block / "sitecustomize.py", "a") as f:
                f.write("from importlib.machinery import PathFinder\n"
                        "find = PathFinder.find_spec\n"
                        "PathFinder.find_spec = lambda name, path=None, target=None: (\n"
                        "    None if name == 'jittor' else find(name, path, target))\n"
                        f"sys.prefix = {str(block / 'no environment')!r}\n")
        return tool(root, *arguments, environment=environment)
    return run


def tool(root, *arguments, environment=None):
    return subprocess.run([sys.executable, str(root / "tools" / "convert_weights.py"), *map(str, arguments)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=3600,
                          env={**os.environ, **(environment or {})})


@pytest.fixture(scope="session")
def convert_weights(root):
    """Runs tools/convert_weights.py in a process of its own."""
    return lambda *arguments: tool(root, *arguments)


@pytest.fixture(scope="session")
def members():
    """(kind, component) of every network."""
    return [(kind, component) for kind in KINDS
            for component in (COMPONENTS if kind.endswith(("coder",)) else ("",))]
