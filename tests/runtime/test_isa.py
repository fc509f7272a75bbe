"""JT_DFD_ISA: compiled and computed as on a processor with fewer vector instructions, beside what is there already."""
import platform
import subprocess

import pytest

from jt_dfd import doctor
from jt_dfd.runtime import first_compile, host, isa, plan

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="sets of x86")


@pytest.fixture
def avx512(machine, monkeypatch):
    monkeypatch.setattr(isa, "processor", lambda: "avx512")


def test_nothing_is_limited_unless_asked(avx512):
    made = plan.make_plan("cpu", dry=True)
    assert made.environment["cache_name"] == "jt_dfd"
    assert not {"cc_flags", "ONEDNN_MAX_CPU_ISA"} & set(made.environment)


@pytest.mark.parametrize("name, onednn, macro", [("avx2", "AVX2", "__AVX2__"), ("baseline", "SSE41", "__SSE2__")])
def test_compiler_and_onednn_are_limited_in_a_cache_of_their_own(avx512, monkeypatch, name, onednn, macro):
    monkeypatch.setenv("JT_DFD_ISA", name)
    made = plan.make_plan("cpu", dry=True)
    assert made.environment["cache_name"] == f"jt_dfd_{name}" and made.environment["ONEDNN_MAX_CPU_ISA"] == onednn
    # as Jittor puts them together
    said = subprocess.run([made.environment["cc_path"], "-march=native", *made.environment["cc_flags"].split(),
                           "-dM", "-E", "-x", "c++", "-"], input="", capture_output=True, text=True).stdout
    assert macro in said and "__AVX512F__" not in said and (name == "avx2") == ("__AVX2__" in said)
    assert f"no more than {name}" in doctor.words(made.report())


def test_it_is_the_same_cache_on_every_processor_that_has_the_set(machine, monkeypatch):
    """An image compiled on one machine runs on another."""
    monkeypatch.setenv("JT_DFD_ISA", "avx2")
    names = set()
    for name in ("avx2", "avx512"):
        monkeypatch.setattr(isa, "processor", lambda name=name: name)
        monkeypatch.setattr(host, "processor_model", lambda name=name: f"one with {name}")
        names.add(first_compile.fingerprint("cpu", plan.make_plan("cpu", dry=True).environment))
    assert len(names) == 1


@pytest.mark.parametrize("name, words", [("avx9", "expected avx512, avx2 or baseline"), ("avx512", "has avx2 only")])
def test_what_cannot_be_is_refused_with_the_way_out(machine, monkeypatch, name, words):
    monkeypatch.setattr(isa, "processor", lambda: "avx2")
    monkeypatch.setenv("JT_DFD_ISA", name)
    problem, = (p for p in plan.make_plan("cpu", dry=True).problems if "JT_DFD_ISA" in p["what"])
    assert words in problem["what"] and problem["fix"] == "unset JT_DFD_ISA"


def test_flags_of_the_user_s_own_do_not_mix_with_it(avx512, monkeypatch):
    monkeypatch.setenv("JT_DFD_ISA", "avx2")
    monkeypatch.setenv("cc_flags", "-O1")
    assert any("cc_flags" in p["what"] for p in plan.make_plan("cpu", dry=True).problems)
