"""A tool that stays where a test wants to find it."""
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_HELD = """
import runpy, sys, time
sys.path.insert(0, {root!r})
from jt_dfd.data.index import Journal
add = Journal.add
def held(self, key, **entry):
    add(self, key, **entry)
    if sum("name" in e for e in self.entries.values()) >= {pairs}:
        time.sleep(600)
Journal.add = held
sys.argv[0] = {tool!r}
runpy.run_path({tool!r}, run_name="__main__")
"""


def held(command, pairs):
    """``command`` (an interpreter, a tool that makes a set, its arguments), staying where it is once so many pairs are
    made: a test that is slow to interrupt it interrupts it all the same."""
    interpreter, tool, *words = command
    return [interpreter, "-c", _HELD.format(root=str(ROOT), pairs=pairs, tool=tool), *words]
