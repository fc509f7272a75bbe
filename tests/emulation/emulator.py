"""CUDA kernels on the CPU: ``Emulator.run`` does with a kernel's CUDA text what ``jt_dfd.kernels.source.run`` does on a
GPU.

Every kernel and call becomes a small program: the kernel's own text, with what is not C++ rewritten, compiled by g++
against ``cuda_runtime.h`` beside this file and linked with ``scheduler.cpp`` (threads, barriers, memory) and
``runner.cpp`` (tensors in and out).  A program runs in a process of its own, so a kernel that crashes takes nothing
with it, and sanitizers need nothing of Python.

What is found without a sanitizer: results that depend on the order of threads or blocks (missing barriers, races),
reads and writes outside of a tensor or of shared memory, use of shared memory before anything was written to it,
barriers and shuffles that some threads do not reach, launches that CUDA refuses and nobody asks about.
AddressSanitizer and UndefinedBehaviorSanitizer add local arrays, overflows and misaligned loads; ThreadSanitizer finds
races whatever the order was.

What it cannot show: speed, the memory model of a GPU beyond barriers, and rounding of its own special functions.
"""
from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np

from jt_dfd.kernels import source

HERE = Path(__file__).parent
#: first to last, last to first, random threads, random warps that run ahead
ORDERS = (0, 1, 2, 3)
SANITIZERS = {"": [], "address": ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"],
              "thread": ["-fsanitize=thread"]}
_SETTINGS = {"ASAN_OPTIONS": "detect_leaks=0", "TSAN_OPTIONS": "exitcode=66:history_size=2"}
_C = {"float32": "float", "float16": "__half", "uint8": "uint8_t", "int32": "int32_t", "int64": "int64_t"}
#: seconds that a program may run
TIMEOUT = 300


class Fault(AssertionError):
    """The kernel did something that a GPU may punish; the message is what the emulation or a sanitizer saw."""


def missing() -> str:
    """Why nothing can be emulated here; "" where it can."""
    if platform.machine() != "x86_64":
        return f"the emulation switches stacks in x86-64's assembly, and this is {platform.machine()}"
    return "" if shutil.which("g++") else "no g++ on this machine"


class Emulator:
    """
    folder     for programs
    sanitizer  "", "address" (with undefined behaviour) or "thread"
    orders     of threads and blocks: 0 first to last, 1 last to first, others are seeds of random ones (even: threads,
               odd: warps that run ahead); all must give the same bytes
    refuse     the number, from 1, of the launch in a call that fails as on a GPU the kernels were not compiled for
    """

    def __init__(self, folder: Path, sanitizer: str = "", orders=ORDERS, refuse: int = 0):
        self.folder, self.sanitizer, self.orders, self.refuse = folder, sanitizer, orders, refuse

    def run(self, kernel, call: str, shapes, dtypes, inputs, data):
        """As ``source.run``, on arrays.  Fault where the kernel is wrong, RuntimeError where its host code threw."""
        inputs = [np.ascontiguousarray(i) for i in inputs]
        program = self._program(source.cuda_text(kernel), call, [(i.ndim, str(i.dtype)) for i in inputs],
                                [(len(s), d) for s, d in zip(shapes, dtypes)], list(data))
        outputs = [np.empty(s, d) for s, d in zip(shapes, dtypes)]
        words = [len(self.orders), *self.orders, self.refuse, len(inputs), len(outputs), len(data)]
        for array in inputs + outputs:
            words += [array.itemsize, array.ndim, *array.shape]
        content = [np.array(words, np.int64), np.array([float(v) for v in data.values()]), *inputs]
        done = subprocess.run([str(program)], input=b"".join(a.tobytes() for a in content), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=TIMEOUT, env={**os.environ, **_SETTINGS})
        said = done.stderr.decode("utf8", "replace").strip()
        if done.returncode == 2:
            raise RuntimeError(said)
        if done.returncode or said:
            raise Fault(said or f"the program ended with status {done.returncode}")
        at = 0
        for output in outputs:
            output.ravel().view(np.uint8)[:] = np.frombuffer(done.stdout, np.uint8, output.nbytes, at)
            at += output.nbytes
        return outputs

    def _program(self, text, call, inputs, outputs, names) -> Path:
        """The executable; compiled where it is not there yet."""
        body = [f"static const char* const names[] = {{{''.join(f'{chr(34)}{n}{chr(34)}, ' for n in names)}nullptr}};",
                "const emulation::Data data{names, arguments.numbers}; (void)data;"]
        for kind, tensors in (("in", inputs), ("out", outputs)):
            for i, (dimensions, dtype) in enumerate(tensors):
                body.append(f"{_C[dtype]}* {kind}{i}_p = ({_C[dtype]}*)arguments.{kind}[{i}]; (void){kind}{i}_p;")
                body += [f"int {kind}{i}_shape{d} = (int)arguments.{kind}_shape[{i}][{d}]; (void){kind}{i}_shape{d};"
                         for d in range(dimensions)]
        whole = "\n".join(['#include "runner.h"', '#line 1 "kernel"', translate(text), '#line 1 "call"',
                           "void emulation_call(const emulation::Call& arguments) {", *body, call, "}", ""])
        name = hashlib.sha256((self.sanitizer + whole).encode()).hexdigest()[:16]
        program = self.folder / name
        if not program.exists():
            (self.folder / f"{name}.cpp").write_text(whole)
            objects = [self._object("scheduler"), self._object("runner")]
            _compile(["-g", "-O1", "-D__CUDACC__", *SANITIZERS[self.sanitizer], f"{program}.cpp", *objects,
                      "-o", str(program)])
        return program

    def _object(self, name: str) -> str:
        made = self.folder / f"{name}.o"
        if not made.exists():
            _compile(["-O2", "-c", str(HERE / f"{name}.cpp"), "-o", str(made)])
        return str(made)


def _compile(arguments) -> None:
    done = subprocess.run(["g++", "-std=c++17", "-Wall", "-Wno-unknown-pragmas", f"-I{HERE}", *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = done.stdout.decode("utf8", "replace")
    if done.returncode:
        raise RuntimeError(said)


def translate(text: str) -> str:
    """CUDA C++ -> C++ for ``cuda_runtime.h`` beside this; line numbers stay."""
    text = re.sub(r"extern\s+__shared__\s+([\w:]+)\s+(\w+)\[\];",
                  r'\1* \2 = (\1*)emulation::shared("\2", 0);', text)
    number = iter(range(10 ** 6))

    def shared(found):
        kind, name, sizes = found.groups()
        own = f"{name}_{next(number)}"   # two kernels, or two blocks of one, may use the same name
        return (f"typedef {kind} {own}_type{sizes}; "
                f'{own}_type& {name} = *({own}_type*)emulation::shared("{own}", sizeof({own}_type));')

    text = re.sub(r"__shared__\s+([\w:]+)\s+(\w+)((?:\[[^\]]*\])*);", shared, text)
    out, at = "", 0
    for found in re.finditer(r"([\w:]+(?:<\w+>)?)<<<(.*?)>>>\(", text, re.S):
        depth, end = 1, found.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        kernel, how, arguments = found.group(1), found.group(2), text[found.end():end - 1]
        short = re.sub(r"<.*|.*::", "", kernel)
        out += (text[at:found.start()] + f'emulation::launch("{short}", emulation::Configuration({how}), '
                f"[=] {{ {kernel}({arguments}); }})")
        at = end
    return out + text[at:]
