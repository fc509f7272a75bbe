"""A side's worker process.

    python -m jt_dfd.benchmark.worker SIDE

Standard input holds one request a line (JSON), standard output one answer a line:

    {"do": "open", ...}                       -> {"ready": {...}} or {"missing": why}
    {"do": "prepare", "stage", "options"}     -> {"ready": {...}}: built, inputs made, run ``warmup`` times or more
    {"do": "time", "calls": n}                -> {"seconds": [...], "facts": [...]}
    {"do": "finish"}                          -> {"memory": {...}}; the stage's inputs are let go

Any of them may be answered by {"error": why}; the worker then goes on.
"""
from __future__ import annotations

import json
import os
import sys
import time
import traceback
from importlib import import_module

from .process import Peak
from .task import NotHere, brief

#: module and class of each side
_SIDES = {"jittor": ("jittor_side", "Jittor"), "release": ("release_side", "Release"),
          "torch": ("torch_side", "Torch"), "torch-channels-last": ("torch_side", "ChannelsLast")}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a framework and its compiler print must not get among the answers
    module, name = _SIDES.get(sys.argv[1]) or sys.argv[1].split(":")  # the tests bring a side of their own
    side = getattr(import_module("." + module if sys.argv[1] in _SIDES else module, __package__), name)()
    worker = Worker(side)
    for line in iter(sys.stdin.readline, ""):
        try:
            answer = worker.answer(json.loads(line))
        except NotHere as why:
            answer = {"error": str(why)}
        except (Exception, SystemExit) as error:  # Jittor ends the process where it finds its tools changed
            traceback.print_exc()  # to standard error, whose end the parent keeps
            answer = {"error": brief(error)}
        print(json.dumps(answer), file=answers)


class Worker:
    """side: has open(request) -> facts, stage(name, options) -> Task, close_stage(), memory() -> facts."""

    def __init__(self, side):
        self.side, self.task, self.peak = side, None, Peak()

    def answer(self, request):
        do = request["do"]
        if do == "open":
            facts = self.side.open(request)
            return facts if "missing" in facts else {"ready": facts}
        if do == "prepare":
            self._drop()
            self.task = self.side.stage(request["stage"], request["options"])
            took = self._warm_up(request["warmup"])
            self.side.reset_memory()
            self.peak.begin()
            return {"ready": {**self.task.facts(), "warmup": took}}
        if do == "time":
            calls = [self._call() for _ in range(request["calls"])]
            return {"seconds": [c[0] for c in calls], "facts": [c[1] for c in calls]}
        if do == "finish":
            memory = {**self.peak.facts(), **self.side.memory()}
            self._drop()
            return {"memory": memory}
        raise ValueError(f"no request {do!r}")

    def _warm_up(self, count):
        """Seconds of each run: ``count`` of them, and as many as three times that while they still get quicker, e.g.
        because another number of new neighbours compiled anew."""
        took = []
        while len(took) < count or (len(took) < 3 * count and took[-1] > 2 * min(took)):
            took.append(self._call()[0])
        return took

    def _drop(self) -> None:
        self.task = None
        self.side.tidy()

    def _call(self):
        """(seconds, facts) of one run, what it works on being made before the clock starts."""
        given = self.task.input()
        self.side.wait()
        began = time.perf_counter()
        result = self.task.run(given)
        self.side.wait()
        seconds = time.perf_counter() - began
        return seconds, self.task.tell(result)


if __name__ == "__main__":
    main()
