"""Pictures one after another as a film: GIF, MP4 or WebM.  Runs on a thread, no widget."""
from __future__ import annotations

import os
from pathlib import Path
from typing import List, Sequence

import numpy as np

from ..atomic import write_atomically
from ..errors import UserError

#: pictures a second, and how often the first and the last are repeated, so that one can look at them (ours)
RATE, REST = 12, 8
#: {suffix: code of the video format}
_CODES = {".mp4": "mp4v", ".webm": "VP80"}
SUFFIXES = (".gif", *_CODES)


def there_and_back(frames: Sequence[np.ndarray]) -> List[np.ndarray]:
    """From the first to the last and back, with a rest at both ends."""
    frames = list(frames)
    return [frames[0]] * REST + frames[1:-1] + [frames[-1]] * REST + frames[-2:0:-1]


def save(path, frames: Sequence[np.ndarray], rate: int = RATE) -> None:
    """Write (H, W, 3) uint8 RGB frames, all of one size; the path's ending chooses the kind.  UserError where this
    machine cannot write it, OSError where the place cannot be written."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: films are written as {', '.join(SUFFIXES)}")
    write_atomically(path, lambda part: (_gif(part, frames, rate) if suffix == ".gif"
                                         else _video(part, suffix, frames, rate)))


def _gif(path, frames: Sequence[np.ndarray], rate: int) -> None:
    from PIL import Image

    seen = {}  # a frame that rests is made once
    pictures = []
    for frame in frames:
        if id(frame) not in seen:
            seen[id(frame)] = Image.fromarray(frame).quantize(256, Image.Quantize.FASTOCTREE)
        pictures.append(seen[id(frame)])
    pictures[0].save(path, format="GIF", save_all=True, append_images=pictures[1:], duration=1000 // rate, loop=0)


def _video(path, suffix: str, frames: Sequence[np.ndarray], rate: int) -> None:
    import cv2  # late: it costs start-up time, and its Qt plugins must not be found before the window is up

    name = f"{path}{suffix}"  # OpenCV goes by the ending
    h, w = frames[0].shape[:2]
    writer = cv2.VideoWriter(name, cv2.VideoWriter_fourcc(*_CODES[suffix]), rate, (w, h))
    try:
        if not writer.isOpened():
            raise UserError(f"this machine's OpenCV writes no {suffix[1:]} films; choose .gif")
        for frame in frames:
            writer.write(np.ascontiguousarray(frame[:, :, ::-1]))
        writer.release()
        os.replace(name, path)
    finally:
        writer.release()
        if os.path.exists(name):
            os.unlink(name)
