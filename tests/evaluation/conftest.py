"""What the evaluation's tests share.  This process uses Jittor; PyTorch's side runs in a process of its own."""
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="session")
def in_pytorch(tmp_path_factory):
    """Run a script of this folder under PyTorch; returns the folder that it wrote into.  Skips without PyTorch."""
    def run(script, *arguments):
        folder = tmp_path_factory.mktemp(script)
        done = subprocess.run([sys.executable, str(HERE / f"{script}.py"), str(folder), *map(str, arguments)],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
        if done.returncode == 77:
            pytest.skip("PyTorch is not installed (pip install 'jt_dfd[torch]')")
        assert done.returncode == 0, done.stdout
        return folder

    return run
