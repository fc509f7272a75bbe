"""All texts of the interface, found in the sources."""
import ast
from pathlib import Path

GUI = Path(__file__).resolve().parents[2] / "jt_dfd" / "gui"


def texts():
    """{text: file} of everything that is handed to tr() or mark(), and of the engine's notices."""
    found = {}
    for path in sorted(GUI.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            owner = getattr(getattr(node.func, "value", None), "attr", "")
            first = node.args[0]
            said = name in ("tr", "mark") or (name == "emit" and owner == "notice")
            if said and isinstance(first, ast.Constant):
                found.setdefault(first.value, path.name)
            if name in ("emit", "_fail_jobs") and owner in ("failed", "job_failed") or name == "_fail_jobs":
                for argument in node.args:
                    if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and argument.value:
                        found.setdefault(argument.value, path.name)
    from jt_dfd.drawings import NOTES, WARNINGS

    for text in (*NOTES.values(), *WARNINGS.values()):
        found.setdefault(text, "drawings/words.py")
    return found
