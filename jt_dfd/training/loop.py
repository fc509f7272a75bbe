"""The training loop of both stages: steps, guards, log, samples, checkpoints, Ctrl-C.

A trainer brings its networks and optimisers; it has ``parts`` that are checkpointed each by itself, ``step``,
``validate``, ``score``, ``sheet``, ``adams``, ``arrays``, ``load`` and ``export``.
"""
from __future__ import annotations

import gc
import os
import shlex
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any, Dict, List

import numpy as np

from .. import checkpoints
from ..backend import jt
from ..data import index
from ..errors import UserError
from ..pictures import PictureError
from . import feed, optimiser, parallel
from . import options as option_files
from .bank import other_encoders
from .interrupt import Interrupt
from .log import Log, memory_mb
from .run_folder import RunFolder, note_command, only_writer

#: train_all sets it: what goes on with the whole
GO_ON = "JT_DFD_GO_ON"
#: train_all sets it: what comes after this run, in steps of this one
STEPS_AFTER = "JT_DFD_STEPS_AFTER"
#: steps between collections of Jittor's freed memory
COLLECT_EVERY = 200


class Run:
    """One call of a training script: a trainer, its data, and its folder."""

    def __init__(self, trainer, options, command=None):
        self.trainer, self.options = trainer, options
        self.out = Path(options.out)
        self.words = command or sys.argv
        self.command = shlex.join(_module_call(self.words, "python") or self.words)
        self.data = feed.training_data(options, trainer.config, trainer.stage)
        self.held_out = feed.held_out_data(options, trainer.config, trainer.stage)
        self.shown = self.held_out or feed.held_out_data(options, trainer.config, trainer.stage, "train")
        several = trainer.stage == "embedding"
        self.folders = {part: RunFolder(self.out / part if several else self.out, options.keep)
                        for part in trainer.parts}
        self.log_folder = self.out / trainer.parts[0] if several and len(trainer.parts) == 1 else self.out
        self.done = {part: 0 for part in trainer.parts}
        self._pictures = feed.pictures(options.data, self.data.rows)
        self.log: Any = None  # a Log once the run is open
        self._saved_at = time.monotonic()

    # beginning

    def resume(self) -> None:
        """Load the newest checkpoint of every part; parts without one start from the beginning."""
        for part, folder in self.folders.items():
            found = folder.newest()
            if found is None:
                continue
            step, arrays, state = found
            if state.get("world", 1) != parallel.world():
                self.note(f"{folder.file(step)} was written by {state.get('world')} processes, this run has "
                          f"{parallel.world()}: it goes on, but not bit for bit as it would have")
            if state.get("pictures", feed.digest(self._pictures)) != feed.digest(self._pictures):
                self.note(f"the pictures of {self.options.data} are not those that the run saw until step {step}: some "
                          "were replaced, added or removed since")
            if any(state.get(name, value) != value for name, value in self.trainer.built_on.items()):
                raise other_encoders(self.out, self.options.embedding or self.options.init)
            self.trainer.load(part, arrays, folder.file(step))
            self.done[part] = step
            if parallel.is_writer():
                folder.forget_after(step)
        if not any(self.done.values()) and GO_ON not in os.environ:
            self.note(f"--resume: no checkpoint in {self.out}, the run begins anew")

    def refuse_to_overwrite(self) -> None:
        for folder in self.folders.values():
            if folder.steps():
                raise UserError(f"{folder.path} holds checkpoints up to step {folder.steps()[-1]}. Add --resume "
                                "to go on with them, or name another --out.")

    def note(self, text: str) -> None:
        if self.log is not None:
            self.log.note(text)
        elif parallel.is_writer():
            print(text, file=sys.stderr)

    def describe(self):
        o = self.options
        yield from self.trainer.describe()
        yield (f"data {o.data}: {len(self.data.rows)} pairs to train on, {len(self.data)} steps of {o.batch} an epoch, "
               + (f"{len(self.held_out.rows)} held out" if self.held_out else "none held out: no validation"))
        yield from index.remarks(o.data)
        if getattr(o, "frechet", False) and len(self.held_out.rows if self.held_out else ()) < 3:
            yield "--frechet yes: not measured, which takes three held-out pictures or more"
        yield (f"{o.steps} steps, {o.steps * o.batch / len(self.data.rows):.1f} epochs, {parallel.world()} "
               f"process(es), device {'cuda' if jt.flags.use_cuda else 'cpu'}")
        if parallel.world() > 1:
            yield f"to save and stop: kill -USR1 {os.getppid()} (Ctrl-C ends mpirun's processes before they can save)"
        if o.mixed_precision:
            yield optimiser.mixed_words(o)
        yield from o.notes

    # the loop

    def train(self, interrupt: Interrupt) -> bool:
        """Steps until the last one; False where it was interrupted or its time was up.  UserError, with the last
        good checkpoint named, where losses or gradients are no longer finite or a file cannot be used."""
        o, trainer = self.options, self.trainer
        start = min(self.done.values())
        writer = parallel.is_writer()
        if writer:
            option_files.write(o, self.out)
            note_command(self.out, start, self.command)
        self.log = Log(self.log_folder, writer, start, o.tensorboard, o.wandb, asdict(o))
        for line in [*self.describe(), *([] if start else trainer.begun_with)]:
            self.log.note(line)
        if start >= o.steps:
            self.log.note(f"finished already, at step {start}; to train on: --resume --steps {2 * start}")
        elif start:
            self.log.note(f"resumed at step {start}")
        self._saved_at = began = time.monotonic()
        from tqdm import tqdm

        # on several ranks all have to agree, which they are asked at the first line of the log
        stopped = interrupt.asked and parallel.world() == 1 and start < o.steps
        bar, sampled = None, -1
        try:
            if o.sample_every and not stopped and start < o.steps:
                self.log.note("compiling, once; the first step takes minutes where nothing was compiled before")
                self._samples(start)
            batches = feed.batches(self.data, start)
            tick, pictures = time.monotonic(), 0
            for step in range(start, start if stopped else o.steps):
                parts = [p for p in trainer.parts if self.done[p] <= step]
                values = self._step(next(batches), step, parts)
                for part in parts:
                    self.done[part] = step + 1
                done, pictures = step + 1, pictures + o.batch
                if bar is None:   # the first step compiled: the time left goes by those after it
                    bar = tqdm(total=o.steps, initial=done, disable=not writer, unit="step", dynamic_ncols=True,
                               smoothing=0.05, mininterval=1.0, file=sys.stderr)
                    first = time.monotonic()
                else:
                    bar.update()
                if done % o.log_every == 0 or done == o.steps:
                    seconds = time.monotonic() - tick
                    rate = {"images_per_second": round(pictures / max(seconds, 1e-9), 3), "memory_mb": memory_mb()}
                    tick, pictures = time.monotonic(), 0
                    self.log.line(done, {**values, **rate})
                    bar.set_postfix({**{k: f"{v:.3g}" for k, v in values.items() if "gradient" not in k},
                                     "img/s": f"{rate['images_per_second']:.2f}",
                                     "MB": f"{rate['memory_mb']:.0f}",
                                     **_all_left(done - start - 1, o.steps - done, time.monotonic() - first)},
                                    refresh=False)
                if done % COLLECT_EVERY == 0:
                    jt.sync_all()
                    jt.gc()
                    gc.collect()
                if o.sample_every and done % o.sample_every == 0:
                    self._samples(done)
                    sampled = done
                late = o.save_minutes and time.monotonic() - self._saved_at > o.save_minutes * 60
                over = o.minutes and time.monotonic() - began > o.minutes * 60
                # clocks and signals differ between ranks; all have to agree, and to validate or not alike
                due = done % o.log_every == 0 or parallel.world() == 1
                asked, over, late = parallel.any_rank(interrupt.asked, over, late) if due else (False,) * 3
                stopped = (asked or over) and done < o.steps
                if done % o.save_every == 0 or done == o.steps or stopped or late:
                    self._save(done, validated=not asked)
                elif o.validate_every and done % o.validate_every == 0:
                    self._validate(done, parts)
                if o.sample_every and (stopped or done == o.steps) and sampled != done and not asked:
                    self._samples(done)
                if stopped:
                    break
        finally:
            if bar is not None:
                bar.close()
            self.data.close()
            self.log.curves()
            self.log.close()
        if stopped:
            done = min(self.done.values())
            self.note((f"Stopped at step {done} of {o.steps}; everything is saved in {self.out}.\n" if done > start
                       else "Stopped before the first step.\n") + f"Go on with: {self._resume_command()}")
        return not stopped

    def _step(self, batch, step: int, parts) -> Dict[str, float]:
        o = self.options
        if step == 0:
            self.trainer.prepare(batch, parts)
        values, apply = optimiser.finite_step(self.trainer, batch, step, parts, self.note)
        # nothing has moved yet: weights and moments are those of the step before
        bad = [n for n, v in values.items() if not np.isfinite(v)]
        if bad:
            raise UserError(f"step {step + 1}: {', '.join(bad)} no longer finite. Pictures of this step: "
                            f"{', '.join(row.file for row in batch.rows)}. {self._last_good()}")
        high = [n for n, v in values.items() if n.startswith("gradient") and 0 < o.stop_gradient < v]
        if high:
            raise UserError(f"step {step + 1}: {high[0]} is {values[high[0]]:.3g}, above --stop-gradient "
                            f"{o.stop_gradient:g}: the run has diverged. {self._last_good()}")
        apply()
        jt.sync_all()
        return values

    def _samples(self, step: int) -> None:
        self.log.sheet(step, self.trainer.sheet(self.shown))
        self.log.curves()

    def _validate(self, step: int, parts) -> Dict[str, float]:
        values = self.trainer.validate(self.held_out, parts) if self.options.validate else {}
        if values:
            self.log.line(step, values)
        return values

    def _save(self, step: int, validated: bool = True) -> None:
        """Validate, then checkpoint the parts at ``step``.  UserError where the disk does not take it."""
        parts = [p for p in self.trainer.parts if self.done[p] == step]
        before, self._pictures = self._pictures, feed.pictures(self.options.data, self.data.rows)
        changed = [name for name, facts in self._pictures.items() if before[name] != facts]
        if changed:
            self.log.note(f"{len(changed)} pictures of {self.options.data} changed while the run went on: {changed[0]} "
                          "among others; it goes on with what it reads")
        values = self._validate(step, parts) if validated else {}
        for part in parts:
            arrays = self.trainer.arrays(part)
            score, by = self.trainer.score(part, values)
            folder = self.folders[part]
            best = folder.best(by)
            if best is None and folder.best():
                self.log.note(f"the best checkpoint is judged by {by} from here on, and begins anew")
            state = {"world": parallel.world(), "values": values, "command": self.command,
                     "pictures": feed.digest(self._pictures), **self.trainer.built_on}
            # what was not validated is not known to be better than what was
            better = best is None or (score < best[1] if score is not None else validated)
            weights = self.trainer.weights(part) if better else {}
            try:
                if parallel.is_writer():
                    folder.save(step, arrays, state, score, by)
                    self._write_weights(weights)
            except OSError as error:
                self.log.curves()
                raise UserError(f"step {step}: cannot write the checkpoint of {part} in {folder.path} "
                                f"({error.strerror or error}). Make room. {self._last_good()}") from None
        self._saved_at = time.monotonic()

    def _write_weights(self, weights) -> None:
        """The best weights so far, as a folder that the other tools read."""
        if not weights:
            return
        folder = self.out / "weights"
        for name, arrays in weights.items():
            checkpoints.write_arrays(folder / name, arrays)
        checkpoints.write_config(folder, self.trainer.config, {"command": self.command})

    def _last_good(self) -> str:
        kept = {part: folder.steps() for part, folder in self.folders.items()}
        lines = [f"{self.folders[part].file(steps[-1])}" for part, steps in kept.items() if steps]
        if not lines:
            return "No checkpoint was written yet."
        return f"The last good checkpoint is {', '.join(lines)}; go on from it with: {self._resume_command()}"

    def _resume_command(self) -> str:
        """What can be pasted: of train_all, where that called."""
        return os.environ.get(GO_ON) or pasted([*self.words, "--resume"], parallel.world())


def _all_left(steps: int, left: int, seconds: float) -> Dict[str, str]:
    """For the bar under train_all: the time left of all its steps, once some were measured."""
    after = os.environ.get(STEPS_AFTER)
    if after is None or steps < 1:
        return {}
    return {"all done in": str(timedelta(seconds=round((left + float(after)) * seconds / steps)))}


def pasted(words: List[str], processes: int = 1) -> str:
    """The call ``words``, as sys.argv has them, as a line for a shell in the same folder."""
    words = [w for n, w in enumerate(words) if w != "--resume" or n == len(words) - 1]
    python = os.path.relpath(sys.executable) if sys.executable.startswith(os.getcwd() + os.sep) else sys.executable
    start = _launcher(words[0], processes) if processes > 1 else []
    return shlex.join([*start, *(_module_call(words, python) or [python, *words])])


def _launcher(job: str, processes: int) -> List[str]:
    """mpirun as it was called, with its host file and the like, where this process's parent is that."""
    with suppress(OSError, ValueError, IndexError):
        said = Path(f"/proc/{os.getppid()}/cmdline").read_text().split("\0")
        start = said[:said.index(job)]
        if Path(start[0]).name == "mpirun":
            return start[:-1] if Path(start[-1]).name.startswith("python") else start
    return ["mpirun", "-np", str(processes)]


def _module_call(words: List[str], python: str) -> List[str]:
    """``python -m jt_dfd JOB ...`` where that is how it was called (``jt_dfd.__main__``); else nothing."""
    return [python, "-m", "jt_dfd", words[0][7:], *words[1:]] if words[0].startswith("jt-dfd ") else []


def run(trainer, options, resume: bool, command=None) -> bool:
    """Train to the end; False where it was stopped on the way.  Raises UserError."""
    this = Run(trainer, options, command)
    try:
        with Interrupt() as interrupt, ExitStack() as locks:
            for folder in this.folders.values() if parallel.is_writer() else ():
                locks.enter_context(only_writer(folder.path))
            if resume:
                this.resume()
            else:
                this.refuse_to_overwrite()
            if not parallel.agreed(repr((this.done, trainer.built_on, feed.digest(this._pictures)))):
                raise UserError("the ranks do not see the same files: --data, --embedding and a resumed --out have to "
                                "be a shared folder, or equal copies under the same path on every machine")
            return this.train(interrupt)
    except PictureError as error:
        raise UserError(f"{error}. {this._last_good()}") from None


def dry_run(trainer, options, steps: int = 3) -> int:
    """Describe the run, make a few steps, and say what they cost.  Writes nothing."""
    this = Run(trainer, options)
    for line in [*this.describe(), *trainer.begun_with]:
        print(line)
    batches = feed.batches(this.data, 0)
    for step in range(steps):
        began = time.monotonic()
        batch = next(batches)
        loaded = time.monotonic()
        values = this._step(batch, step, trainer.parts)
        jt.sync_all(True)
        seconds = time.monotonic() - began
        print(f"step {step + 1}: {seconds:.2f} s ({loaded - began:.2f} s of it loading), "
              + ", ".join(f"{k} {v:.4g}" for k, v in values.items()))
    left = seconds * options.steps / 3600
    print(f"{options.batch / seconds:.2f} images/s, {memory_mb():.0f} MB; {options.steps} steps would take about "
          f"{left:.1f} hours. The first steps compile and do not count. Nothing was written.")
    this.data.close()
    return 0
