"""Writing beside and renaming: whole or not at all, and nothing of a killed writer stays."""
import errno
import os
import signal
import subprocess
import sys

import pytest

from jt_dfd import atomic

KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from jt_dfd import atomic
from pathlib import Path
def die(path):
    (path / "half" if path.is_dir() else path).write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "file":
    atomic.write_atomically(sys.argv[2], die)
with atomic.replacing_folder(sys.argv[2]) as folder:
    die(folder)
"""


def killed(root, path, what):
    done = subprocess.run([sys.executable, "-c", KILLED, str(root), str(path), what])
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_a_killed_writer_left_is_cleared_by_the_next(root, tmp_path, what):
    (tmp_path / "other.part").write_text("not ours")
    killed(root, tmp_path / "a", what)
    assert len(os.listdir(tmp_path)) == 2
    atomic.write_text(tmp_path / "b", "whole")
    assert sorted(os.listdir(tmp_path)) == ["b", "other.part"]


def test_a_living_writer_s_file_is_left_alone(tmp_path):
    def slow(temporary):
        temporary.write_text("a")
        code = ("import sys; sys.path.insert(0, sys.argv[1]); from jt_dfd import atomic; "
                "atomic.write_text(sys.argv[2], 'b')")
        subprocess.run([sys.executable, "-c", code, os.path.dirname(os.path.dirname(atomic.__file__)),
                        str(tmp_path / "b")], check=True)

    atomic.write_atomically(tmp_path / "a", slow)
    with atomic.replacing_folder(tmp_path / "c") as folder:
        slow(folder / "d")
    assert {p.name: p.read_text() for p in tmp_path.rglob("*") if p.is_file()} == {"a": "a", "b": "b", "d": "a"}


def test_a_folder_killed_between_its_two_renames_comes_back(tmp_path):
    old = tmp_path / ".weights.abcdefgh.old"
    old.mkdir()
    (old / "a").write_text("the only copy")
    atomic.write_text(tmp_path / "b", "")
    assert (tmp_path / "weights" / "a").read_text() == "the only copy" and not old.exists()


@pytest.mark.parametrize("name", ["a", "x" * 255, "ä" * 120])
def test_an_error_leaves_what_was_there(tmp_path, name):
    atomic.write_text(tmp_path / name, "before")
    with pytest.raises(ZeroDivisionError):
        atomic.write_atomically(tmp_path / name, lambda t: 1 / 0)
    with pytest.raises(ZeroDivisionError), atomic.replacing_folder(tmp_path / "folder"):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == [name] and (tmp_path / name).read_text() == "before"
    atomic.write_text(tmp_path / name, "after")
    assert (tmp_path / name).read_text() == "after"


def test_a_folder_takes_the_place_of_the_one_before(tmp_path):
    for text in ("first", "second"):
        with atomic.replacing_folder(tmp_path / "weights") as folder:
            (folder / text).write_text(text)
    assert os.listdir(tmp_path) == ["weights"] and os.listdir(tmp_path / "weights") == ["second"]
    assert (tmp_path / "weights").stat().st_mode & 0o777 == 0o777 & ~atomic._umask()


def test_looking_for_leftovers_costs_next_to_nothing(tmp_path, monkeypatch):
    """Thousands of pictures are written into one folder: it is not looked through for each."""
    for number in range(3000):
        (tmp_path / f"{number}.png").touch()
    looks, scan = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looks.append(path) or scan(path))
    for number in range(100):
        atomic.write_text(tmp_path / f"{number}.png", "x")
    assert 1 <= len(looks) < 50


def test_a_full_disk_is_told_with_the_file_that_it_was_full_for(tmp_path):
    def full(temporary):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left on device: .*wanted.png"):
        atomic.write_atomically(tmp_path / "wanted.png", full)
