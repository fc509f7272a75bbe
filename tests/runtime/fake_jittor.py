"""A package that compiles like Jittor: progress with carriage returns, minutes shortened, its exit with status 0.

``make(folder, ...)`` writes it; a process that has the folder on PYTHONPATH, and JT_DFD_JITTOR=installed, imports it as
``jittor``.
"""
from __future__ import annotations

from pathlib import Path

CORE = '''
import os, sys, time
import jittor_utils
place = os.environ["FAKE_CACHE"]
os.makedirs(place, exist_ok=True)
core = os.path.join(jittor_utils.cache_path, "jittor_core.so")
os.makedirs(jittor_utils.cache_path, exist_ok=True)

def count(name):
    with open(os.path.join(place, name), "a") as f:
        f.write(f"{os.getpid()}\\n")

count("imports")
BEHAVIOUR = %(behaviour)r
if not os.path.exists(core):
    count("compiles")
    if BEHAVIOUR == "crash":
        print("In file included from x.cc", file=sys.stderr)
        print("x.cc:1:10: fatal error: nothing.h: No such file", file=sys.stderr)
        os._exit(3)
    if BEHAVIOUR == "abort":
        os.abort()
    if BEHAVIOUR == "forever":
        import subprocess
        compiler = subprocess.Popen(["sleep", "600"], close_fds=False)
        with open(os.path.join(place, "compiler"), "w") as f:
            f.write(str(compiler.pid))
        count("hanging")
        time.sleep(600)
    if BEHAVIOUR in ("damaged", "foreign"):
        from jittor_utils import cache_path as objects
        if os.path.exists(os.path.join(objects, "half.o")):
            print({"damaged": "RuntimeError: Check failed: src.size()  Source read failed: half.o",
                   "foreign": "ImportError: dynamic module does not define module export function (PyInit_jittor_core)"
                   }[BEHAVIOUR], file=sys.stderr)
            os._exit(1)
        os.makedirs(objects, exist_ok=True)
    while BEHAVIOUR == "gate" and not os.path.exists(os.path.join(place, "go")):
        time.sleep(0.05)
    for i in range(1, 6):
        time.sleep(%(pause)r)
        print(f"Compiling jittor_core({i}/5) used: 1.0s eta: 2.0s", end="\\r", flush=True)
    if BEHAVIOUR == "rebuild forever":
        print("jit_utils updated, please rerun your command.", file=sys.stderr)
        sys.exit(0)
    with open(core, "wb") as f:
        f.write(b"\\x7fELF" + bytes(60))   # whole, for all its header says
    if BEHAVIOUR == "rebuild once":
        print("jit_utils updated, please rerun your command.", file=sys.stderr)
        sys.exit(0)

if BEHAVIOUR == "unloadable":
    raise ImportError("jittor_core.so: undefined symbol: x")
__version__ = "1.3.11.0"
has_cuda = 0
class flags: cache_path = place; use_cuda = 0
class compile_extern: mkl_ops = None; mpi = None
class Array(list):
    def __mul__(self, n): return Array(x * n for x in self)
    def numpy(self): return self
    def tolist(self): return list(self)
array = Array
def code(*_, **__): return Array([1])
class flag_scope:
    def __init__(self, **_): pass
    def __enter__(self): pass
    def __exit__(self, *_): pass
'''


def make(folder: Path, behaviour: str = "", pause: float = 0.02) -> Path:
    (folder / "jittor").mkdir(parents=True, exist_ok=True)
    (folder / "jittor/__init__.py").write_text(CORE % {"behaviour": behaviour, "pause": pause})
    for name in ("jittor_core", "jit_utils_core"):
        (folder / f"{name}.py").write_text(
            "import jittor_utils, os\n__file__ = os.path.join(jittor_utils.cache_path, 'jittor_core.so')\n")
    (folder / "jittor_utils.py").write_text(
        "import os\n"
        "cache_path = os.path.join(os.environ.get('JITTOR_HOME') or os.environ['HOME'], '.cache/jittor/fake')\n")
    return folder
