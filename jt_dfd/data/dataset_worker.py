"""What a dataset's worker process runs; apart from dataset.py, so that it never imports Jittor."""
from __future__ import annotations

from .items import ItemLoader, Spec


def make(spec: Spec):
    return ItemLoader(spec).load
