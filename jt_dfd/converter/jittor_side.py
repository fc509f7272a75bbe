"""The Jittor half of verification: a process of its own that runs networks on request.

    python -m jt_dfd.converter.jittor_side

Reads one job a line from standard input (JSON: path, key, kind, component, config, dtype, small, out, given, names),
writes every stage's output into the folder ``out`` as NNN.npy and answers with one line: {"stages": [...]} or
{"error": "..."}.
The first line it writes says whether Jittor started: {"ready": version}, {"missing": true} or {"error": "..."}.
"""
from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever Jittor and its compiler print must not get among the answers
    try:
        if importlib.util.find_spec("jittor") is None:
            raise ModuleNotFoundError("no module named jittor")
        from .. import runtime

        jt = runtime.jt()  # now, so that what it lacks is said before the first job
    except ModuleNotFoundError:
        print(json.dumps({"missing": True}), file=answers)
        return
    except Exception as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), file=answers)
        return
    print(json.dumps({"ready": jt.__version__}), file=answers)
    for line in iter(sys.stdin.readline, ""):
        try:
            answer = {"stages": _run(jt, json.loads(line))}
        except Exception as error:
            answer = {"error": str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"}
        jt.clean_graph()
        jt.gc()
        print(json.dumps(answer), file=answers)


def _run(jt, job) -> list:
    from ..checkpoints import formats
    from ..checkpoints.recognise import Layout, recognise
    from ..config import Config
    from ..networks import build
    from ..networks.loading import load_arrays
    from . import stages

    config = Config.from_dict(job["config"])
    layout = Layout(job["kind"], job["component"], config)
    _, arrays, _ = recognise(formats.read_any(job["path"]), job["path"], job["key"], layout)
    network = build(job["kind"], config, job["component"] or "rest")
    if job["dtype"]:
        arrays = {name: array.astype(job["dtype"]) for name, array in arrays.items()}
    load_arrays(network, arrays, consume=True)
    network.eval()
    given = stages.Saved(Path(job["given"]), job["names"]) if job["given"] else None
    with jt.no_grad():
        outputs = stages.run(job["kind"], network, config, job["component"] or "rest", jt.array, job["small"], given)
        return stages.Saved.keep(((name, output.numpy()) for name, output in outputs), Path(job["out"])).names


if __name__ == "__main__":
    main()
