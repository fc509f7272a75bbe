#!/usr/bin/env python3
"""Stage II: train feature mapping and image synthesis behind stage I's frozen encoders.

    python tools/train_synthesis.py --data SET --embedding runs/embedding --out runs/synthesis
    python tools/train_synthesis.py --data SET --init-from Params/demo --out runs/finer
    mpirun -np 4 python tools/train_synthesis.py --data SET --embedding runs/embedding --out runs/synthesis --batch 16

The run folder gets options.json, log.jsonl, losses.png, samples/ (sketch, what the image decoders make of it, face,
truth), checkpoints/ and weights/; tools/export_weights.py makes a folder for inference of it.
"""
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from jt_dfd.training.cli import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main("synthesis", __doc__))
