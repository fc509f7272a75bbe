"""The journal of a set in the making: what is done is done, whatever ends the process.

One JSON object a line, appended and synchronised after a pair's files are in place.  A line that a killed process left
half written is cut off when the journal is opened again, and its pair is made again.
"""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Dict

from ..atomic import clear_leftovers, write_text
from ..errors import UserError


class JournalError(UserError, ValueError):
    """A journal or settings file that does not fit; the message says what to do."""


class Journal:
    """Entries by key; ``add`` appends.  settings: what decides how pairs look; a folder made with others is refused."""

    def __init__(self, folder, settings: Dict):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.path = self.folder / "journal.jsonl"
        self._check_settings(settings)
        # what a killed run had half written would stay where nothing is written any more
        for place in (self.folder, self.folder / "faces", self.folder / "sketches", self.folder / "drawn"):
            clear_leftovers(place)
        self.entries: Dict[str, Dict] = {}
        good = 0
        if self.path.exists():
            data = self.path.read_bytes()
            for line in data.splitlines(keepends=True):
                try:
                    entry = json.loads(line)
                    if not line.endswith(b"\n"):
                        raise ValueError
                    self.entries[entry["key"]] = entry
                except (ValueError, KeyError, TypeError):
                    if good + len(line) < len(data):
                        raise JournalError(f"{self.path}: damaged after byte {good}; move the folder away and start "
                                           "again") from None
                    break
                good += len(line)
        self._file = open(self.path, "ab")
        self._file.truncate(good)

    def _check_settings(self, settings: Dict) -> None:
        path = self.folder / "settings.json"
        settings = json.loads(json.dumps(settings))
        if path.exists():
            try:
                before = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise JournalError(f"{path}: not readable ({error}); choose another folder") from None
            changed = sorted(k for k in {**before, **settings} if before.get(k) != settings.get(k))
            if changed:
                raise JournalError(f"{self.folder} was begun with other settings ("
                                   + ", ".join(f"{k} {before.get(k)!r}, now {settings.get(k)!r}" for k in changed)
                                   + "); go on with those, or choose another folder")
        else:
            others = [p.name for p in self.folder.iterdir() if not p.name.startswith(".")]
            if others:
                raise JournalError(f"{self.folder}: not empty ({', '.join(sorted(others)[:3])}...) and not begun by "
                                   "this tool; choose another folder")
            write_text(path, json.dumps(settings, indent=2) + "\n")

    def add(self, key: str, **entry) -> None:
        """Record ``key`` as done."""
        entry = {"key": key, **entry}
        # before the line: Ctrl-C between the two must not lose a finished pair from the index
        self.entries[key] = entry
        self._file.write((json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8"))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
