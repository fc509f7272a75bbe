"""Stage II steps under mpirun; rank 0 writes one line of JSON.

    mpirun -np N python -m jt_dfd.benchmark.ranks JSON
"""
from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    request = json.loads(sys.argv[1])
    from .jittor_side import Jittor
    from .process import Peak
    from .task import brief

    try:
        side = Jittor()
        opened = side.open(request)
        if "missing" in opened:
            raise RuntimeError(opened["missing"])
        from ..training import parallel

        task = side.stage("train2", {"batch": request["batch"] * parallel.world()})
        seconds, peak = {"warmup": [], "seconds": []}, Peak()
        for kind, count in (("warmup", max(1, request["warmup"])), ("seconds", request["repeats"])):
            for _ in range(count):
                batch = task.input()
                side.wait()
                began = time.perf_counter()
                task.run(batch)
                side.wait()
                seconds[kind].append(time.perf_counter() - began)
            if kind == "warmup":
                peak.begin()
    except (Exception, SystemExit) as error:
        print(json.dumps({"error": brief(error)}), file=answers)
        return
    if parallel.is_writer():
        facts = task.facts()
        print(json.dumps({**seconds, "memory": peak.facts(), "flops": facts["flops"] // parallel.world(),
                          "pictures": request["batch"]}), file=answers)


if __name__ == "__main__":
    main()
