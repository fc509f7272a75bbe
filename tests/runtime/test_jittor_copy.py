"""The changed copy of Jittor: made once, whole or not at all, and never of a Jittor that the changes do not fit."""
from __future__ import annotations

import hashlib
import importlib.machinery
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machines import ROOT, script

from jt_dfd import runtime
from jt_dfd.runtime import jittor_copy, jittor_rules, plan

PYTHON = sys.executable
PRINT = "from jt_dfd.runtime import jittor_copy; print(jittor_copy.provide())"


def text_of(rule):
    """The text that a rule looks for; a regular expression's is written out."""
    return rule.search if isinstance(rule.search, str) else "np.array(pic, np.int32, copy=False)\n"


def as_shipped():
    """{file: text} of a Jittor that has everything the rules look for, and nothing else."""
    texts = {}
    for rule in jittor_rules.RULES:
        texts[rule.file] = texts.get(rule.file, "") + text_of(rule) * rule.times
    return texts


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed Jittor, small, first on the path."""
    folder = tmp_path / "site"
    texts = as_shipped()
    texts["jittor/__init__.py"] = "__version__ = '1.3.11.0'\n" + texts["jittor/__init__.py"]
    texts.setdefault("jittor/src/untouched.cc", "int untouched;\n")
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def test_every_rule_says_why_and_finds_its_text_once_more_than_nothing():
    assert len({rule.name for rule in jittor_rules.RULES}) == len(jittor_rules.RULES)
    for rule in jittor_rules.RULES:
        assert len(rule.reason) > 10 and rule.times >= 1
        assert not rule.fixed(as_shipped()[rule.file]), f"{rule.name} would never be applied"
    assert set(jittor_rules.NUMPY_2) <= {rule.name for rule in jittor_rules.RULES}


def test_a_jittor_with_the_changes_in_it_is_left_as_it_is():
    """What upstream solves itself needs no rule: all of them recognise their own result."""
    changed = jittor_rules.apply(as_shipped())
    assert changed != as_shipped() and jittor_rules.apply(changed) == changed


@pytest.mark.parametrize("rule", jittor_rules.RULES, ids=lambda rule: rule.name)
def test_a_text_that_is_not_there_stops_with_the_rules_name(rule):
    texts = as_shipped()
    piece = text_of(rule)
    other = piece[:-1] + " // other\n" + piece[-1] if isinstance(rule.search, str) else ""
    texts[rule.file] = texts[rule.file].replace(piece, other, 1)
    assert not rule.fixed(texts[rule.file])
    with pytest.raises(jittor_rules.RuleError) as caught:
        jittor_rules.apply(texts)
    assert rule.name in str(caught.value) and rule.file in str(caught.value)


def test_the_installed_jittor_fits_or_says_so():
    source = jittor_copy.find_source()
    if source is None:
        pytest.skip("no Jittor is installed or fetched here")
    texts = {name: (source.folder / name).read_text(encoding="utf8") for name in jittor_rules.files()}
    changed = jittor_rules.apply(texts)
    assert "elsize" not in changed["jittor/src/pyjt/numpy.h"]
    assert "stopping" in changed["jittor/src/parallel_compiler.cc"]


def test_the_copy_is_changed_and_the_package_is_not(machine, package):
    before = contents(package)
    place = Path(jittor_copy.provide())
    assert contents(package) == before
    made = contents(place)
    made.pop("manifest.json")
    assert set(made) == set(before)
    assert {name for name in made if made[name] != before[name]} == set(jittor_rules.files())
    assert str(place).startswith(str(machine))
    jittor_copy.activate(str(place))
    assert sys.path[0] == str(place)
    assert jittor_copy.find_source().folder == package, "a copy is not taken for the source of the next"
    sys.path.remove(str(place))


def test_it_is_made_once_and_again_where_rules_or_package_change(machine, package, monkeypatch):
    first = Path(jittor_copy.provide())
    made = (first / "manifest.json").stat().st_mtime_ns
    key = jittor_copy.key()
    assert jittor_copy.provide() == str(first) and (first / "manifest.json").stat().st_mtime_ns == made
    path = package / "jittor/compiler.py"
    path.write_text(path.read_text() + "# another\n")
    assert jittor_copy.provide() != str(first) and jittor_copy.key() != key
    monkeypatch.setattr(jittor_rules, "RULES", jittor_rules.RULES[:-1])
    assert len({key, jittor_copy.key(), Path(jittor_copy.provide()).name}) == 2


def test_copies_that_nobody_uses_any_more_go_with_what_was_compiled_from_them(machine, package):
    folders = {}
    for name, days in (("old", 70), ("in use", 70), ("young", 50)):
        (package / "jittor/compiler.py").write_text(as_shipped()["jittor/compiler.py"] + f"# {name}\n")
        place = Path(jittor_copy.provide())
        objects = jittor_copy.host.jittor_home() / ".cache/jittor/jt1.3.11/g++12/py3/2.36/cpu" / hashlib.md5(
            place.name.encode()).hexdigest()[:8]
        objects.mkdir(parents=True)
        folders[name] = (place, objects)
        os.utime(str(place / "manifest.json"), (time.time() - days * 86400,) * 2)
        if name == "in use":
            jittor_copy.provide()
    (package / "jittor/compiler.py").write_text(as_shipped()["jittor/compiler.py"] + "# new\n")
    new = Path(jittor_copy.provide())
    assert new.is_dir() and {name: [p.is_dir() for p in pair] for name, pair in folders.items()} == {
        "old": [False, False], "in use": [True, True], "young": [True, True]}


@pytest.mark.parametrize("damage", ["gone", "short", "no manifest", "empty manifest"])
def test_a_damaged_copy_is_made_again(machine, package, damage):
    place = Path(jittor_copy.provide())
    whole = contents(place)
    victim = place / ("manifest.json" if "manifest" in damage else "jittor/src/untouched.cc")
    if damage in ("gone", "no manifest"):
        victim.unlink()
    else:
        victim.write_text("")
    assert jittor_copy.provide() == str(place)
    assert contents(place) == whole


def test_what_an_interrupted_copy_left_is_not_used_and_goes(machine, package):
    left = jittor_copy.copies() / ".1.3.11.0-0123456789ab.abcdefgh.part"
    (left / "jittor").mkdir(parents=True)
    place = Path(jittor_copy.provide())
    assert place.is_dir() and not left.exists()


def test_two_at_once_make_one(machine, package):
    environment = dict(os.environ, PYTHONPATH=f"{package}:{ROOT}")
    children = [subprocess.Popen([sys.executable, "-c", PRINT], env=environment, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, universal_newlines=True) for _ in range(4)]
    said = [child.communicate(timeout=600) for child in children]
    assert [child.returncode for child in children] == [0] * 4, said
    assert len({out for out, _ in said}) == 1
    assert len([p for p in jittor_copy.copies().iterdir() if p.is_dir()]) == 1


def test_another_that_prepares_is_waited_for_and_that_is_told(machine, package):
    jittor_copy.copies().mkdir(parents=True)
    holder = subprocess.Popen([sys.executable, "-c", "import fcntl, sys\nf = open(sys.argv[1], 'w')\n"
                               "fcntl.flock(f, fcntl.LOCK_EX)\nprint('held', flush=True)\nsys.stdin.read()",
                               str(jittor_copy.copies() / "lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"held\n"
    told = []

    def show(step, done, total):
        told.append(step)
        holder.stdin.close()
    assert jittor_copy.provide(show) and told == ["lock"]
    holder.wait(60)


def test_a_jittor_that_does_not_fit_is_refused_before_anything_is_made(machine, package):
    path = package / "jittor/src/pyjt/numpy.h"
    path.write_text(path.read_text().replace("size *= arr->descr->elsize;", "size = size * arr->descr->elsize;"))
    with pytest.raises(runtime.RuntimeProblem) as caught:
        runtime.prepare("cpu")
    said = str(caught.value)
    assert "size of an element" in said and "pip install --no-deps jittor==1.3.11.0" in said
    assert "JT_DFD_JITTOR=installed" in said and not jittor_copy.copies().exists()


@pytest.mark.parametrize("version, good", [("1.3.11.0", True), ("1.3.12", True), ("1.3.10.1", False), ("1.4.0", False)])
def test_versions(machine, package, version, good):
    path = package / "jittor/__init__.py"
    path.write_text(path.read_text().replace("1.3.11.0", version))
    assert (jittor_copy.check() == []) is good


def test_as_installed_means_untouched_and_not_with_numpy_2(machine, package, monkeypatch):
    monkeypatch.setenv("JT_DFD_JITTOR", "installed")
    monkeypatch.setattr(jittor_copy.host, "numpy_version", lambda: "1.26.4")
    assert jittor_copy.check() == [] and jittor_copy.provide() is None and not jittor_copy.copies().exists()
    monkeypatch.setattr(jittor_copy.host, "numpy_version", lambda: "2.1.0")
    assert "numpy 2.1.0 gives wrong numbers" in jittor_copy.check()[0]["what"]
    monkeypatch.setenv("JT_DFD_JITTOR", "as-is")
    assert "as-is" in jittor_copy.check()[0]["what"]


# -- where none is installed

@pytest.fixture
def no_jittor(machine, monkeypatch, tmp_path):
    """No Jittor on the path; pip is played by a script that writes down what it was asked for."""
    real = jittor_copy.importlib.machinery.PathFinder.find_spec
    monkeypatch.setattr(jittor_copy.importlib.machinery.PathFinder, "find_spec",
                        lambda name, path=None: None if name == "jittor" else real(name, path))
    monkeypatch.setattr(jittor_copy.importlib.util, "find_spec", lambda name: None if name == "jittor" else object())
    monkeypatch.setattr(jittor_copy.sys, "prefix", str(tmp_path / "environment"))
    (tmp_path / "environment").mkdir()


def fake_pip(monkeypatch, tmp_path, ends=0, says=""):
    """``python -m pip install --target FOLDER`` that puts a Jittor there."""
    calls = tmp_path / "calls"
    shipped = tmp_path / "shipped.json"
    shipped.write_text(json.dumps(dict(as_shipped(), **{
        "jittor/__init__.py": "__version__ = '1.3.11.0'\n" + as_shipped()["jittor/__init__.py"]})))
    monkeypatch.setattr(jittor_copy.sys, "executable", str(script(tmp_path / "python", f"""#!{PYTHON}
import json, os, sys
open({str(calls)!r}, "a").write(" ".join(sys.argv[1:]) + "\\n")
print({says!r})
if {ends}: sys.exit({ends})
target = sys.argv[sys.argv.index("--target") + 1]
for name, text in json.load(open({str(shipped)!r})).items():
    path = os.path.join(target, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").write(text)
""")))
    return calls


def test_it_is_fetched_once_without_what_it_asks_for(no_jittor, monkeypatch, tmp_path):
    calls = fake_pip(monkeypatch, tmp_path)
    assert jittor_copy.check() == [] and jittor_copy.key() == ""
    told = []
    place = jittor_copy.provide(lambda *step: told.append(step[0]))
    assert told[0] == "fetch"
    assert (tmp_path / "environment/share/jt_dfd/jittor-1.3.11.0-package/jittor").is_dir(), "the environment's own"
    shutil.rmtree(place)
    assert jittor_copy.provide() == place
    words = calls.read_text().splitlines()
    assert len(words) == 1 and "--no-deps" in words[0] and "jittor==1.3.11.0" in words[0]


def test_a_child_that_inherits_the_copy_on_its_path_makes_no_copy_of_it(no_jittor, monkeypatch, tmp_path):
    fake_pip(monkeypatch, tmp_path)
    place = jittor_copy.provide()
    inherited = importlib.machinery.ModuleSpec("jittor", None, origin=os.path.join(place, "jittor", "__init__.py"))
    monkeypatch.setattr(jittor_copy.importlib.util, "find_spec",
                        lambda name: inherited if name == "jittor" else object())
    assert jittor_copy.provide() == place and jittor_copy.key() == os.path.basename(place)


def test_an_environment_that_cannot_be_written_leaves_the_cache(no_jittor, monkeypatch, tmp_path):
    fake_pip(monkeypatch, tmp_path)
    (tmp_path / "environment").rmdir()
    (tmp_path / "environment").write_text("a file: nothing can be made below it")
    jittor_copy.provide()
    assert (jittor_copy.copies() / "jittor-1.3.11.0-package/jittor").is_dir()


def test_a_fetch_that_fails_says_why_and_how_to_do_it_by_hand(no_jittor, monkeypatch, tmp_path):
    fake_pip(monkeypatch, tmp_path, ends=1, says="ERROR: No matching distribution found for jittor")
    with pytest.raises(runtime.RuntimeProblem) as caught:
        jittor_copy.provide()
    assert "No matching distribution" in str(caught.value) and "--no-deps jittor==1.3.11.0" in str(caught.value)
    fake_pip(monkeypatch, tmp_path)
    assert jittor_copy.provide(), "and nothing half-made is left that stands in the way"


def test_no_jittor_and_no_pip(no_jittor, monkeypatch):
    monkeypatch.setattr(jittor_copy.importlib.util, "find_spec", lambda name: None)
    said = jittor_copy.check()[0]
    assert "no pip" in said["what"] and "jittor==1.3.11.0" in said["fix"]


def mounted(folder, options):
    """A command that gives what follows it a file system of its own at ``folder``; skips where that is not allowed."""
    command = ["unshare", "-m"] + ([] if os.geteuid() == 0 else ["-r"]) + [
        "sh", "-c", f"mount -t tmpfs -o {options} none '{folder}' && exec \"$@\"", "-"]
    try:
        allowed = subprocess.call(command + ["true"], stderr=subprocess.DEVNULL) == 0
    except OSError:
        allowed = False
    return command if allowed else pytest.skip("no mounting here")


@pytest.mark.parametrize("options, words", [("size=128k", "the disk is full"), ("ro", "Read-only file system")])
def test_a_full_or_read_only_disk_is_named_with_the_way_out(machine, package, options, words):
    (package / "jittor/src/large.cc").write_text("//" * 200000)
    done = subprocess.run(mounted(machine, options) + [PYTHON, "-c", PRINT], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, timeout=600,
                          env=dict(os.environ, PYTHONPATH=f"{package}:{ROOT}"))
    last = done.stdout[done.stdout.index("Jittor cannot start here"):]
    assert done.returncode and words in last and str(machine) in last and "JITTOR_HOME" in last
    assert jittor_copy.provide(), "on another disk it is made"


def test_looking_is_quick(machine, package):
    """It is part of every start."""
    jittor_copy.provide()
    started = time.process_time()
    for _ in range(10):
        jittor_copy.provide()
    assert time.process_time() - started < 5


def test_the_plan_names_where_it_comes_from(machine, package):
    found = plan.make_plan("cpu").found
    assert found["jittor"] == "1.3.11.0" and found["jittor_source"] == str(package)
