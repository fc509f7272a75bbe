"""What this machine has for jt_dfd, what is chosen, what is missing and the command that fixes it."""
from __future__ import annotations

import argparse
import os
from pathlib import Path

from ..cli import when_stopped


def main(arguments=None) -> int:
    """Exit status 0 where Jittor can start, 1 where it cannot or a check failed."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Exit status: 0 where Jittor can start, 1 where it cannot or a check failed.")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto",
                        help="look with this device in mind (default: auto, a GPU where one can be used)")
    parser.add_argument("--warm", action="store_true",
                        help="compile ahead: Jittor's core, and the operators of a synthesis where there are weights")
    parser.add_argument("--params", metavar="P", help="weights to compile ahead for (default: Params/demo)")
    parser.add_argument("--quick", action="store_true", help="with --warm: what a face needs, without timing two ways "
                        "to compute each network")
    parser.add_argument("--cache", metavar="DIR", help="with --warm: compile into DIR, which everyone who may read it "
                        "takes over with  export JT_DFD_CACHE=DIR  instead of compiling, in another home too")
    parser.add_argument("--gpu", action="store_true",
                        help="one-minute self-test on the GPU: operators, kernels, training steps against references")
    parser.add_argument("--check", action="store_true", help="the same self-test on the device chosen")
    parser.add_argument("--json", action="store_true", help="the findings as JSON")
    options = parser.parse_args(arguments)
    if options.cache:
        if not options.warm:
            parser.error("--cache goes with --warm")
        os.environ["JITTOR_HOME"] = os.path.abspath(options.cache)
        os.environ.pop("JT_DFD_CACHE", None)

    with when_stopped("stopped; what is compiled so far is kept"):
        return _examine(options)


def _examine(options) -> int:
    import json

    from . import report as doctor

    device = "cuda" if options.gpu else options.device
    report = doctor.examine(device, options.warm)
    print(json.dumps(report, indent=2, sort_keys=True) if options.json else doctor.words(report, options.warm),
          flush=True)
    if not report["can_start"]:
        return 1
    if options.warm:
        print("\n".join(doctor.warm(device, options.params, not options.quick)), flush=True)
        if options.cache:
            doctor.let_read(Path(options.cache))
            print(f"For everyone who may read it:  export JT_DFD_CACHE={os.environ['JITTOR_HOME']}", flush=True)
    if options.gpu or options.check:
        from .. import runtime
        from . import selftest

        runtime.start(device)
        return 1 if selftest.run(lambda line: print(line, flush=True))["failed"] else 0
    return 0
