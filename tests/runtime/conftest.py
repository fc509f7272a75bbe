"""A machine with a home of its own for every test.

Nothing in this folder imports Jittor into the test process; where Jittor takes part it does so in a child process.
"""
from __future__ import annotations

import os
import subprocess
import sys

import pytest
from machines import ROOT

#: whatever a developer's shell may have set
SETTINGS = ("JITTOR_HOME JT_DFD_CACHE JT_DFD_DEVICE JT_DFD_ISA JT_DFD_JITTOR ONEDNN_MAX_CPU_ISA JT_DFD_SET "
            "JT_DFD_ASSUME_GPU cc_path cc_flags nvcc_path nvcc_flags cuda_archs python_config_path "
            "use_mpi mpicc_path use_mkl use_cuda "
            "log_silent log_v cache_name use_cutt use_cutlass use_nccl nccl_include_path nccl_lib_path "
            "FIX_TORCH_ERROR conv_opt debug gdb_path CUDA_HOME CUDA_PATH "
            "CUDA_VISIBLE_DEVICES OMPI_COMM_WORLD_SIZE OMPI_COMM_WORLD_LOCAL_SIZE OMP_NUM_THREADS").split()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A clean home, no settings, the runtime as new; returns the home."""
    from jt_dfd import runtime

    home = tmp_path / "home"
    home.mkdir()
    before = dict(os.environ)
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(runtime, "_prepared", None)
    monkeypatch.setattr(runtime, "_jittor", None)
    yield home
    os.environ.clear()          # prepare() writes to it
    os.environ.update(before)


@pytest.fixture
def run(machine):
    """run(code or [script, ...], **environment): a Python process on that machine; (status, stdout, stderr)."""
    def call(code, timeout=3600, **environment):
        command = [sys.executable] + (["-c", code] if isinstance(code, str) else [str(c) for c in code])
        path = os.pathsep.join(filter(None, [environment.pop("PYTHONPATH", ""), str(ROOT)]))
        child = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True,
                               timeout=timeout, env=dict(os.environ, PYTHONPATH=path, **environment), cwd=str(ROOT))
        return child.returncode, child.stdout, child.stderr
    return call
