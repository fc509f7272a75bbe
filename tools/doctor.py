#!/usr/bin/env python3
"""What this machine has for jt_dfd, what is chosen, what is missing and the command that mends it."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Exit status: 0 where Jittor can start, 1 where it cannot or a check failed.")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto",
                        help="look with this device in mind (default: auto, a GPU where one can be used)")
    parser.add_argument("--warm", action="store_true",
                        help="compile ahead: Jittor's core, and the operators of a synthesis where there are weights")
    parser.add_argument("--params", metavar="P", help="weights to compile ahead for (default: Params/demo)")
    parser.add_argument("--gpu", action="store_true",
                        help="one-minute self-test on the GPU: operators, kernels, training steps against references")
    parser.add_argument("--check", action="store_true", help="the same self-test on the device chosen")
    parser.add_argument("--json", action="store_true", help="the findings as JSON")
    options = parser.parse_args()

    from jt_dfd.runtime import RuntimeProblem, doctor

    device = "cuda" if options.gpu else options.device
    report = doctor.examine(device)
    print(json.dumps(report, indent=2, sort_keys=True) if options.json else doctor.words(report), flush=True)
    if not report["can_start"]:
        return 1
    try:
        if options.warm:
            print("\n".join(doctor.warm(device, options.params)), flush=True)
        if options.gpu or options.check:
            from jt_dfd import runtime, selftest

            runtime.start(device)
            return 1 if selftest.run(lambda line: print(line, flush=True))["failed"] else 0
    except (RuntimeProblem, ValueError, OSError) as problem:   # damaged weights are a ValueError
        print(problem, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; what is compiled so far is kept", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
