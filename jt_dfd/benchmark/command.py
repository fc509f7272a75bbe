"""The command line of tools/benchmark.py."""
from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Dict, List

from .. import cli
from ..config import PRESETS, preset
from ..errors import UserError
from ..runtime import isa
from . import stages


def main(argv=None) -> int:
    """Exit status: 0 where everything was measured, 1 where something was not, 130 after Ctrl-C with a table."""
    parser = _parser()
    o = parser.parse_args(argv)
    for name in ("repeats", "batch_size", "threads"):
        if getattr(o, name) is not None and getattr(o, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be 1 or more")
    wanted = stages.every(o.bank_rows, o.batch, o.ranks, o.chunk_bytes, o.cold, o.batch_size)
    if o.list:
        for stage in wanted:
            print(f"{stage.name:<18} {stage.what}  [{', '.join(stage.sides)}]")
        return 0
    chosen = stages.select(wanted, o.stages)
    if o.isa:
        if list(isa.SETS).index(o.isa) < list(isa.SETS).index(isa.processor()):
            raise UserError(f"--isa {o.isa}: this processor has {isa.processor()} only")
        os.environ.update(isa.environment_of_others(o.isa), JT_DFD_ISA=o.isa)   # what every worker inherits
    cli.end_as_ctrl_c()   # workers end, seeded weights go, the table so far is printed
    scratch = Path(tempfile.mkdtemp(prefix="jt_dfd-benchmark-", dir=o.scratch))
    try:
        with cli.when_stopped("stopped before anything was measured"):
            return _measure(o, chosen, scratch)
    finally:
        shutil.rmtree(str(scratch), ignore_errors=True)


def _measure(o, chosen: List[stages.Stage], scratch: Path) -> int:
    from . import inputs, machine, report, run, stages  # --help and --list wait for no numpy

    weights, config, params = _weights(o, scratch)
    data = o.data or (str(inputs.write_set(scratch / "set")) if any(s.family == "data" for s in chosen) else "")
    sides = ["jittor"] + [side for side in stages.SIDES if side in o.against and side != "jittor"]
    if "torch" in sides and o.torch_layout == "channels_last":
        sides.append("torch-channels-last")
    opening = {"device": o.device, "params": params, "data": data, "tf32": o.tf32 == "yes", "threads": o.threads,
               "clock": o.clock, "release_decodes": o.release_decodes, "precision": o.precision}
    workers = {side: run.Worker(side, dict(opening), o.threads, o.limit) for side in sides}
    header: Dict = {"machine": machine.facts(o.threads), "sides": {}, "weights": weights, "repeats": o.repeats,
                    "warmup": o.warmup, "precision": o.precision, "clock": o.clock,
                    "preset": config.preset, "config": config.to_dict(),
                    "flops": {**stages.step_operations(config), "face": stages.face_operations(config)}}
    rows: List[Dict] = []

    def keep(state: str) -> None:
        header["sides"] = {side: w.facts or {"missing": w.missing} for side, w in workers.items()}
        if o.json:
            report.write(o.json, header, rows, state)

    def after(so_far: List[Dict]) -> None:
        rows[:] = so_far
        keep("running")

    status = 0
    try:
        keep("running")  # a path that cannot be written is found now, not after an hour
        _start(workers)
        run.measure(chosen, workers, run.Settings(o.repeats, o.warmup, config.preset == "tiny"), after)
    except KeyboardInterrupt:
        print("\nstopped; what was measured so far:", file=sys.stderr)
        status = 130
    finally:
        for worker in workers.values():
            worker.close()
    header["load_end"] = machine.load()
    keep("interrupted" if status else "finished")
    print("\n".join([*report.head(header), "", *report.table(rows), "", report.NOTE]), flush=True)
    return status or int(any(r["reason"] for r in rows))


def _start(workers: Dict) -> None:
    """Start every side's ``run.Worker``; one that cannot is told of, and its rows will say why."""
    from .run import Failed

    for side, worker in workers.items():
        try:
            facts = worker.start()
        except Failed as why:
            print(f"  {side}: {why}", file=sys.stderr)
            continue
        for other in workers.values():  # PyTorch decodes as many neighbours together as this project does
            if facts.get("chunk_bytes"):
                other.opening.setdefault("chunk_bytes", facts["chunk_bytes"])


def _weights(o, scratch: Path):
    """(words for the header, configuration, folder)."""
    from .. import checkpoints
    from . import inputs

    if o.params:
        folder = checkpoints.open_folder(o.params)
        return f"{o.params} (preset {folder.config.preset})", folder.config, str(folder.path.resolve())
    config = preset(o.preset)
    need, free = inputs.weights_bytes(config), shutil.disk_usage(str(scratch)).free
    if need * 1.02 > free:
        raise UserError(f"{scratch.parent}: seeded weights of preset {o.preset} take {need / 1e9:.1f} GB, "
                        f"{free / 1e9:.1f} GB are free; name a larger folder with --scratch")
    print(f"  writing seeded weights of preset {o.preset} ({need / 1e9:.2g} GB) ...", file=sys.stderr, flush=True)
    return f"seeded, preset {o.preset}, not trained", config, str(inputs.write_weights(scratch / "params", config))


def _parser() -> argparse.ArgumentParser:
    p = cli.parser(
        "Speed and memory of every stage, as a table and as JSON.", prog="benchmark.py",
        epilog="""examples:
  tools/benchmark.py --preset release --against release,torch --torch-layout channels_last --json cpu.json
  tools/benchmark.py --params Params/demo --stages face,stroke --repeats 20
  tools/benchmark.py --preset release --stages decode --chunk-bytes 10M,20M,40M,80M
  tools/benchmark.py --stages project --bank-rows 20k,1M
  tools/benchmark.py --preset compact --stages train2 --batch 1,2,4,8 --ranks 1,2 --against torch

Exit status: 0 where everything was measured, 1 where something was not (the table says why), 2 where it could not
begin, 130 after Ctrl-C (the table then holds what was measured before).""")
    p.add_argument("--preset", choices=sorted(PRESETS), default="compact",
                   help="network sizes, with seeded weights that are removed at the end (default: compact)")
    p.add_argument("--params", metavar="DIR", help="a folder of weights instead")
    p.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to compute (default: auto)")
    p.add_argument("--against", type=_sides, default=[], metavar="SIDE[,SIDE]",
                   help="release: the release's way of working in Jittor (every neighbour decoded alone, nothing "
                        "folded or remembered); torch: the converter's PyTorch modules; plain: this project without "
                        "its kernels for channels-last pictures, on a CPU. Each in a process of its own, in turn")
    p.add_argument("--torch-layout", choices=("default", "channels_last"), default="default",
                   help="channels_last measures PyTorch in that layout as well")
    p.add_argument("--release-decodes", choices=("all", "positive"), default="all",
                   help="neighbours that --against release decodes: all 75, or those with a positive weight "
                        "(default: all)")
    p.add_argument("--stages", metavar="A,B", help="only these; a family's name takes all of it (see --list)")
    p.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds after warm-up (default: 5)")
    p.add_argument("--warmup", type=int, default=2, metavar="N", help="runs that do not count (default: 2)")
    p.add_argument("--threads", type=int, metavar="N", help="threads of each framework (default: theirs)")
    p.add_argument("--clock", choices=("wall", "processor"), default="wall",
                   help="processor: seconds of processor time, for a machine that others use meanwhile, which then "
                        "tells with --threads 1 (threads that wait for one another spend it too)")
    p.add_argument("--isa", choices=list(isa.SETS),
                   help="no more vector instructions than these, in compiled kernels, oneDNN and PyTorch, as on a "
                        "processor that has no more; compiles into a cache of its own, minutes the first time "
                        "(default: all that this processor has)")
    p.add_argument("--tf32", choices=("yes", "no"), default="yes",
                   help="let convolutions on a GPU use TF32, in both frameworks (default: yes)")
    p.add_argument("--precision", choices=("single", "half"), default="single",
                   help="half, on a GPU: float16 convolutions where this project offers them, and in PyTorch the same "
                        "networks under autocast (default: single)")
    p.add_argument("--json", metavar="FILE", help="write everything there, every single timing too")
    p.add_argument("--data", metavar="DIR", help="training set for the stage 'data' (default: a small random one)")
    p.add_argument("--batch-size", type=int, default=1, metavar="N", help="pictures of a training step (default: 1)")
    p.add_argument("--batch", type=_numbers, default=[], metavar="N[,M]",
                   help="further stage II steps with these batches")
    p.add_argument("--ranks", type=_numbers, default=[], metavar="N[,M]",
                   help="further stage II steps under mpirun with so many processes")
    p.add_argument("--bank-rows", type=_numbers, default=[], metavar="N[,M]",
                   help="further projections, onto seeded banks of so many rows (20k, 1M)")
    p.add_argument("--chunk-bytes", type=_sizes, default=[], metavar="N[,M]",
                   help="further decodes, so many bytes of a layer together at most (10M: MiB)")
    p.add_argument("--cold", action="store_true", help="also a start with nothing compiled: minutes")
    p.add_argument("--limit", type=float, default=3600, metavar="SECONDS",
                   help="longest that one request to a worker may take (default: 3600)")
    p.add_argument("--scratch", metavar="DIR", help="where seeded weights are put meanwhile (default: the system's)")
    p.add_argument("--list", action="store_true", help="name the stages and what each does")
    return p


def _sides(text: str) -> List[str]:
    words = [w.strip() for w in text.split(",") if w.strip()]
    for word in words:
        if word not in ("release", "torch", "plain"):
            raise argparse.ArgumentTypeError(f"release, torch or plain, not {word!r}")
    return words


def _scaled(text: str, units: Dict[str, int]) -> List[int]:
    out = []
    for word in filter(None, (w.strip() for w in text.split(","))):
        unit = units.get(word[-1].lower(), 1)
        try:
            value = float(word[:-1] if unit > 1 else word) * unit
            if value < 1 or value != int(value):
                raise ValueError
        except ValueError:
            raise argparse.ArgumentTypeError(f"whole numbers above zero, not {word!r}") from None
        out.append(int(value))
    return out


def _numbers(text: str) -> List[int]:
    return _scaled(text, {"k": 10 ** 3, "m": 10 ** 6})


def _sizes(text: str) -> List[int]:
    return _scaled(text, {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30})
