"""One whole session in a real window on a virtual screen, by real X events: a drawing made, undone, saved as SVG,
opened, moved, morphed and exported."""
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import screen
from conftest import ENVIRONMENT, FAKE, PATIENCE, ROOT
from PIL import Image

from jt_dfd.gui import files
from jt_dfd.gui.strokes import Raster, to_array

STROKES = [[(120, 150), (250, 130), (390, 150)], [(150, 300), (250, 330), (360, 300)], [(60, 450), (440, 460)]]


@pytest.fixture
def session(weights, tmp_path):
    for program in ("Xvfb", "xdotool"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed (apt-get install xvfb xdotool)")
    server, display = screen.start_screen("1366x768")
    env = {**os.environ, **ENVIRONMENT, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "LC_ALL": "C.UTF-8"}
    window = subprocess.Popen([sys.executable, str(ROOT / "tools" / "draw.py"), "--engine", FAKE, "--params",
                               str(weights.folder), "--language", "en"], env=env)
    try:
        yield screen.Screen(display, PATIENCE / 1000, window), window
    finally:
        window.send_signal(signal.SIGTERM)
        try:
            window.wait(60)
        finally:
            window.kill()
            window.wait()
            server.terminate()
            server.wait()


@pytest.mark.screen
def test_made_undone_saved_opened_moved_morphed_and_exported(session, weights, tmp_path, qapp):
    s, window = session
    main = s.window("DeepFaceDrawing")
    s.do("windowmove", main, 0, 0, "windowsize", main, 1366, 768)
    s.press("alt+v")
    s.press("g")  # View > Guide: off, so that the page is white all over
    page = s.find_page(60, still=True)
    s.draw(STROKES, page)
    s.until(lambda: weights.faces >= 1)
    s.press("ctrl+z")
    time.sleep(1.5)  # long enough for its face to be kept
    s.press("ctrl+s")
    path = tmp_path / "mine.svg"
    s.answer("Save the drawing", path)
    s.until(path.exists)
    kept = files.load_svg(path)[0]
    assert len(kept) == 2, "three drawn, one undone"
    assert abs(kept[0].points[0][0] - 120) < 3 and abs(kept[0].points[-1][1] - 150) < 3

    s.window("mine.svg")
    s.press("ctrl+n")
    s.window("untitled")
    s.press("ctrl+o")
    s.answer("Open a picture", path)
    s.window("mine.svg")
    made = weights.faces
    s.press("v")
    s.draw([[(250, 131), (250, 160), (250, 200)]], page)  # the upper stroke 70 down
    s.until(lambda: weights.faces > made)
    time.sleep(1.5)
    s.press("ctrl+s")
    s.until(lambda: files.load_svg(path)[0] != kept)
    moved = files.load_svg(path)[0]
    assert len(moved) == 2 and abs(moved[-1].points[0][1] - 220) < 4, "what was moved lies on top"
    assert moved[0].points == kept[1].points

    s.press("ctrl+m")
    s.window("Morph between two faces")
    s.until(lambda: weights.faces >= made + 1 + 9)
    time.sleep(1)
    s.press("alt+f")
    film = tmp_path / "morph.gif"
    s.answer("Save as film", film)
    s.until(film.exists)
    with Image.open(film) as frames:
        assert frames.size == (512, 512) and frames.n_frames >= 9
    s.window("Morph between two faces")
    s.press("Escape")

    s.window("mine.svg")
    s.press("ctrl+shift+e")
    both = tmp_path / "both.png"
    s.answer("Export side by side", both)
    s.until(both.exists)
    picture = np.asarray(Image.open(both).convert("RGB"))
    assert picture.shape == (512, 1024, 3)
    raster = Raster(1)
    raster.show(moved)
    drawn = files.open_picture(both).pixels
    assert np.array_equal(picture[:, :512, 0], drawn) and np.abs(to_array(raster.image).astype(int) - drawn).max() <= 8
    s.window("mine.svg")
    s.press("ctrl+q")
    assert window.wait(PATIENCE / 1000) == 0, "closed without a question: everything is saved"
