"""CUDA kernels on the CPU; see emulator.py.  Nothing here needs a GPU, Jittor or a compile of it."""
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import stand_in  # noqa: E402

stand_in.install()
import emulator  # noqa: E402

from jt_dfd.kernels import source  # noqa: E402


def pytest_collection_modifyitems(items):
    reason = emulator.missing()
    for item in items if reason else ():
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def programs(tmp_path_factory):
    """Where programs lie that tests have compiled."""
    return tmp_path_factory.mktemp("programs")


@pytest.fixture
def emulated(monkeypatch, programs):
    """The public functions of ``jt_dfd.kernels`` run their CUDA texts, emulated; returns the emulator, whose orders,
    sanitizer and refusals a test may set."""
    made = emulator.Emulator(programs)
    monkeypatch.setattr(source, "run", lambda *arguments: [stand_in.variable(v) for v in made.run(*arguments)])
    return made


@pytest.fixture(params=["address", "thread"])
def sanitized(request, emulated, programs):
    """``emulated`` under a sanitizer, in one order; skipped where a program with it does not run."""
    try:
        nothing = SimpleNamespace(SHARED="", CUDA="")
        emulator.Emulator(programs, request.param).run(nothing, ";", [(1,)], ["int32"], [], {})
    except (emulator.Fault, RuntimeError) as error:
        pytest.skip(f"{request.param} sanitizer does not work here: {str(error).splitlines()[-1]}")
    emulated.sanitizer, emulated.orders = request.param, (3,)
    return emulated
