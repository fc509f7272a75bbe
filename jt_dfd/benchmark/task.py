"""A stage ready to run, and what may stand in its way; shared by the worker and its sides."""
from __future__ import annotations

import math
from typing import Dict


class NotHere(Exception):
    """Something that this machine lacks for a stage; the message is the reason given in the table."""


def brief(error: BaseException) -> str:
    """One line of an error that may be pages long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else ""
    reasons = [line for line in lines if line.startswith(("Reason:", "[Reason]", "error:"))]
    if reasons and reasons[0] != said:
        said += " ... " + reasons[0]
    ours = isinstance(error, (ValueError, OSError, MemoryError)) and said
    return (said if ours else f"{type(error).__name__}: {said}")[:300]


class Task:
    """A stage ready to run.  ``run`` gets what ``input`` made and returns something for ``tell``."""

    def __init__(self, run, make=None, tell=None, facts=None):
        self.run, self._make, self._tell, self._facts = run, make, tell, facts or {}

    def input(self):
        return self._make() if self._make else None

    def tell(self, result):
        """JSON facts of one call, e.g. the work that was done ({"work": ...})."""
        return self._tell(result) if self._tell else {}

    def facts(self):
        """JSON facts of the stage: "flops" and "bytes" of one call where they are the same for all."""
        return self._facts


def told(losses: Dict[str, float]) -> Dict:
    """Losses as facts of a call; what is not finite is None, which JSON knows."""
    return {"losses": {k: float(f"{v:.4g}") if math.isfinite(v) else None for k, v in losses.items()}}
