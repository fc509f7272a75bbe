"""A stand-in for the synthesizer, run in a real engine process: pictures that follow the drawing, and trouble on
order.

What it does is read from ``fake.json`` in the "weights" folder, anew at every call:
    load_delay, shadow_delay, face_delay    seconds
    hold                                    spend them with the interpreter lock held, as Jittor does
    compile                                 seconds of "compiling" (lock held, in pieces of 0.5 s, with progress)
    broken                                  loading raises this message as a ValueError
    burn                                    "compiling" keeps all cores busy, as compilers do
    crash                                   "shadow", "face" or "load": the process dies there, once a ``crash.N`` file
    until_newer                             {"shadow": [1], "face": [3, 6]}: at the first shadow, the third and the
                                            sixth face of this process, wait until the window has sent something
    lock                                    a file: wait for its lock before each face, as Jittor does to compile
    hang                                    "shadow" or "face": stay there for good
    old                                     seconds after which a shown face is old (engine_process.OLD)
    genders                                 list
Every face that is computed adds a line to ``log.txt`` in that folder; where it waits or hangs it leaves a file
``at.face.3``, and ``loaded`` once it is loaded.
"""
from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from jt_dfd.errors import UserError
from jt_dfd.gui import engine_process

COMPONENTS = ("eye1", "eye2", "nose", "mouth", "rest")
LATENT = 16


def hold_the_lock(seconds):
    """Sleep in C without letting go of the interpreter lock."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


class Fake:
    def __init__(self, folder, device, progress):
        self.folder, self.device = Path(folder), "cpu"
        self.connection = progress.__self__.connection  # the server's: to see whether something has been sent
        self.calls = Counter()
        self.config = SimpleNamespace(preset="fake", canvas=512, latent=LATENT)
        if "old" in self.knobs():
            engine_process.OLD = self.knobs()["old"]
        self.genders = tuple(self.knobs().get("genders", ("female", "male")))

    def knobs(self):
        path = self.folder / "fake.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def wait(self, name):
        knobs = self.knobs()
        seconds = knobs.get(name, 0)
        if seconds:
            (hold_the_lock if knobs.get("hold") else time.sleep)(seconds)

    def hold(self, where):
        """Be found at a place by a test that acts while this is there."""
        self.calls[where] += 1
        number, knobs = self.calls[where], self.knobs()
        newer, hang = number in knobs.get("until_newer", {}).get(where, ()), knobs.get("hang") == where
        if newer or hang:
            (self.folder / f"at.{where}.{number}").touch()
        if newer:
            self.connection.poll(600)
        if hang:
            time.sleep(600)
        if where == "face" and knobs.get("lock"):
            with open(knobs["lock"], "r+") as f:
                fcntl.flock(f, fcntl.LOCK_EX)

    def crash(self, where):
        if self.knobs().get("crash") == where:
            for path in sorted(self.folder.glob("crash.*")):
                path.unlink()
                os.kill(os.getpid(), signal.SIGSEGV)

    def synthesize(self, sketch, gender="female", refine=1.0, k=15, anchor="nearest", on_shadow=None, as_is=False):
        assert sketch.shape == (512, 512) and sketch.dtype == np.uint8
        self.wait("shadow_delay")
        self.hold("shadow")
        self.crash("shadow")
        ink = 255 - sketch
        shadow = 255 - np.maximum.reduce([np.roll(ink, s, a) // 2 for s in (-6, 0, 6) for a in (0, 1)])
        if on_shadow:
            on_shadow(shadow)
        rng = np.random.default_rng(int(ink.sum()) + (gender == "male"))
        amounts = refine if isinstance(refine, dict) else dict.fromkeys(COMPONENTS, refine)
        vectors = {c: rng.standard_normal(LATENT).astype(np.float32) * amounts[c] for c in COMPONENTS}
        return SimpleNamespace(face=self.paint(vectors, sketch, gender), shadow=shadow, vectors=vectors,
                               latents=vectors, shadows={})

    def paint(self, vectors, sketch=None, gender="female"):
        self.wait("face_delay")
        self.hold("face")
        self.crash("face")
        with open(self.folder / "log.txt", "a") as log:
            log.write("face\n")
        y, x = np.mgrid[0:512, 0:512].astype(np.float32)
        face = np.empty((512, 512, 3), np.float32)
        oval = ((x - 256) / 170) ** 2 + ((y - 270) / 220) ** 2 < 1
        for c, (inside, outside) in enumerate(((226, 96), (184, 110), (158, 128))):
            face[:, :, c] = np.where(oval, inside - (y - 270) / 12, outside - y / 12)
        for c, name in enumerate(COMPONENTS):
            face[:, :, c % 3] += 6 * np.tanh(vectors[name].mean())
        if sketch is not None:
            face *= (0.35 + 0.65 * sketch / 255.0)[:, :, None]
        return np.clip(face, 0, 255).astype(np.uint8)

    def face_from_vectors(self, vectors):
        assert set(vectors) == set(COMPONENTS)
        return self.paint(vectors)

    def sample_vectors(self, gender, seed):
        rng = np.random.default_rng(seed)
        sketch = np.full((512, 512), 255, np.uint8)
        x = int(rng.integers(100, 400))
        sketch[200:300, x:x + 4] = 0
        return {c: rng.standard_normal(LATENT).astype(np.float32) for c in COMPONENTS}, sketch


def load(folder, device, progress):
    fake = Fake(folder, device, progress)
    knobs = fake.knobs()
    fake.crash("load")
    if knobs.get("bug"):
        raise ValueError(knobs["bug"])
    if knobs.get("broken"):
        raise UserError(f"{folder}: {knobs['broken']}")
    pieces = int(knobs.get("compile", 0) / 0.5)
    if knobs.get("burn"):
        for _ in range(os.cpu_count() or 1):
            subprocess.Popen([sys.executable, "-c",
                              f"import time\nend = time.time() + {pieces / 2}\nwhile time.time() < end: pass"])
    for n in range(pieces):
        progress("operators", n, pieces)
        hold_the_lock(0.5)
    progress("weights", 0, 1)
    fake.wait("load_delay")
    (fake.folder / "loaded").touch()
    return fake
