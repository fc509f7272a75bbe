"""What a run leaves to look at: log.jsonl, losses.png, index.html, TensorBoard events, Weights & Biases, and notes on
the terminal.

None of it may end a run: where the disk is full, that is said once and training goes on.
"""
from __future__ import annotations

import contextlib
import io
import json
import secrets
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..atomic import write_text
from ..errors import UserError
from ..runtime.host import kernel_bytes
from .curves import draw_curves, write_page


class Log:
    """One run's log.  writer: only rank 0 writes.  step: a resumed run goes on here; later lines are dropped.  wandb:
    a project there, or ""; options: what is shown of the run there."""

    def __init__(self, folder, writer: bool = True, step: int = 0, tensorboard: bool = True, wandb: str = "",
                 options: Optional[Dict[str, Any]] = None):
        self.folder, self.writer = Path(folder), writer
        self._file = self._events = self._wandb = None
        self._warned = False
        if not writer:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "log.jsonl"
        self._keep_until(path, step)
        self._file = open(path, "a", encoding="utf-8")
        if tensorboard:
            try:
                with contextlib.redirect_stderr(io.StringIO()):   # it is loud beside numpy 2 and protobuf
                    from tensorboardX import SummaryWriter

                self._events = SummaryWriter(str(self.folder / "events"), purge_step=step)
            except Exception as error:  # not installed, or broken beside this numpy or protobuf
                self.note(f"no TensorBoard events: {error} (pip install tensorboardX)")
        if wandb:
            self._wandb = self._begin_wandb(wandb, options or {})

    def _begin_wandb(self, project: str, options: Dict[str, Any]):
        """The run there, under one id however often it is resumed."""
        try:
            import wandb
        except ImportError as error:
            raise UserError(f"--wandb {project}: {error}. Install it with: pip install wandb") from None
        known = self.folder / "wandb_id"
        if not known.is_file():
            write_text(known, secrets.token_hex(4))
        try:
            run = wandb.init(project=project, id=known.read_text().strip(), resume="allow", dir=str(self.folder),
                             name=self.folder.resolve().name, config=options)
        except Exception as error:   # no account, no network
            raise UserError(f"--wandb {project}: {error}. WANDB_MODE=offline keeps the run here") from None
        # a run that was killed comes by some steps again; their number is a value like others there
        run.define_metric("*", step_metric="step")
        return run

    @staticmethod
    def _keep_until(path: Path, step: int) -> None:
        """Lines past ``step`` are of a run that was killed after its last checkpoint: it will come by again."""
        if not path.is_file():
            return
        kept = "".join(json.dumps(line) + "\n" for line in read(path) if line.get("step", 0) <= step)
        write_text(path, kept)

    def note(self, text: str) -> None:
        if self.writer:
            try:
                from tqdm import tqdm

                tqdm.write(text, file=sys.stderr)
            except ImportError:
                print(text, file=sys.stderr)

    def line(self, step: int, values: Dict[str, Any]) -> None:
        """One line of log.jsonl, and the numbers among it as events."""
        if self._file is None:
            return
        try:
            self._file.write(json.dumps({"step": step, **values}) + "\n")
            self._file.flush()
            if self._wandb is not None:
                self._wandb.log({"step": step, **values})
            if self._events is not None:
                for name, value in values.items():
                    if isinstance(value, (int, float)):
                        self._events.add_scalar(name, value, step)
        except OSError as error:
            self._complain(error)

    def curves(self) -> None:
        """Draw losses.png and write index.html anew."""
        if self._file is None:
            return
        try:
            draw_curves(read(self.folder / "log.jsonl"), self.folder / "losses.png")
            write_page(self.folder)
        except OSError as error:
            self._complain(error)

    def sheet(self, step: int, picture) -> None:
        """Write a sample sheet, (H, W, 3) uint8, as samples/step-N.png."""
        if self._file is None or picture is None:
            return
        from ..pictures import write_png

        try:
            path = self.folder / "samples" / f"step-{step:08d}.png"
            write_png(path, picture)
            if self._wandb is not None:
                import wandb

                self._wandb.log({"step": step, "samples": wandb.Image(str(path))})
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            self.note(f"cannot write the log in {self.folder} ({error.strerror or error}); training goes on without")

    def close(self) -> None:
        for thing in (self._file, self._events):
            if thing is not None:
                try:
                    thing.close()
                except OSError:
                    pass
        if self._wandb is not None:
            self._wandb.finish()
        self._file = self._events = self._wandb = None


def read(path) -> List[Dict[str, Any]]:
    """The lines of a log.jsonl, or another file with a JSON object a line; a last line cut off by a kill is left out.
    No lines where there is no file."""
    out = []
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError:
        return out
    for line in text.splitlines():
        try:
            out.append(json.loads(line))
        except ValueError:
            continue
    return out


def memory_mb() -> float:
    """Resident memory of this process in MiB; 0 where the system does not tell."""
    return (kernel_bytes("/proc/self/status", "VmRSS") or 0) / (1 << 20)
