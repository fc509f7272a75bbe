"""Start the drawing window on a virtual screen, draw a face with real mouse events, and save what is seen.

Needs Linux with Xvfb and xdotool; as root they are installed where apt-get can, else the command is named.

    python tools/screenshot.py -o window.png
    python tools/screenshot.py --params Params --language zh --theme dark -o window-zh.png
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

import numpy as np
from PIL import ImageGrab

from ..errors import UserError

_TOOLS = Path(__file__).resolve().parents[2] / "tools"

PACKAGES = ["xvfb", "xdotool"]
#: seconds for the window to come up, and to close
START = 120


def ellipse(cx, cy, rx, ry, start=0.0, end=360.0, n=28):
    a = np.radians(np.linspace(start, end, n))
    return [(cx + rx * np.cos(t), cy + ry * np.sin(t)) for t in a]


# a face of simple lines on the 512 canvas, the eyes where the weights expect them (ours)
STROKES = [
    # face from ear to ear; hair from shoulder to shoulder, and its parting
    [(120, 200), (118, 260), (130, 330), (165, 400), (215, 450), (256, 465), (300, 450), (345, 400), (380, 330),
     (392, 260), (390, 200)],
    [(100, 500), (85, 400), (80, 300), (90, 180), (130, 90), (200, 45), (256, 38), (320, 45), (385, 90), (425, 180),
     (432, 300), (428, 400), (412, 500)],
    [(256, 60), (200, 90), (150, 150), (122, 215)], [(256, 60), (310, 85), (360, 140), (390, 205)],
    [(135, 330), (140, 400), (160, 480)], [(378, 330), (372, 400), (352, 480)],
    # eyes: upper lid, lower lid, iris, brow
    [(158, 245), (175, 230), (195, 226), (212, 232), (224, 246)], [(160, 247), (185, 256), (210, 254), (223, 246)],
    ellipse(192, 240, 11, 12), [(150, 212), (180, 196), (205, 196), (228, 208)],
    [(290, 245), (307, 230), (327, 226), (344, 232), (356, 246)], [(292, 247), (317, 256), (342, 254), (355, 246)],
    ellipse(324, 240, 11, 12), [(284, 208), (307, 196), (332, 196), (362, 212)],
    # nose
    [(240, 250), (236, 290), (228, 318), (236, 334), (252, 338), (268, 336), (284, 330), (282, 316)],
    # mouth: upper lip, line
    [(200, 378), (228, 368), (246, 364), (256, 368), (268, 364), (286, 368), (314, 378)],
    [(200, 378), (228, 383), (256, 384), (286, 383), (314, 378)],
    # neck
    [(190, 430), (185, 470), (150, 505)], [(325, 430), (330, 470), (365, 505)],
]
# lower lip
LAST = [[(205, 380), (230, 402), (256, 408), (285, 402), (310, 380)]]


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
            for n, (x, y) in enumerate(smooth(stroke)):
                words += ["mousemove", round(x0 + x * side / 512), round(y0 + y * side / 512)]
                if n == 0:
                    words += ["mousedown", 1]
                words += ["sleep", "0.004"]
            self.do(*words, "mouseup", 1)


def smooth(points, step: float = 6.0):
    """Points about ``step`` apart on a curve through the given ones, as a calm hand would draw them."""
    p = np.asarray(points, float)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    for a, b, c, d in zip(p, p[1:], p[2:], p[3:]):
        for t in np.arange(0, 1, step / max(step, np.hypot(*(c - b)))):
            yield 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t ** 2 + (3 * b - a - 3 * c + d) * t ** 3)
    yield p[-2]


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
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
        command = [sys.executable, str(_TOOLS / "draw.py"), "--language", args.language, "--theme", args.theme,
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
            screen.draw(STROKES, page)
            wait_for_face(screen, page, args.wait, window)
            screen.draw(LAST, page)  # the history shows the face before it
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
