"""What the benchmark's tests share.  This process imports neither Jittor nor PyTorch; the tool's workers do."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for path in (str(ROOT), str(HERE)):
    if path not in sys.path:
        sys.path.insert(0, path)


def tool(*arguments, **environment):
    """tools/benchmark.py, one thread a side: on a busy machine threads that wait for one another cost a lot."""
    return subprocess.run([sys.executable, str(ROOT / "tools" / "benchmark.py"), *map(str, arguments)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=7200,
                          env={**os.environ, "OMP_NUM_THREADS": "1", **environment})


class Measured:
    """A run of the tool: status, printed table, JSON, and its rows by (stage, side)."""

    def __init__(self, done, path):
        self.done, self.data = done, json.loads(path.read_text())
        self.rows = {(r["stage"], r["side"]): r for r in self.data["results"]}


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """A few stages of ``tiny`` by all sides; PyTorch's rows say why they are missing where it is not installed."""
    folder = tmp_path_factory.mktemp("measured")
    done = tool("--preset", "tiny", "--device", "cpu", "--repeats", "2", "--warmup", "1", "--threads", "1", "--scratch",
                folder, "--stages", "project,decode.mouth,merge,face,stroke.mouth,train2-nogan,load",
                "--against", "release,torch,plain", "--chunk-bytes", "100k", "--json", folder / "out.json")
    assert (folder / "out.json").is_file(), done.stderr[-3000:]
    assert [p.name for p in folder.iterdir()] == ["out.json"], "seeded weights were left behind"
    return Measured(done, folder / "out.json")
