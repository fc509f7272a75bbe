"""Every command that README.md, Params/README.md and the scripts' own help show is one that the scripts take."""
import argparse
import importlib
import os
import re
import shlex
import sys
from pathlib import Path

import pytest

from jt_dfd.__main__ import JOBS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ["README.md", "Params/README.md", "jt_dfd/training/command.py", "jt_dfd/data/command.py", *(
    str(path.relative_to(ROOT)) for path in sorted((ROOT / "jt_dfd").glob("*/README.md")))]


def commands():
    """(script, words) of the documented calls; those with [optional parts] are no commands."""
    for source in SOURCES:
        text = (ROOT / source).read_text(encoding="utf-8").replace("\\\\\n", " ").replace("\\\n", " ")
        alone = re.compile(r"\s*(mpirun .*)?(\S*python )?tools/\w+\.py .*--")
        for line in re.findall(r"`([^`\n]*tools/\w+\.py[^`\n]*)`", text) + [
                line for line in text.splitlines() if alone.match(line)]:
            line = line[line.index("tools/"):].split("  #")[0].split("   ")[0]
            script, *words = shlex.split(line.split(" > ")[0].split("; ")[0], comments=True)
            if words and not any("[" in word for word in words):
                yield pytest.param(script, words, id=f"{source} {line[:60]}")


class Parsed(Exception):
    """The command's arguments are understood; nothing is to be done."""


@pytest.mark.parametrize("script, words", commands())
def test_a_documented_command_is_understood(script, words, tmp_path, monkeypatch):
    (tmp_path / "S").mkdir()
    (tmp_path / "S/options.json").write_text('{"data": "set"}')   # of the run that the documentation speaks of
    monkeypatch.chdir(tmp_path)
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(self, *arguments, **more):
        parse(self, *arguments, **more)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
    module, function = JOBS[Path(script).stem].split(":")
    with pytest.raises(Parsed):
        getattr(importlib.import_module(f"jt_dfd.{module}"), function)(words)
    assert "jittor" not in sys.modules


def test_scripts_can_be_called_by_their_name():
    for path in sorted((ROOT / "tools").glob("*.py")):
        assert os.access(path, os.X_OK), path
