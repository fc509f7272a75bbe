"""Is there a GPU that answers?  Asked of the driver itself, in a child process: a CUDA build of Jittor aborts the whole
process where there is none, and a driver initialised here would not survive the forks that Jittor makes to compile."""
from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from typing import Dict

_ASK = """
import ctypes, json
cu = ctypes.CDLL("libcuda.so.1")
def get(call, *args, kind=ctypes.c_int):
    value = kind()
    status = call(ctypes.byref(value), *args)
    if status: raise SystemExit(json.dumps({"status": status}))
    return value.value
status = cu.cuInit(0)
if status: raise SystemExit(json.dumps({"status": status}))
driver = get(cu.cuDriverGetVersion)
devices = []
for index in range(get(cu.cuDeviceGetCount)):
    device = get(cu.cuDeviceGet, index)
    name = ctypes.create_string_buffer(256)
    cu.cuDeviceGetName(name, 256, device)
    devices.append({"name": name.value.decode("utf8", "replace"),
        "capability": 10 * get(cu.cuDeviceGetAttribute, 75, device) + get(cu.cuDeviceGetAttribute, 76, device),
        "memory": get(cu.cuDeviceTotalMem_v2, device, kind=ctypes.c_size_t)})
print(json.dumps({"driver": [driver // 1000, driver % 1000 // 10], "devices": devices}))
"""
#: the driver's answers that people meet; others are given as numbers
_STATUS = {3: "the driver did not initialise", 34: "only the toolkit's stub of the driver is there", 100: "no GPU",
           101: "no such GPU", 802: "the GPUs' fabric is not ready", 803: "driver and its library do not match",
           804: "this GPU does not take the compatibility library", 999: "the driver failed (a restart often helps)"}


def ask() -> Dict:
    """{"devices": [{"name", "capability" (90 for 9.0), "memory" (bytes)}], "driver": [13, 0], "why": ""}; devices is
    empty where no GPU answers, and ``why`` says the reason.

    ``JT_DFD_ASSUME_GPU=90`` answers for a GPU of that capability without asking: to compile for one that is not there.
    """
    assumed = os.environ.get("JT_DFD_ASSUME_GPU", "")
    if assumed:
        return {"devices": [{"name": "assumed", "capability": int(n), "memory": 0} for n in assumed.split(",")],
                "driver": [99, 0], "why": ""}
    try:
        ctypes.CDLL("libcuda.so.1")   # loading is harmless; calling is left to the child
    except OSError:
        return {"devices": [], "driver": None, "why": "no GPU driver (libcuda.so.1) on this machine"}
    try:
        child = subprocess.run([sys.executable, "-S", "-c", _ASK], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               timeout=120)
        said = (child.stdout or child.stderr).decode("utf8", "replace").strip().splitlines()
        answer = json.loads(said[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {"devices": [], "driver": None, "why": "the GPU driver did not answer"}
    if "status" in answer:
        status = answer["status"]
        why = "no GPU answers: " + _STATUS.get(status, f"driver status {status}")
        return {"devices": [], "driver": None, "why": why}
    if not answer["devices"]:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        return dict(answer, why="no GPU" + (f" (CUDA_VISIBLE_DEVICES={hidden})" if hidden is not None else ""))
    return dict(answer, why="")
