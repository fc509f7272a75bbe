#!/usr/bin/env python3
"""Stage I: train the component embedding, an autoencoder for each component's sketches.

    python tools/train_embedding.py --data SET --out runs/embedding
    python tools/train_embedding.py --data SET --out runs/embedding --component eye1 --resume
    mpirun -np 2 python tools/train_embedding.py --data SET --out runs/embedding --batch 32

The run folder gets options.json, log.jsonl, losses.png, samples/, COMPONENT/checkpoints/ and weights/, which
tools/build_bank.py and tools/train_synthesis.py read.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from jt_dfd.training.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main("embedding", __doc__))
