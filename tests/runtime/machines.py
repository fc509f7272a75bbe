"""Small files that look like compilers, installed wheels and toolkits, and what drivers say of GPUs."""
from __future__ import annotations

import os
import stat
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


#: name -> compute capability (NVIDIA's table of GPUs)
GPUS = {"GTX 780": 35, "GTX 1080": 61, "V100": 70, "T4": 75, "A100": 80, "H100": 90, "B200": 100, "B300": 103,
        "RTX 5090": 120}


def driver(cuda, *names) -> dict:
    """What ``gpu.ask`` answers on a machine with these GPUs and a driver for CUDA up to ``cuda``."""
    return {"devices": [{"name": n, "capability": GPUS[n], "memory": 16 << 30} for n in names], "driver": list(cuda),
            "why": ""}


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def wheel(site: Path, name: str, version: str, files: dict) -> None:
    """An installed distribution in ``site``: files are {path relative to site: text}, listed in its RECORD."""
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    for path, text in files.items():
        target = Path(os.path.normpath(str(site / path)))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    (info / "RECORD").write_text("".join(f"{path},,\n" for path in files))


def hide_wheels(folder: Path, *names: str) -> Path:
    """A folder for PYTHONPATH with which these distributions look uninstalled to a child process."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(f"""
from importlib import metadata
real = metadata.distribution
def distribution(name):
    if name in {names!r}:
        raise metadata.PackageNotFoundError(name)
    return real(name)
metadata.distribution = distribution
""")
    return folder
