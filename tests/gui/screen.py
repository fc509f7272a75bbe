"""Start the drawing window on a virtual screen, draw a face with real mouse events, and save what is seen.

Needs Linux with Xvfb and xdotool; as root they are installed where apt-get can, else the command is named.

    python tests/gui/screen.py -o window.png
    python tests/gui/screen.py --params Params --language zh --theme dark -o window-zh.png
"""
from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageGrab

_ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_ROOT))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.errors import UserError  # noqa: E402
from jt_dfd.gui import svg  # noqa: E402

_EXAMPLE = _ROOT / "jt_dfd" / "gui" / "examples" / "1.svg"

PACKAGES = ["xvfb", "xdotool"]
#: seconds for the window to come up, and to close
START = 120


def need(programs) -> None:
    missing = [p for p, program in zip(PACKAGES, programs) if not shutil.which(program)]
    if not missing:
        return
    command = ["apt-get", "install", "-y", "-q", *missing]
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-q"], stdout=subprocess.DEVNULL)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    else:
        raise UserError(f"missing {', '.join(missing)}; install with: sudo {' '.join(command)}")


def start_screen(size: str):
    read, write = os.pipe()
    # -noreset: it would begin anew whenever its last client goes, and drop the window if that comes in between
    server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-screen", "0", f"{size}x24", "-dpi", "96",
                               "-nolisten", "tcp", "-noreset"], pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as pipe:
        return server, ":" + pipe.readline().strip()


class Screen:
    """Hands and eyes on one X display."""

    def __init__(self, display: str):
        self.display = display

    def do(self, *words) -> str:
        return subprocess.run(["xdotool", *map(str, words)], env={**os.environ, "DISPLAY": self.display}, check=True,
                              capture_output=True, text=True).stdout

    def see(self):
        return ImageGrab.grab(xdisplay=self.display).convert("RGB")

    def find_page(self, seconds: float, still: bool = False):
        """(x, y, side) of the empty page: the white square that is as high as it is wide; with ``still``, where it has
        been for two seconds."""
        deadline = time.monotonic() + seconds
        found, since = None, 0.0
        while time.monotonic() < deadline:
            before, found = found, self._page()
            if found is None or found != before:
                since = time.monotonic()
            if found and (not still or time.monotonic() > since + 2):
                return found
            time.sleep(0.2)
        raise UserError("no empty page has appeared on the screen")

    def _page(self):
        white = (np.asarray(self.see()) == 255).all(2)
        high = np.nonzero(white.sum(1) > 0.15 * white.shape[1])[0]
        if not len(high):
            return None
        y = int(high[len(high) // 2])
        runs = np.split(np.arange(white.shape[1]), np.nonzero(~white[y])[0])
        run = next(run for run in runs if len(run) >= max(map(len, runs)) - 4)  # the page is left of a white face
        if len(run) <= 150:
            return None
        x0, x1 = int(run[1]) if not white[y, run[0]] else int(run[0]), int(run[-1])
        column = white[:, (x0 + x1) // 2]
        top, bottom = y, y
        while top > 0 and column[top - 1]:
            top -= 1
        while bottom + 1 < len(column) and column[bottom + 1]:
            bottom += 1
        return (x0, top, x1 - x0 + 1) if abs((x1 - x0) - (bottom - top)) <= 6 else None

    def draw(self, strokes, page) -> None:
        x0, y0, side = page
        for stroke in strokes:
            words = []
            for n, (x, y) in enumerate(stroke):
                words += ["mousemove", round(x0 + x * side / 512), round(y0 + y * side / 512)]
                if n == 0:
                    words += ["mousedown", 1]
                words += ["sleep", "0.004"]
            self.do(*words, "mouseup", 1)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", default="window.png",
                        help="picture to write, PNG or JPEG (default: window.png)")
    parser.add_argument("--params", help="weights folder (default: as the window finds it)")
    parser.add_argument("--size", default="1400x830", help="of the virtual screen, in pixels (default: 1400x830)")
    parser.add_argument("--language", default="en", help="of the window (default: en)")
    parser.add_argument("--theme", default="light", choices=("light", "dark"))
    parser.add_argument("--gender", default="female", choices=("female", "male"))
    parser.add_argument("--wait", type=float, default=900,
                        help="seconds to wait for faces; a first compile takes minutes")
    parser.set_defaults(guide=False)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    need(["Xvfb", "xdotool"])
    server, display = start_screen(args.size)
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "DISPLAY": display, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home,
               "QT_QPA_PLATFORM": "xcb"}
        command = [sys.executable, str(_ROOT / "tools" / "draw.py"), "--language", args.language, "--theme", args.theme,
                   "--gender", args.gender]
        for name in ("params", "engine"):
            if getattr(args, name):
                command += [f"--{name}", getattr(args, name)]
        settings = Path(home) / "jt_dfd" / "drawing.conf"
        settings.parent.mkdir()
        settings.write_text(f"[General]\nguide={'true' if args.guide else 'false'}\n")  # the page is found by its white
        window = subprocess.Popen(command, env=env)
        try:
            screen = Screen(display)
            page = screen.find_page(START)
            ids = screen.do("search", "--onlyvisible", "--name", "DeepFaceDrawing").split()
            width, height = args.size.split("x")
            screen.do("windowmove", ids[0], 0, 0, "windowsize", ids[0], width, height, "windowfocus", ids[0])
            page = screen.find_page(START, still=True)  # where the layout has it after the change of size
            # an example's strokes; the history shows the face before the last
            drawn: Any = svg.load(_EXAMPLE)[0]
            strokes = [[point[:2] for point in stroke.points] for stroke in drawn]
            screen.draw(strokes[:-1], page)
            wait_for_face(screen, page, args.wait, window)
            screen.draw(strokes[-1:], page)
            time.sleep(2)
            wait_for_face(screen, page, args.wait, window)
            screen.do("mousemove", int(width) // 2, int(height) - 8)
            time.sleep(1)
            screen.see().save(args.output, optimize=True, quality=90)
            print(args.output)
        finally:
            window.send_signal(signal.SIGTERM)
            try:
                window.wait(START)
            finally:
                window.kill()
                server.terminate()
                server.wait()
    return 0


def wait_for_face(screen, page, seconds: float, window) -> None:
    """Until the square to the right of the page is a picture and has been still for two seconds.  While the engine
    prepares itself, most of that square is of a single colour."""
    x, y, side = page
    last, still, deadline = None, 0.0, time.monotonic() + seconds
    while time.monotonic() < deadline:
        if window.poll() is not None:
            raise UserError(f"the window ended with status {window.returncode}")
        area = np.asarray(screen.see())[y + 8:y + side - 8, x + side + 30:x + 2 * side].astype(int)
        colours = np.unique(area.reshape(-1, 3) @ [1, 256, 65536], return_counts=True)[1]
        if colours.max() < 0.4 * colours.sum() and last is not None and np.array_equal(area, last):
            still += 0.5
            if still >= 2:
                return
        else:
            still = 0.0
        last = area
        time.sleep(0.5)
    raise UserError(f"no face within {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(run(main))
