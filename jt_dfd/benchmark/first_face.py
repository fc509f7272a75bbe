"""A new process to its first face.

    python -m jt_dfd.benchmark.first_face SIDE JSON

Writes one line of JSON when the face is there: seconds of each part, peak memory.  The clock that counts is the
parent's, which began before this process did.
"""
from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    began, parts = time.perf_counter(), {}

    def lap(name):
        nonlocal began
        now = time.perf_counter()
        parts[name], began = round(now - began, 4), now

    side, request = sys.argv[1], json.loads(sys.argv[2])
    from . import inputs
    from .process import status
    from .task import brief

    try:
        if side == "jittor":
            from .. import runtime

            runtime.start(request["device"])
            lap("framework")
            from ..synthesizer import Synthesizer

            synthesizer = Synthesizer(request["params"], request["device"], request["precision"])
        else:
            from .torch_side import start

            torch = start(request)
            lap("framework")
            from .torch_face import TorchSynthesizer

            synthesizer = TorchSynthesizer(torch, request)
        lap("weights")
        gender = synthesizer.genders[-1] if synthesizer.genders else "female"
        synthesizer.synthesize(inputs.sketch(synthesizer.geometry, 0), gender)
        lap("face")
    except (Exception, SystemExit) as error:
        print(json.dumps({"error": brief(error)}), file=answers)
        return
    print(json.dumps({"parts": parts, "memory": {"peak_bytes": status("VmHWM"), "peak_is_own": True}}), file=answers)


if __name__ == "__main__":
    main()
