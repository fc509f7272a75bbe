"""What a file or folder of weights holds: names, shapes, types, totals, sha256, and the preset it fits."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Dict, List, Optional

from ..checkpoints import CheckpointError, formats, open_folder
from ..checkpoints.arrays import stored_type
from ..checkpoints.folder import bank_format, read_rows, sha256
from ..checkpoints.recognise import BANK, recognise, unwrap


def inspect_file(path, key=None) -> Dict[str, Any]:
    """{"path", "bytes", "sha256", "layout" (None where unknown, then "unknown" says why), "preset", "notes", "numbers",
    "arrays": [{"name", "shape", "dtype"}]}.  CheckpointError where the file cannot be read at all."""
    path = Path(path)
    if formats.is_rows(path):
        return _inspect_bin(path, *bank_format(path))
    value = formats.read_any(path)
    out: Dict[str, Any] = {**_file(path), "layout": None, "preset": None, "notes": []}
    try:
        layout, arrays, notes = recognise(value, path, key)
    except CheckpointError as error:
        held, notes = unwrap(value, path, key)
        return {**out, "unknown": str(error), **_arrays(held), "notes": notes + _unchecked(path)}
    out.update(layout=_bank(arrays[BANK]) if layout.kind == "bank" else str(layout), preset=layout.preset,
               notes=notes + _unchecked(path), **_arrays(arrays))
    if layout.sizes:
        out["sizes"] = {name: list(size) if isinstance(size, tuple) else size for name, size in layout.sizes.items()}
    return out


def _unchecked(path: Path) -> List[str]:
    return [] if formats.has_checksum(path) else ["has no checksum: a changed number in it would not be noticed"]


def inspect_folder(path) -> Dict[str, Any]:
    """{"path", "preset", "files": [as inspect_file, without the arrays one by one], "missing", "notes", "numbers",
    "bytes"}."""
    folder = open_folder(path, sizes_from_files=True)
    files: List[Dict[str, Any]] = []
    for member in folder.members():
        raw = formats.is_rows(member.path)
        entry = (_inspect_bin(member.path, folder.config.latent, folder.bank_dtype) if raw
                 else inspect_file(member.path))
        entry["dtypes"] = sorted({array["dtype"] for array in entry.pop("arrays")})
        promised = folder.checksum(member.path)
        entry["checksum"] = None if promised is None else promised == entry["sha256"]
        files.append(entry)
    eyes = [entry for entry in files if "eye" in Path(entry["path"]).name and entry["checksum"] is None]
    notes = ["no sha256 is promised for the eyes' files, and eye1's have the shapes of eye2's: swapped ones would not "
             "be noticed"] if eyes else []
    return {"path": str(path), "preset": folder.config.preset, "files": files, "missing": folder.missing(),
            "notes": notes,
            "numbers": sum(entry["numbers"] for entry in files), "bytes": sum(entry["bytes"] for entry in files)}


def _inspect_bin(path: Path, latent: Optional[int], stored: str) -> Dict[str, Any]:
    rows = read_rows(path, latent, stored, True)
    return {**_file(path), "layout": _bank(rows), "preset": None, "notes": _unchecked(path), **_arrays({BANK: rows})}


def _bank(rows) -> str:
    return f"feature bank, {len(rows)} rows of {rows.shape[1]}"


def _file(path: Path) -> Dict[str, Any]:
    return {"path": str(path), "bytes": os.path.getsize(path), "sha256": sha256(path)}


def _arrays(arrays) -> Dict[str, Any]:
    return {"numbers": int(sum(array.size for array in arrays.values())),
            "arrays": [{"name": name, "shape": list(array.shape), "dtype": stored_type(array)}
                       for name, array in arrays.items()]}


def text(report: Dict[str, Any]) -> str:
    """A report of either function for people to read."""
    if "files" in report:
        lines = [f"{report['path']}: preset {report['preset']}, {len(report['files'])} files, "
                 f"{report['numbers']:,} numbers, {_megabytes(report['bytes'])}"]
        for entry in report["files"]:
            state = {None: "", True: "  as in config.json", False: "  NOT as in config.json"}[entry["checksum"]]
            lines.append(f"  {os.path.relpath(entry['path'], report['path'])}\n"
                         f"    {entry['layout'] or 'unknown'}; {entry['numbers']:,} numbers of "
                         f"{', '.join(entry['dtypes']) or 'unknown type'}; {_megabytes(entry['bytes'])}\n"
                         f"    sha256 {entry['sha256']}{state}")
        return "\n".join(lines + [f"  missing: {place}" for place in report["missing"]]
                         + [f"  note: {note}" for note in report["notes"]])
    lines = [f"{report['path']}: {report['layout'] or 'unknown'}"]
    width = max([len(array["name"]) for array in report["arrays"]] or [0])
    lines += [f"  {array['name']:{width}}  {array['dtype']:8} {tuple(array['shape'])}" for array in report["arrays"]]
    lines += [f"  note: {note}" for note in report["notes"]]
    if "sizes" in report:
        lines.append("  sizes: " + ", ".join(f"{name} {size}" for name, size in report["sizes"].items()))
    fits = f"preset {report['preset']}" if report["preset"] else "no preset"
    lines.append(f"  {len(report['arrays'])} arrays, {report['numbers']:,} numbers, {_megabytes(report['bytes'])}; "
                 f"fits {fits}")
    lines.append(f"  sha256 {report['sha256']}")
    return "\n".join(lines + ([report["unknown"]] if "unknown" in report else []))


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
