"""oneDNN out of installed wheels: found by their file lists, linked where Jittor looks, repaired, never overwritten."""
from __future__ import annotations

import os
import shutil
import sys
from importlib import metadata

import pytest
from machines import ROOT, hide_wheels, wheel

from jt_dfd.runtime import host, onednn, plan


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """The two distributions in a Python environment at tmp_path/env, before the real ones."""
    site = tmp_path / "env/lib/python3/site-packages"
    library = {"../../libdnnl.so.2": "library", "../../libdnnl.so": "library", "../../libdnnl.so.2.6": "library"}
    headers = {f"../../../include/{n}": n for n in ("dnnl.h", "dnnl.hpp", "oneapi/dnnl/dnnl.hpp", "oneapi/dnnl/dnnl.h")}
    wheel(site, onednn.WHEELS["library"], onednn.VERSION, library)
    wheel(site, onednn.WHEELS["headers"], onednn.VERSION, headers)
    monkeypatch.syspath_prepend(str(site))
    return tmp_path / "env"


def test_links_where_jittor_looks(machine, wheels):
    assert onednn.look()["state"] == "wheels"
    assert not onednn.folder().exists(), "looking changes nothing"
    assert onednn.provide()["state"] == "ready"
    place = machine / ".cache/jittor/mkl/dnnl_lnx_2.2.0_cpu_gomp"
    for name in ("libmkldnn.so", "libdnnl.so", "libdnnl.so.2"):
        assert (place / "lib" / name).read_text() == "library"
    assert (place / "include/oneapi/dnnl/dnnl.hpp").read_text() == "oneapi/dnnl/dnnl.hpp"


def test_a_moved_environment_is_repaired(machine, wheels, tmp_path, monkeypatch):
    onednn.provide()
    shutil.move(str(wheels), str(tmp_path / "moved"))
    assert not onednn.works(onednn.folder())
    monkeypatch.syspath_prepend(str(tmp_path / "moved/lib/python3/site-packages"))
    assert onednn.provide()["state"] == "ready"
    assert onednn.works(onednn.folder())
    assert (onednn.folder() / "include/oneapi/dnnl/dnnl.h").read_text() == "oneapi/dnnl/dnnl.h"


def test_a_folder_linked_as_a_whole_is_repaired(machine, wheels, tmp_path):
    place = onednn.folder()
    (place / "lib").mkdir(parents=True)
    (place / "include").symlink_to(tmp_path / "gone")
    assert onednn.provide()["state"] == "ready"


def test_a_users_own_copy_is_left_alone(machine, wheels):
    place = onednn.folder()
    for name in ("lib/libmkldnn.so", "include/dnnl.hpp", "lib/libdnnl.so.2"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text("mine")
    assert onednn.provide()["state"] == "ready"
    assert sorted(str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()) == [
        "include/dnnl.hpp", "lib/libdnnl.so.2", "lib/libmkldnn.so"]
    assert (place / "lib/libdnnl.so.2").read_text() == "mine"


def test_without_the_wheels_the_slow_way_is_chosen_and_said(machine, monkeypatch):
    def nowhere(name):
        raise metadata.PackageNotFoundError(name)

    real = metadata.distribution
    monkeypatch.setattr(metadata, "distribution", lambda n: nowhere(n) if n.startswith("onednn") else real(n))
    made = plan.make_plan("cpu")
    assert made.problems == [] and made.environment["use_mkl"] == "0"
    assert "slower" in made.notes[0]["what"] and "onednn-cpu-gomp==2022.2.1" in made.notes[0]["fix"]


def test_half_a_wheel_is_no_wheel(machine, wheels):
    (wheels / "include/dnnl.hpp").unlink()
    assert onednn.look()["state"] == "missing"


def test_another_copy_that_jittor_would_pick_is_reported(machine, wheels):
    (onednn.folder().parent / "dnnl_old").mkdir(parents=True)
    said = plan.make_plan("cpu").problems[0]
    assert "dnnl_old" in said["what"] and said["fix"].startswith("mv ")


def test_jittor_home_is_respected(machine, wheels, tmp_path, monkeypatch):
    monkeypatch.setenv("JITTOR_HOME", str(tmp_path / "other"))
    onednn.provide()
    assert onednn.works(tmp_path / "other/.cache/jittor/mkl/dnnl_lnx_2.2.0_cpu_gomp")
    assert not (machine / ".cache").exists()


@pytest.mark.skipif(host.installed_version("onednn-cpu-gomp") is None, reason="the oneDNN wheels are not installed")
def test_the_real_wheels(machine):
    import ctypes

    state = onednn.provide()
    assert state["state"] == "ready"
    library = ctypes.CDLL(str(onednn.folder() / "lib/libmkldnn.so"))
    assert library.dnnl_primitive_desc_create   # oneDNN 2's call; gone in 3, which Jittor cannot be compiled against


def test_doctor_without_the_wheels(run, tmp_path):
    hidden = hide_wheels(tmp_path / "hide", *onednn.WHEELS.values())
    status, out, err = run([ROOT / "tools/doctor.py", "--device", "cpu"], PYTHONPATH=str(hidden))
    assert status == 0, out + err
    assert "not installed" in out and "plain loops: slow" in out
    assert f"{sys.executable} -m pip install onednn-cpu-gomp==2022.2.1" in out
    assert not os.path.exists(os.path.join(os.environ["HOME"], ".cache/jittor/mkl"))
