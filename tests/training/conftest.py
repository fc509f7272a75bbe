"""Little sets of drawn faces, and trainers of the tiny preset on them."""
import os

# the tiny networks gain nothing from threads, and on a busy machine threads that wait for one another cost a lot
os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from jt_dfd.data import index  # noqa: E402

SIZE = 128


def draw_pair(seed):
    """(sketch (SIZE, SIZE), photograph (SIZE, SIZE, 3)) uint8: what is drawn decides what the photograph shows."""
    rng = np.random.default_rng(seed)
    sketch = np.full((SIZE, SIZE), 255, np.uint8)
    photo = np.full((SIZE, SIZE, 3), rng.integers(200, 256), np.uint8)
    skin = tuple(int(v) for v in rng.integers(120, 230, 3))
    width, height = int(rng.integers(34, 48)), int(rng.integers(46, 58))
    cv2.ellipse(photo, (64, 68), (width, height), 0, 0, 360, skin, -1)
    cv2.ellipse(sketch, (64, 68), (width, height), 0, 0, 360, 0, 1)
    for x in (47, 80):
        r = int(rng.integers(3, 8))
        y = 60 + int(rng.integers(-3, 4))
        cv2.circle(photo, (x, y), r, (30, 30, 60), -1)
        cv2.circle(sketch, (x, y), r, 0, 1)
    y, w = 92 + int(rng.integers(-4, 5)), int(rng.integers(8, 18))
    cv2.ellipse(photo, (64, y), (w, 5), 0, 0, 360, (170, 40, 50), -1)
    cv2.ellipse(sketch, (64, y), (w, 5), 0, 0, 360, 0, 1)
    cv2.line(sketch, (64, 66), (60, 80), 0, 1)
    return sketch, photo


def write_set(folder, train=8, test=2, gender=True):
    (folder / "faces").mkdir(parents=True)
    (folder / "sketches").mkdir()
    rows = []
    for n in range(train + test):
        sketch, photo = draw_pair(n)
        cv2.imwrite(str(folder / f"sketches/{n:03d}.png"), sketch)
        cv2.imwrite(str(folder / f"faces/{n:03d}.png"), photo[:, :, ::-1])
        rows.append(index.Row(f"faces/{n:03d}.png", f"sketches/{n:03d}.png",
                              ("male" if n % 2 else "female") if gender else "", "train" if n < train else "test"))
    index.write(folder, rows)
    return folder


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """8 pairs to train on, 2 held out."""
    return write_set(tmp_path_factory.mktemp("pairs") / "set")


@pytest.fixture
def own_pairs(tmp_path):
    """The same, to be damaged."""
    return write_set(tmp_path / "set")


@pytest.fixture(scope="session")
def embedding(pairs, tmp_path_factory):
    """A run folder of stage I: hardly trained, but whole, with latents that tell sketches apart, and with banks."""
    from jt_dfd.training import loop
    from jt_dfd.training.bank import build_banks

    out = tmp_path_factory.mktemp("embedding") / "run"
    trainer, options = embedding_trainer(pairs, out, steps=3, save_every=3, batch=8,
                                         norm_momentum=1.0)
    assert loop.run(trainer, options, False, ["train"])
    build_banks(out, pairs, progress=False)
    return out


def embedding_trainer(data, out, **changes):
    from jt_dfd.config import preset
    from jt_dfd.training.embedding import EmbeddingTrainer
    from jt_dfd.training.options import EmbeddingOptions

    options = EmbeddingOptions(**{**quick(data, out), **changes})
    seed(options)
    return EmbeddingTrainer(options, preset("tiny")), options


def synthesis_trainer(data, embedding, out, **changes):
    from jt_dfd.config import preset
    from jt_dfd.training.options import SynthesisOptions
    from jt_dfd.training.synthesis import SynthesisTrainer

    values = {**quick(data, out), "embedding": str(embedding), "perceptual_network": "off", **changes}
    options = SynthesisOptions(**values)
    seed(options)
    return SynthesisTrainer(options, preset("tiny")), options


def seed(options):
    from jt_dfd.backend import jt

    jt.set_global_seed(options.seed)


def quick(data, out):
    return dict(data=str(data), out=str(out), preset="tiny", steps=6, batch=2, augment=0.0, sample_every=0,
                save_every=100, save_minutes=0, log_every=1, tensorboard=False, device="cpu")
