"""Codes of texts that the window's sources name."""
import ast
import re
from pathlib import Path

GUI = Path(__file__).resolve().parents[2] / "jt_dfd" / "gui"
CODE = re.compile(r"^[a-z_0-9]+(\.[a-z_0-9]+)*$")


def _strings(node):
    """The strings of an expression; of an f-string what stands before its first value, with a star."""
    if isinstance(node, ast.JoinedStr):
        first = node.values[0]
        yield (first.value if isinstance(first, ast.Constant) else "") + "*"
        return
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    for child in ast.iter_child_nodes(node):
        yield from _strings(child)


def said():
    """What is handed to tr(), bind() and the engine's messages as a constant: must be a code."""
    found = set()
    for path in sorted(GUI.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            owner = getattr(getattr(node.func, "value", None), "attr", "")
            if name == "tr":
                found.update(s for s in _strings(node.args[0]) if not s.endswith(("*", ".")))  # no "step." + name
            elif name == "bind" and len(node.args) > 1 and isinstance(node.args[1], ast.Constant):
                found.add(node.args[1].value)
            elif owner in ("notice", "failed", "job_failed", "face_failed") and name == "emit" or name == "_fail_jobs":
                found.update(a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)
                             and a.value)
    return found


def named():
    """All strings of the sources: ({whole ones}, {beginnings of f-strings})."""
    whole, beginnings = set(), set()
    for path in sorted(GUI.glob("*.py")):
        for s in _strings(ast.parse(path.read_text(encoding="utf-8"))):
            (beginnings if s.endswith("*") else whole).add(s.rstrip("*"))
    return whole, {b for b in beginnings if "." in b}
