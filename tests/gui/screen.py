"""Start the drawing window on a virtual screen, draw a face with real mouse events, and save what is seen.

Needs Linux with Xvfb and xdotool; as root they are installed where apt-get can, else the command is named.

    python tests/gui/screen.py -o window.png
    python tests/gui/screen.py --params Params --language zh --theme dark -o window-zh.png
    python tests/gui/screen.py --pictures .github/pictures
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

_ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_ROOT))

from jt_dfd.cli import run  # noqa: E402
from jt_dfd.errors import UserError  # noqa: E402
from jt_dfd.gui import files  # noqa: E402
from jt_dfd.gui.words import TEXTS  # noqa: E402

_EXAMPLES = _ROOT / "jt_dfd" / "gui" / "examples"

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

    def __init__(self, display: str, patience: float = 300, process=None):
        self.display, self.patience, self.process = display, patience, process

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

    def windows(self, title: str):
        """The visible windows of that title; there is no window manager to ask."""
        return subprocess.run(["xdotool", "search", "--onlyvisible", "--name", title], text=True, capture_output=True,
                              env={**os.environ, "DISPLAY": self.display}).stdout.split()

    def window(self, title: str) -> str:
        """The number of the window of that title, which gets the keyboard."""
        self.until(lambda: self.windows(title))
        number = self.windows(title)[-1]
        self.do("windowfocus", "--sync", number)
        return number

    def press(self, *keys) -> None:
        self.do("key", "--clearmodifiers", *keys)

    def answer(self, title: str, path) -> None:
        """Type a path into the file dialog of that title."""
        number = self.window(title)
        time.sleep(0.5)
        self.press("ctrl+a")
        self.do("type", "--delay", 15, str(path))
        self.press("Return")
        self.until(lambda: number not in self.windows(title))

    def until(self, what):
        deadline = time.monotonic() + self.patience
        while not what():
            if self.process is not None and self.process.poll() is not None:
                raise UserError(f"the window ended with status {self.process.returncode}")
            if time.monotonic() > deadline:
                raise UserError(f"nothing came within {self.patience:.0f} s")
            time.sleep(0.1)
        return what()

    def wait_for_engine(self, page) -> None:
        """Until the square to the right of the page is as empty as the page."""
        x, y, side = page
        self.until(lambda: (np.asarray(self.see())[y + 8:y + side - 8, x + side + 30:x + 2 * side]
                            .std((0, 1)) < 1).all())

    def draw(self, strokes, page, lift: bool = True) -> None:
        x0, y0, side = page
        for stroke in strokes:
            words = []
            for n, (x, y) in enumerate(stroke):
                words += ["mousemove", round(x0 + x * side / 512), round(y0 + y * side / 512)]
                if n == 0:
                    words += ["mousedown", 1]
                words += ["sleep", "0.004"]
            self.do(*words, *(("mouseup", 1) if lift else ()))

    def wait_for_face(self, page) -> None:
        """Until the square to the right of the page is a picture and has been still for two seconds: while a face is
        made a bar moves at its lower edge.  While the engine prepares itself, most of it is of a single colour."""
        x, y, side = page
        self.wait_until_still((slice(y + 8, y + side), slice(x + side + 30, x + 2 * side)), 0.4)

    def wait_until_still(self, where=(slice(None), slice(None)), most: float = 1.0) -> None:
        """Until this part of the screen has been the same for two seconds, and no colour fills that share of it."""
        last, since = None, time.monotonic()

        def still():
            nonlocal last, since
            area = np.asarray(self.see())[where].astype(int)
            colours = np.unique(area.reshape(-1, 3) @ [1, 256, 65536], return_counts=True)[1]
            if last is None or colours.max() > most * colours.sum() or not np.array_equal(area, last):
                last, since = area, time.monotonic()
            return time.monotonic() > since + 2

        self.until(still)


#: the pictures of .github/pictures: name, what is seen, and the window
PICTURES = (
    ("window", "finished", {}),
    ("window-empty", "empty", {}),
    ("window-drawing", "drawing", {}),
    ("window-select", "select", {}),
    ("window-morph-zh-dark", "morph", dict(language="zh", theme="dark")),
    ("window-200-es", "finished", dict(language="es", scale=2)),
    ("window-small", "finished", dict(size="683x384")),
)


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-o", "--output", default="window.png",
                        help="picture to write, PNG or JPEG (default: window.png)")
    parser.add_argument("--pictures", metavar="FOLDER", help="all pictures of .github/pictures instead, as JPEG there")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of those pictures only these")
    parser.add_argument("--params", help="weights folder (default: as the window finds it)")
    parser.add_argument("--size", default="1366x768", help="of the virtual screen, in pixels (default: 1366x768)")
    parser.add_argument("--scale", type=float, default=1, help="of the window's pixels, 2 for 200 %%")
    parser.add_argument("--language", default="en", help="of the window (default: en)")
    parser.add_argument("--theme", default="light", choices=("light", "dark"))
    parser.add_argument("--scene", default="finished", choices=("finished", "empty", "drawing", "select", "morph"))
    parser.add_argument("--wait", type=float, default=900,
                        help="seconds to wait for faces; a first compile takes minutes")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    need(["Xvfb", "xdotool"])
    if not args.pictures:
        picture(args)
        return 0
    for name, scene, how in PICTURES:
        if not args.only or name in args.only:
            given = {**vars(args), **how, "scene": scene, "output": os.path.join(args.pictures, f"{name}.jpg")}
            picture(argparse.Namespace(**given))
    return 0


def picture(args) -> None:
    """One window, from its start to its picture."""
    server, display = start_screen(args.size)
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "DISPLAY": display, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home,
               "QT_QPA_PLATFORM": "xcb", "QT_SCALE_FACTOR": str(args.scale), "LC_ALL": "C.UTF-8"}
        command = [sys.executable, str(_ROOT / "tools" / "draw.py"), "--language", args.language, "--theme", args.theme]
        for name in ("params", "engine"):
            if getattr(args, name):
                command += [f"--{name}", getattr(args, name)]
        settings = Path(home) / "jt_dfd" / "drawing.conf"
        settings.parent.mkdir()
        settings.write_text("[General]\nguide=false\n")  # the page is found by its white
        window = subprocess.Popen(command, env=env)
        try:
            screen = Screen(display, args.wait, window)
            screen.find_page(START)
            main = screen.window("DeepFaceDrawing")
            width, height = args.size.split("x")
            screen.do("windowmove", main, 0, 0, "windowsize", main, width, height)
            page = screen.find_page(START, still=True)  # where the layout has it after the change of size
            pose(screen, args, page, main)
            screen.see().save(args.output, optimize=True, quality=90)
            print(args.output, flush=True)
        finally:
            window.send_signal(signal.SIGTERM)
            try:
                window.wait(START)
            finally:
                window.kill()
                server.terminate()
                server.wait()


def pose(screen, args, page, main: str) -> None:
    """Until there is to be seen what the scene is to show."""
    (x, y, side), scene = page, args.scene
    example = [[point[:2] for point in stroke.points] for stroke in files.load_svg(_EXAMPLES / "1.svg")[0]]  # type: ignore
    away = (x + side // 2, y + side + 40)
    screen.wait_for_engine(page)
    if scene == "empty":
        screen.do("windowfocus", "--sync", main)
        screen.press("alt+v", "g")
        screen.do("mousemove", *away)
        time.sleep(2)
        return
    for other in ("2", "3"):  # faces of before, for the history
        screen.do("windowfocus", "--sync", main)
        screen.press("ctrl+o")
        screen.answer(TEXTS[args.language]["open.title"], _EXAMPLES / f"{other}.svg")
        screen.wait_for_face(page)
    screen.do("windowfocus", "--sync", main)
    screen.press("ctrl+n")
    time.sleep(1)
    until = len(example) // 2 if scene == "drawing" else len(example)
    screen.draw(example[:until], page)
    screen.do("mousemove", *away)
    time.sleep(2)
    screen.wait_for_face(page)
    if scene == "drawing":  # the hand is still down, and the face of the strokes before is being made
        screen.draw(example[until:until + 1], page)
        screen.draw(example[until + 1:until + 2], page, lift=False)
    elif scene == "select":
        screen.press("v")  # then round the eye at the left and its brow, from a place without strokes on
        screen.draw([[(190, 268), (146, 262), (146, 200), (156, 186), (232, 186), (234, 262), (194, 268)]], page)
    elif scene == "morph":
        screen.press("ctrl+m")
        time.sleep(2)
        screen.wait_until_still()
    time.sleep(0.3 if scene == "drawing" else 1.5)


if __name__ == "__main__":
    sys.exit(run(main))
