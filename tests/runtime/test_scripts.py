"""The shell side of the two commands: which Python, which packages, which words."""
from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import subprocess
import sys

import pytest
from machines import ROOT, script


def shell(code, **environment):
    done = subprocess.run(["bash", "-c", f"set -uo pipefail; . tools/_environment.sh; {code}"], cwd=str(ROOT),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=1200,
                          env={**os.environ, "PYTHONPATH": "", **environment})
    return done.returncode, done.stdout


@pytest.mark.parametrize("name", ["quickstart.sh", "test.sh", "_environment.sh"])
def test_they_are_valid_shell(name):
    assert subprocess.call(["bash", "-n", str(ROOT / "tools" / name)]) == 0


def test_a_python_that_fits_is_found(tmp_path):
    status, said = shell('find_python && echo "$BASE $BASE_VERSION"')
    assert status == 0
    base, version = said.split()
    assert (3, 8) <= tuple(map(int, version.split("."))) < (3, 15) and os.access(base, os.X_OK)


def test_the_named_python_wins():
    status, said = shell('find_python && echo "$BASE_VERSION"', JT_DFD_PYTHON=sys.executable)
    assert said.strip() == "%d.%d" % sys.version_info[:2]


def test_a_python_that_does_not_fit_is_refused(tmp_path):
    script(tmp_path / "python9", "#!/bin/sh\nexit 1\n")
    assert shell("find_python", JT_DFD_PYTHON=str(tmp_path / "python9"))[0] != 0


@pytest.mark.parametrize("system, word", [("Darwin", "macOS is not supported"), ("MINGW64_NT", "WSL 2")])
def test_other_systems(tmp_path, system, word):
    script(tmp_path / "uname", f"#!/bin/sh\necho {system}\n")
    for name in ("quickstart.sh", "test.sh"):
        done = subprocess.run(["bash", str(ROOT / "tools" / name)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True, timeout=1200,
                              env=dict(os.environ, PATH=f"{tmp_path}:{os.environ['PATH']}"))
        assert done.returncode == 1 and word in done.stdout


@pytest.mark.parametrize("name", ["my projects", "it's", "a(b)", "plain-name_1.2"])
def test_a_clone_under_a_path_with_spaces_is_told_before_anything_is_installed(tmp_path, name):
    shutil.copytree(ROOT / "tools", tmp_path / name / "tools")
    code = "find_python() { echo went on; exit 0; }; set_up ''"
    done = subprocess.run(["bash", "-c", f"set -uo pipefail; . tools/_environment.sh; {code}"], cwd=tmp_path / name,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, timeout=60,
                          env=dict(os.environ, PYTHONPATH=""))
    if name.startswith("plain"):
        assert (done.returncode, done.stdout) == (0, "went on\n")
    else:
        assert done.returncode == 1 and name in done.stdout and "spaces" in done.stdout and "went on" not in done.stdout


def test_a_numbered_compiler_is_enough(tmp_path):
    """As for the runtime, which takes any of them."""
    script(tmp_path / "g++-12", "#!/bin/sh\n")
    quiet = PLAIN.replace("=1", "=0").replace("!= libGL.so.1", "!= ''")
    for path, wanted in ((tmp_path, ""), (tmp_path / "none", "g++")):
        _, said = shell(f"hash -r; {quiet} PATH={path}; ls() {{ echo fonts; }}; "
                        "fail() { :; }; system_packages")
        assert ("g++" in said) == bool(wanted), said


PLAIN = ("BASE=/usr/bin/python3 BASE_VERSION=3.11 NEEDS_HEADERS=1 NEEDS_VENV=1; "
         'has_library() { [ "$1" != libGL.so.1 ]; };')


def test_who_is_not_root_is_told_the_command(tmp_path):
    script(tmp_path / "id", "#!/bin/sh\necho 1000\n")
    script(tmp_path / "apt-get", "#!/bin/sh\necho called; exit 1\n")
    status, said = shell(PLAIN + "system_packages", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert status == 1 and "called" not in said
    assert "sudo apt-get update && sudo apt-get install -y python3.11-dev python3.11-venv libgl1" in said


def test_root_gets_them_installed(tmp_path):
    script(tmp_path / "id", "#!/bin/sh\necho 0\n")
    script(tmp_path / "apt-get", f"#!/bin/sh\necho \"$@\" >> {tmp_path}/log\n")
    status, said = shell(PLAIN + "system_packages", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert status == 0, said
    log = (tmp_path / "log").read_text()
    assert "python3.11-dev python3.11-venv" in log and "libgl1" in log


def test_what_only_the_window_needs_stops_nobody(tmp_path):
    script(tmp_path / "id", "#!/bin/sh\necho 1000\n")
    script(tmp_path / "apt-get", "#!/bin/sh\nexit 1\n")
    status, said = shell(PLAIN.replace("=1", "=0") + "system_packages", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert status == 0 and "libgl1" in said


def test_quickstart_knows_its_words():
    done = subprocess.run(["bash", str(ROOT / "tools/quickstart.sh"), "--help"], stdout=subprocess.PIPE, timeout=1200)
    assert done.returncode == 0 and b"--no-window" in done.stdout
    assert subprocess.call(["bash", str(ROOT / "tools/quickstart.sh"), "--wrong"], stdout=subprocess.DEVNULL) != 0


def test_the_version_is_the_packages_own():
    import jt_dfd

    # without setuptools, which environments of Python 3.12 and newer do not hold
    program = ("import runpy, sys, types; sys.modules['setuptools'] = types.SimpleNamespace("
               "find_packages=lambda **_: [], setup=lambda **words: print(words['version'])); "
               "runpy.run_path('setup.py')")
    said = subprocess.check_output([sys.executable, "-c", program], cwd=str(ROOT))
    assert said.decode().split() == [jt_dfd.__version__]


@pytest.mark.parametrize("program, said_by_it, word", [
    ("uname", "case $1 in -m) echo aarch64;; *) echo Linux;; esac", "aarch64"),
    ("ldd", "echo 'musl libc (x86_64)'; exit 1", "musl")])
def test_machines_that_are_refused_before_anything_is_installed(tmp_path, program, said_by_it, word):
    script(tmp_path / program, f"#!/bin/sh\n{said_by_it}\n")
    status, said = shell("find_python() { echo went on; }; set_up ''", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert status == 1 and word in said and "went on" not in said


def test_a_system_whose_python_does_not_fit_gets_no_packages_first(tmp_path):
    status, said = shell("find_python() { return 1; }; system_packages() { echo installed; }; set_up ''")
    assert status == 1 and "No Python from 3.8 to 3.14" in said and "installed" not in said


def test_an_environment_with_pips_jittor_keeps_numpy_1(tmp_path):
    """pip would complain of Jittor's own numpy<2 otherwise."""
    site = tmp_path / "site"
    for name, version, more in (("jittor", "1.3.11.0", "Requires-Dist: numpy<2.0\n"), ("numpy", "1.26.4", "")):
        info = site / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}")
    code = f"PYTHON={sys.executable}; numpy_bounds"
    assert shell(code, PYTHONPATH=str(site))[1].strip() == "numpy<2 ml_dtypes<0.6"
    (site / "numpy-1.26.4.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 2.1.0\n")
    assert shell(code, PYTHONPATH=str(site))[1].strip() == ""


STUBS = "system_packages() { :; }; make_venv() { :; }; PYTHON=true; install_package() { %s; }; set_up ''"


def test_a_shell_set_up_for_another_python_changes_nothing():
    """A conda's or a ROS's variables, pip's settings for work without environments, a service without a home."""
    told = 'echo "${PYTHONPATH-no} $PIP_USER $HOME"'
    status, said = shell(STUBS % told, PYTHONHOME="/opt/conda", PYTHONPATH="/opt/conda/lib", PIP_USER="1", HOME="")
    assert (status, said.split()[-3:]) == (0, ["no", "0", pwd.getpwuid(os.getuid()).pw_dir])
    assert "unset them for the tools too" in said


def test_a_small_tmp_is_not_used(tmp_path):
    script(tmp_path / "df", "#!/bin/sh\necho Avail; echo 20000\n")
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    code = f"cd {tmp_path}; ROOT=$PWD VENV=$PWD/.venv; " + STUBS % 'ls -d "$TMPDIR"'
    status, said = shell(code, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert (status, said.strip()) == (0, f"{tmp_path}/.venv/tmp")


def test_two_set_ups_of_one_folder_wait_for_one_another(tmp_path):
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    code = f"set -uo pipefail; . {tmp_path}/tools/_environment.sh; " + STUBS % "echo done"
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    child = subprocess.Popen(["bash", "-c", code], stdout=subprocess.PIPE, universal_newlines=True,
                             env=dict(os.environ, PYTHONPATH=""))
    assert child.stdout.readline() == "== waiting for another set-up of this folder\n"
    os.close(folder)
    assert child.communicate(timeout=1200)[0] == "done\n" and child.returncode == 0


def test_ctrl_c_says_how_to_go_on():
    status, said = shell(STUBS % "kill -INT $$; echo went on")
    assert status == 130 and "stopped" in said and "went on" not in said


def test_a_package_whose_installation_was_broken_off_is_installed_again(tmp_path):
    """pip takes it for installed: oneDNN's library was missing for ever."""
    whole, half = (tmp_path / f"lib/python3.11/site-packages/{name}-1.0.dist-info" for name in ("whole", "half"))
    for info in (whole, half):
        info.mkdir(parents=True)
        (info / "METADATA").touch()
    (whole / "INSTALLER").touch()
    status, said = shell(f"VENV={tmp_path} PYTHON=true; install_package ''")
    assert status == 0 and whole.exists() and not half.exists(), said
