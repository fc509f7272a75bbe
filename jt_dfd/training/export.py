"""A folder of weights for inference out of both stages and the banks, in half precision, with where it came from."""
from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any, Dict, Optional, Tuple

import numpy as np

from .. import checkpoints
from ..atomic import write_text
from ..checkpoints.arrays import rounded
from ..components import COMPONENTS
from ..errors import UserError
from ..layout import specification_of
from ..networks import under
from .bank import ROWS_FILE, banks_of, encoders_digest, other_encoders
from .options import OPTIONS_FILE
from .run_folder import RunFolder, commands
from .weights import open_weights

_UNROUNDED = "export as float32"


def export(embedding, synthesis, out, dtype: str = "float16", provenance: Optional[Dict[str, Any]] = None,
           step: Optional[int] = None) -> int:
    """Write ``out``; returns its bytes.

    embedding   stage I's run folder, or a folder of weights (the authors' too), with image decoders and banks
    synthesis   stage II's, trained with the same encoders
    dtype       "float16" or "float32", of networks and banks alike
    step        stage II's checkpoint to take, its moving average; None: the best one by the held-out score.  A GAN's
                later pictures are often the better ones where no score says so

    UserError where parts do not belong together or the checkpoint is not there; then nothing is written.
    """
    one, two, out = open_weights(embedding), open_weights(synthesis), Path(out)
    if not one.config.same_encoders(two.config):
        raise UserError(f"{embedding} and {synthesis} hold networks of different sizes")
    digest = encoders_digest(one)
    if encoders_digest(two) != digest:
        raise other_encoders(synthesis, embedding)
    banks = banks_of(one)
    # without rows.json they are of the encoders they lie beside in other people's folders, but not in a run's
    stale = one.path != Path(embedding) if banks is None else banks.get("encoders") != digest
    if stale or not (one.genders or one.has_shared_bank):
        raise UserError(f"{embedding} has no banks of these encoders; build them with tools/build_bank.py")
    one.check_banks()
    chosen = averaged(synthesis, two.config, step) if step is not None else {}
    made = checkpoints.Folder(out, two.config, {})
    for (kind, component), shapes in specification_of(two.config).items():
        source = one if kind in ("encoder", "image_decoder") else two
        arrays = chosen.get((kind, component)) or source.network(kind, component)
        path = made.target(kind, component)
        made.write_network(kind, component, {name: rounded(arrays[name], dtype, f"{path}: {name}", _UNROUNDED)
                                             for name in shapes})
    genders = one.genders or (checkpoints.SHARED_BANK,)
    made.keep_banks(genders)
    for gender in genders:
        for component in COMPONENTS:
            rows = one.bank(component, gender)
            path = made.target("bank", component, gender)
            made.write_bank(component, gender, rounded(rows, dtype, f"{path}: rows", _UNROUNDED))
    (out / ROWS_FILE).unlink(missing_ok=True)
    if banks is not None:
        write_text(out / ROWS_FILE, json.dumps(banks, separators=(",", ":")) + "\n")
    record = {"embedding": _record(embedding, one), "synthesis": _record(synthesis, two), **(provenance or {})}
    if step is not None:
        record["synthesis"]["step"] = step
    made.write_config(record, dtype)
    return sum(f.stat().st_size for f in out.rglob("*") if f.is_file())


def check_again(embedding, synthesis, steps: int) -> None:
    """Before both stages are trained on in these run folders, stage I to ``steps``: UserError where stage II's work
    there would be lost."""
    if not RunFolder(synthesis).steps() or not (Path(synthesis) / "weights").is_dir():
        return
    done = min((RunFolder(Path(embedding) / c).steps() or [0])[-1] for c in COMPONENTS)
    if done < steps:
        raise UserError(f"{synthesis} was trained with the encoders of step {done} of stage I, and would have to be "
                        f"trained anew after its step {steps}. Leave stage I at --embedding-steps {done}, or name "
                        f"another --out (--init {synthesis} keeps what was learned).")
    if encoders_digest(open_weights(embedding)) != encoders_digest(open_weights(synthesis)):
        raise other_encoders(synthesis, embedding)


def averaged(run, config, step: int) -> Dict[Tuple[str, str], Dict[str, np.ndarray]]:
    """(kind, component) -> arrays: the moving average in stage II's checkpoint of ``step``, or the weights themselves
    where the run has none."""
    folder = RunFolder(run)
    if step not in folder.steps():
        kept = ", ".join(map(str, folder.steps())) or "none"
        raise UserError(f"{run}: no checkpoint of step {step}; kept are: {kept}")
    arrays = folder.read(step)[1]
    out, average = {}, iter(range(len(arrays)))
    for (kind, component), names in specification_of(config).items():  # in the order the trainer has them
        if kind not in ("feature_decoder", "generator"):
            continue
        own = under(kind if not component else f"{kind}_{component}", arrays)
        if not own:
            raise UserError(f"{folder.file(step)}: holds no {kind}; is {run} a run of stage II?")
        out[kind, component] = {n: arrays.get(f"average/a{i}", own[n]) for n, i in zip(names, average)}
    return out


def _record(run, folder) -> Dict[str, Any]:
    """What made a part: the calls that trained it and its options; the same of the run it began from.  Folders of the
    machine it was made on mean nothing elsewhere: their last names are kept."""
    out = dict(folder.meta.get("provenance", {}))
    try:
        options = json.loads((Path(run) / OPTIONS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return out
    out.pop("command", None)
    calls = commands(run)
    if calls:
        out["commands"] = [{**call, "command": shlex.join(map(_short, shlex.split(call["command"])))} for call in calls]
    out["options"] = {k: _short(v) if isinstance(v, str) else v for k, v in options.items()}
    before = Path(options.get("init") or options.get("init_from") or run)
    if before != Path(run) and (before / OPTIONS_FILE).is_file():
        out["began_from"] = _record(before, open_weights(before))
    return out


def _short(word: str) -> str:
    """A tool as tools/NAME, any other path by its last name."""
    path = Path(word)
    return f"tools/{path.name}" if path.suffix == ".py" else path.name if len(path.parts) > 1 else word
