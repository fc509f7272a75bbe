"""What the machine must have: found out before anything is compiled, with the command that fixes it."""
from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import types
from multiprocessing import synchronize

import pytest
from machines import script

from jt_dfd import runtime
from jt_dfd.runtime import host, plan


def texts(problems):
    return "\n".join(p["what"] + " | " + p["fix"] for p in problems)


def test_nothing_is_missing_on_a_machine_that_has_everything(machine):
    assert plan.make_plan("cpu").problems == []


def test_a_numpy_that_nobody_tried_is_refused_before_jittor_is_imported(machine, monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", types.SimpleNamespace(__version__="3.0.1"))
    with pytest.raises(runtime.RuntimeProblem) as caught:
        runtime.prepare("cpu")
    assert "numpy 3.0.1" in str(caught.value) and "'numpy<3'" in str(caught.value)
    assert "jittor" not in sys.modules


@pytest.mark.parametrize("version", ["1.21.6", "1.26.4", "2.0.1", "2.5.5"])
def test_both_lines_of_numpy_are_taken(machine, monkeypatch, version):
    monkeypatch.setitem(sys.modules, "numpy", types.SimpleNamespace(__version__=version))
    assert plan.make_plan("cpu").problems == []


def test_missing_packages_are_all_named(machine, monkeypatch):
    monkeypatch.setattr(host, "installed_version", lambda name: None)
    monkeypatch.delitem(sys.modules, "numpy", raising=False)
    real = host.importlib.util.find_spec
    monkeypatch.setattr(host.importlib.util, "find_spec",
                        lambda name: None if name in ("astunparse", "PIL") else real(name))
    said = texts(host.check_packages())
    assert "numpy is not installed" in said and "astunparse, PIL" in said and "pip install astunparse pillow" in said


@pytest.mark.parametrize("where", ["/home/a user/jt_dfd/.venv/bin/python", "/home/user(2)/.venv/bin/python"])
def test_an_environment_under_a_path_with_spaces_is_refused_before_the_compile(machine, monkeypatch, where):
    """Tried: it compiles for three minutes and then stops at the first operator."""
    monkeypatch.setattr(host.sys, "executable", where)
    said = texts(plan.make_plan("cpu").problems)
    assert where in said and "spaces" in said and "move this project" in said


@pytest.mark.parametrize("system, word", [("Darwin", "container"), ("Windows", "WSL 2")])
def test_other_systems_are_refused_plainly(machine, monkeypatch, system, word):
    monkeypatch.setattr(host.platform, "system", lambda: system)
    with pytest.raises(runtime.RuntimeProblem) as caught:
        runtime.prepare()
    assert f"{system} is not supported" in str(caught.value) and word in str(caught.value)


@pytest.mark.parametrize("machine_name, libc, word", [("aarch64", "glibc", "aarch64 is not supported"),
                                                      ("x86_64", "", "musl")])
def test_machines_that_nothing_was_tried_on(machine, monkeypatch, machine_name, libc, word):
    monkeypatch.setattr(host.platform, "machine", lambda: machine_name)
    monkeypatch.setattr(host.platform, "libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(host, "_has_glibc", lambda: bool(libc))
    assert word in texts(host.check_system())
    monkeypatch.setenv("JT_DFD_MACHINE", "any")
    assert (word in texts(host.check_system())) == (word == "musl")


def test_a_python_that_is_too_new(monkeypatch):
    monkeypatch.setattr(host.sys, "version_info", (3, 15, 0))
    assert "3.8 to 3.14" in texts(host.check_system())


def test_no_compiler(machine, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    said = texts(plan.make_plan("cpu").problems)
    assert "no C++ compiler" in said and "g++" in said.split("|")[1]


def test_apt_get_command_names_this_python(monkeypatch, tmp_path):
    script(tmp_path / "apt-get", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(host.os, "geteuid", lambda: 1000)
    wanted = "sudo apt-get install -y g++ python%d.%d-dev" % sys.version_info[:2]
    assert host.package_command(["g++", "python-headers"]) == wanted


def test_a_numbered_compiler_is_found(machine, monkeypatch, tmp_path):
    script(tmp_path / "g++-11", "#!/bin/sh\necho 'g++-11 (Debian 11.3.0-12) 11.3.0'\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    there = host.compilers()
    assert [(c["kind"], c["version"]) for c in there] == [("g++", (11, 3, 0))]


def test_a_compiler_without_headers_is_found_in_a_second(tmp_path):
    path = script(tmp_path / "g++", "#!/bin/sh\necho 'fatal error: string: No such file or directory' >&2\nexit 1\n")
    found = host.check_compile({"path": str(path), "kind": "g++"}, sysconfig.get_path("include"))
    assert "cannot compile" in texts(found) and "No such file" in texts(found)


def test_missing_python_headers(machine, monkeypatch, tmp_path):
    monkeypatch.setattr(host.sysconfig, "get_path", lambda name: str(tmp_path))
    said = texts(plan.make_plan("cpu").problems)
    assert f"{tmp_path}/Python.h" in said


def test_a_home_that_cannot_be_compiled_in(machine, monkeypatch, tmp_path):
    spaced = tmp_path / "a home"
    spaced.mkdir()
    monkeypatch.setenv("HOME", str(spaced))
    said = texts(plan.make_plan("cpu").problems)
    assert "spaces" in said and "JITTOR_HOME" in said


def test_a_home_that_cannot_be_written(machine, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert "cannot be written" in texts(plan.make_plan("cpu").problems)


def test_an_earlier_jittor_home_is_followed_and_not_changed(machine, tmp_path):
    config = machine / ".cache/jittor/config.json"
    config.parent.mkdir(parents=True)
    config.write_text(json.dumps({"JITTOR_HOME": str(tmp_path / "elsewhere")}))
    assert host.jittor_home() == tmp_path / "elsewhere"
    os.environ["JITTOR_HOME"] = str(tmp_path / "chosen")
    assert host.jittor_home() == tmp_path / "chosen"
    assert json.loads(config.read_text()) == {"JITTOR_HOME": str(tmp_path / "elsewhere")}


def test_python_config_answers_for_the_running_python(machine):
    path = host.python_config()
    for option, right in (("--includes", "-I" + sysconfig.get_path("include")),
                          ("--extension-suffix", sysconfig.get_config_var("EXT_SUFFIX"))):
        assert subprocess.check_output([path, option]).decode().strip() == right


def test_choices_and_their_order(machine, monkeypatch):
    chosen = plan.make_plan("cpu").environment
    assert chosen["nvcc_path"] == "" and chosen["use_mpi"] == "0" and chosen["cache_name"] == "jt_dfd"
    for name, value in (("cache_name", "mine"), ("log_silent", "0"), ("use_mkl", "0"), ("use_mpi", "1")):
        monkeypatch.setenv(name, value)
    made = plan.make_plan("cpu")
    assert not {"cache_name", "log_silent", "use_mkl", "use_mpi"} & set(made.environment)
    assert made.users["cache_name"] == "mine"


def test_the_users_compiler_wins_and_is_checked(machine, monkeypatch, tmp_path):
    path = script(tmp_path / "my-g++", "#!/bin/sh\necho 'g++ 12.1.0'\n")
    monkeypatch.setenv("cc_path", str(path))
    assert plan.make_plan("cpu").found["compiler"]["path"] == str(path)
    monkeypatch.setenv("cc_path", str(tmp_path / "nowhere"))
    assert "cc_path" in texts(plan.make_plan("cpu").problems)
    monkeypatch.setenv("cc_path", str(script(tmp_path / "compiler", "#!/bin/sh\necho '12.1.0'\n")))
    assert "by their name" in texts(plan.make_plan("cpu").problems)


def test_device_names(machine, monkeypatch):
    with pytest.raises(ValueError, match="gpu"):
        runtime.prepare("gpu")
    monkeypatch.setenv("JT_DFD_DEVICE", "tpu")
    assert "JT_DFD_DEVICE=tpu" in texts(plan.make_plan().problems)
    monkeypatch.setenv("JT_DFD_DEVICE", "cpu")
    assert plan.make_plan().why == "asked for"


def test_mpi_is_used_under_mpirun_only(machine, monkeypatch, tmp_path):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    mpicc = script(tmp_path / "mpicc", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    chosen = plan.make_plan("cpu").environment
    assert chosen["use_mpi"] == "1" and chosen["mpicc_path"] == str(mpicc)
    mpicc.unlink()
    real = host.shutil.which
    monkeypatch.setattr(host.shutil, "which", lambda name: None if name == "mpicc" else real(name))
    monkeypatch.setattr(host.sys, "executable", str(tmp_path / "python"))
    assert "no mpicc" in texts(plan.make_plan("cpu").problems)


def test_ranks_share_the_cores(machine, monkeypatch, tmp_path):
    script(tmp_path / "mpicc", "#!/bin/sh\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(host.os, "cpu_count", lambda: 16)
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda process: set(range(16)))
    assert "OMP_NUM_THREADS" not in plan.make_plan("cpu").environment, "one process has them all"
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "8")
    for ranks, bound, threads in (("4", 16, "4"), ("32", 16, "1"), ("4", 2, "2"), ("3", 16, "5")):
        monkeypatch.setenv("OMPI_COMM_WORLD_LOCAL_SIZE", ranks)
        monkeypatch.setattr(host.os, "sched_getaffinity", lambda process, bound=bound: set(range(bound)))
        assert plan.make_plan("cpu").environment["OMP_NUM_THREADS"] == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert "OMP_NUM_THREADS" not in plan.make_plan("cpu").environment, "the user's own number stays"


def test_prepare_sets_the_environment_once_and_imports_nothing(run):
    status, out, err = run("""
import os, sys
from jt_dfd import runtime
assert not {"numpy", "jittor"} & set(sys.modules), "importing the runtime imports nothing heavy"
first = runtime.prepare("cpu")
assert os.environ["nvcc_path"] == "" and os.environ["cache_name"] == "jt_dfd"
assert runtime.prepare("cpu") == first == runtime.prepare() == runtime.report()
assert runtime.chosen_device() == "cpu"
assert not {"numpy", "jittor"} & set(sys.modules)
try:
    runtime.prepare("cuda")
except runtime.RuntimeProblem:
    pass
print("fine")
""")
    assert (status, out) == (0, "fine\n"), err


def test_a_child_process_decides_afresh(run):
    """What a parent's runtime chose is no choice of the user's to its children."""
    status, out, err = run("""
import os, subprocess, sys
from jt_dfd import runtime
runtime.prepare("cpu")
code = "from jt_dfd import runtime; r = runtime.prepare(); print(r['users'], r['why'])"
print(subprocess.check_output([sys.executable, "-c", code]).decode())
""", LD_LIBRARY_PATH="")
    assert status == 0, err
    assert "nvcc_path" not in out and "asked for" not in out


def test_report_changes_nothing(machine):
    before = dict(os.environ)
    report = runtime.report()
    assert report["device"] in ("cpu", "cuda") and json.dumps(report)
    assert dict(os.environ) == before
    assert not (machine / ".cache/jittor").exists()


def test_the_command_that_sets_up_names_itself_in_its_errors(run):
    status, _, said = run(["-m", "jt_dfd.runtime"], JITTOR_HOME="/proc/nowhere")
    assert status == 2 and said.startswith("jt_dfd: Jittor cannot start here:") and "JITTOR_HOME=FOLDER" in said


def test_without_semaphores_one_file_at_a_time_is_compiled(machine, monkeypatch):
    """A bare root, a sandbox: no /dev/shm, or one that is no tmpfs, with a C library before 2.34."""
    monkeypatch.setattr(synchronize, "Lock", lambda *_, **__: None)
    assert "DISABLE_MULTIPROCESSING" not in plan.make_plan("cpu", dry=True).environment

    def refuse(*_, **__):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(synchronize, "Lock", refuse)
    assert plan.make_plan("cpu", dry=True).environment["DISABLE_MULTIPROCESSING"] == "1"


def test_a_c_library_older_than_the_compiler_is_named(machine, tmp_path, monkeypatch):
    """A conda's on LD_LIBRARY_PATH: Jittor ends in an assertion without a word."""
    newer = tmp_path / "libstdc++.so.6"
    newer.write_bytes(b"..GLIBCXX_3.4.9.GLIBCXX_3.4.999..")
    path = script(tmp_path / "g++", f"#!/bin/sh\necho {newer}\n")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/conda/lib")
    said = texts(host.check_compile({"path": str(path), "kind": "g++"}, "/nowhere"))
    assert f"is older than {path}" in said and "unset LD_LIBRARY_PATH" in said
    newer.write_bytes(b"GLIBCXX_3.4.1")
    assert not host.check_compile({"path": str(path), "kind": "g++"}, "/nowhere")


def test_a_user_without_a_home_is_told(run):
    if os.getuid() != 0:
        pytest.skip("needs root, to be nobody")
    code = "import os; from jt_dfd.runtime import host; os.setgid(54321); os.setuid(54321); " \
           "del os.environ['HOME']; print(host.check_cache()[0])"
    status, out, err = run(code)
    assert status == 0 and "JITTOR_HOME=FOLDER" in out, err


def test_a_disk_must_hold_a_compile_but_where_it_is_made_already(machine, monkeypatch):
    for free, compiled, refused in ((400e6, False, True), (400e6, True, False), (10e6, True, True)):
        monkeypatch.setattr(host.shutil, "disk_usage", lambda _, free=free: types.SimpleNamespace(free=free))
        if compiled:
            mark = host.cache_folder() / "ready/some.json"
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
        assert ("MB free" in texts(host.check_cache())) == refused
