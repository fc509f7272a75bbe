"""What a run leaves to look at: log.jsonl, losses.png, index.html, TensorBoard events, Weights & Biases, and notes on
the terminal.

None of it may end a run: where the disk is full, that is said once and training goes on.
"""
from __future__ import annotations

import contextlib
import html
import io
import json
import secrets
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional

import numpy as np

from ..atomic import write_text
from ..errors import UserError
from ..pictures import write_png
from ..runtime.host import kernel_bytes

#: one of the plots of losses.png, in pixels
WIDTH, HEIGHT, MARGIN, FOOT = 460, 190, 48, 34
#: sheets on the page, evenly chosen over the steps
SHEETS = 40
_SKIP = ("step", "epoch", "seconds", "memory_mb")
_RAW, _TRAINED, _HELD_OUT, _GREY = (190, 205, 235), (30, 70, 160), (205, 100, 20), (90, 90, 90)


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


def draw_curves(lines: List[Dict[str, Any]], path) -> None:
    """lines: log lines with ``step`` and numbers.  Values are shown raw (pale) and smoothed, and with them, in orange,
    those of the held-out pictures under the same name."""
    series: Dict[str, np.ndarray] = {}
    for name in {key for line in lines for key in line if key not in _SKIP}:
        points = [(line["step"], line[name]) for line in lines if isinstance(line.get(name), (int, float))
                  and not isinstance(line[name], bool) and np.isfinite(line[name])]
        if points:
            series[name] = np.array(points, np.float64)
    plots = []
    for name in sorted(series, key=lambda n: (n.replace("held_out/", ""), n)):
        own, held_out = series[name], series.get(f"held_out/{name}")
        if name.startswith("held_out/") and len(series.get(name[9:], ())) > 1 or len(own) < 2:
            continue   # drawn with the one it belongs to
        plots.append(_plot(name, own, held_out))
    if not plots:
        return
    columns = min(3, len(plots))
    while len(plots) % columns:
        plots.append(np.full_like(plots[0], 255))
    write_png(path, np.vstack([np.hstack(plots[i:i + columns]) for i in range(0, len(plots), columns)]))


def _plot(name: str, points: np.ndarray, held_out) -> np.ndarray:
    import cv2

    picture = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    steps, values = points[:, 0], points[:, 1]
    width = max(1, len(values) // 40)
    padded = np.pad(values, (width // 2, width - 1 - width // 2), mode="edge")
    smooth = np.convolve(padded, np.ones(width) / width, "valid")
    shown = [np.percentile(values, (1, 99)), smooth] + ([held_out[:, 1]] if held_out is not None else [])
    low, high = min(map(np.min, shown)), max(map(np.max, shown))
    first, last = steps[0], max(steps[-1], steps[0] + 1)
    right, foot = WIDTH - 10, HEIGHT - FOOT

    def place(at, series):
        x = MARGIN + (at - first) / (last - first) * (right - MARGIN)
        y = foot - np.clip((series - low) / ((high - low) or 1.0), -0.05, 1.05) * (foot - FOOT)
        return np.stack([x, y], 1).round().astype(np.int32)

    def write(text, x, y, size=0.36, colour=_GREY):
        cv2.putText(picture, text, (int(x), int(y)), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)

    cv2.rectangle(picture, (MARGIN, FOOT), (right, foot), (225, 225, 225), 1)
    for share in (0, 0.5, 1):
        value, step = low + share * (high - low), first + share * (last - first)
        (x, y), text = place(np.array([step]), np.array([value]))[0], f"{int(step)}"
        cv2.line(picture, (MARGIN - 4, y), (right, y), (235, 235, 235), 1)
        cv2.line(picture, (x, foot), (x, foot + 4), _GREY, 1)
        write(f"{value:.3g}", 2, y + 4)
        write(text, min(x - 3 * len(text), WIDTH - 8 * len(text)), foot + 16)
    cv2.polylines(picture, [place(steps, values)], False, _RAW, 1, cv2.LINE_AA)
    colour = _HELD_OUT if name.startswith("held_out/") else _TRAINED
    cv2.polylines(picture, [place(steps, smooth)], False, colour, 2, cv2.LINE_AA)
    write(f"{name}: {smooth[-1]:.4g}", MARGIN, 22, 0.5, (0, 0, 0))
    if held_out is not None:
        for x, y in place(held_out[:, 0], held_out[:, 1]):
            cv2.circle(picture, (int(x), int(y)), 3, _HELD_OUT, -1, cv2.LINE_AA)
        cv2.polylines(picture, [place(held_out[:, 0], held_out[:, 1])], False, _HELD_OUT, 1, cv2.LINE_AA)
        write(f"held out: {held_out[-1, 1]:.4g}", WIDTH - 150, 22, 0.42, _HELD_OUT)
    return picture


def write_page(folder) -> None:
    """index.html of a run folder, which opens without a server: curves, sheets over the steps, options, calls."""
    folder = Path(folder)
    sheets = sorted((folder / "samples").glob("step-*.png"))
    chosen = [sheets[i] for i in sorted({int(n) for n in np.linspace(0, len(sheets) - 1, SHEETS)})] if sheets else []

    def rows(path, text):
        source = next((p for p in (folder / path, folder.parent / path) if p.is_file()), None)   # of one component
        return text(source.read_text(encoding="utf-8")) if source else ""

    escape = html.escape
    options = rows("options.json", lambda text: "".join(
        f"<tr><td>{escape(k)}<td>{escape(str(v))}" for k, v in json.loads(text).items()))
    calls = rows("commands.jsonl", lambda text: "".join(
        f"<p>from step {entry['from_step']}: <code>{escape(entry['command'])}</code>"
        for entry in map(json.loads, text.splitlines())))
    pictures = "".join(f'<figure><img loading="lazy" src="samples/{p.name}"><figcaption>step {int(p.stem[5:])}'
                       "</figcaption></figure>" for p in reversed(chosen))
    curves = ('<img src="losses.png" alt=""><p>Blue: smoothed losses of training steps; orange: held-out pictures, by '
              "the moving average." if (folder / "losses.png").is_file() else "<p>No curves yet.")
    write_text(folder / "index.html", f"""<!DOCTYPE html><meta charset="utf-8"><title>{escape(folder.name)}</title>
<style>body{{font:15px sans-serif;margin:2em}}img{{max-width:100%}}figure{{margin:1em 0}}td{{padding:0 1em 0 0}}</style>
<h1>{escape(folder.resolve().name)}</h1>{curves}
<h2>Sheets, the newest first</h2>{pictures}<h2>Calls</h2>{calls}<h2>Options</h2><table>{options}</table>
""")


def memory_mb() -> float:
    """Resident memory of this process in MiB; 0 where the system does not tell."""
    return (kernel_bytes("/proc/self/status", "VmRSS") or 0) / (1 << 20)
