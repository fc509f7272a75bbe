"""Jittor's two locks: of processes, whose waiting is told while it lasts, and of a process's compile threads, which is
ours.

One process at a time compiles in a cache of Jittor's; another waits for the lock without a word and, in the compiled
part, with the interpreter lock held: no thread and no signal of Python's can tell anything then.  The kernel knows: in
/proc/locks a process that waits stands with an arrow.  So other processes can ask (``waits``), and a thread without
Python, a few lines of C++ compiled once, tells the terminal of this one (``tell_waiting``).

Before a step runs, Jittor 1.3.11 compiles the operators it does not know yet on several threads.  For every convolution
such a thread builds an oneDNN (or cuDNN) operator on the very variables of the graph, linking it to them and unlinking
it again, and counts nodes and marks, all without a lock.  Two convolutions that share an input or a weight then now and
then lose a link, a count or a pointer: seen as "member.size() <= var_num", as malloc's complaints and as segmentation
faults, in about one start of twenty where many convolutions share an input.

Jittor has a hook in the place of its compile step.  Ours does what the step does, but only one thread at a time works
on the graph; the compilers that they start, which take the time, still run side by side.
"""
from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from ..atomic import write_atomically
from . import host
from .display import STEPS

_NAME = "/jittor.lock"
#: argument: what to say.  Said once for each time that it waits for two seconds.
_WATCH = r"""
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
static bool is_jittors(unsigned long inode) {
    char link[64], path[4096];
    for (int fd = 0; fd < 1024; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, path, sizeof path - 1);
        struct stat s;
        if (n > 12 && !strncmp(path + n - 12, "/jittor.lock", 12) && !fstat(fd, &s) && s.st_ino == inode) return true;
    }
    return false;
}
static void* watch(void* said) {
    char line[512];
    for (int seconds = 0;;) {
        sleep(1);
        bool waits = false;
        FILE* locks = fopen("/proc/locks", "re");
        if (!locks) return 0;
        while (fgets(line, sizeof line, locks)) {
            const char* arrow = strstr(line, "-> ");
            int pid;
            unsigned long inode;
            if (arrow && sscanf(arrow, "-> %*s %*s %*s %d %*x:%*x:%lu", &pid, &inode) == 2 && pid == getpid())
                waits = is_jittors(inode);
        }
        fclose(locks);
        seconds = waits ? seconds + 1 : 0;
        if (seconds == 2) fprintf(stderr, "%s\n", (const char*)said);
    }
}
extern "C" void jt_dfd_watch(const char* said) {
    pthread_t thread;
    if (!pthread_create(&thread, 0, watch, strdup(said))) pthread_detach(thread);
}
"""


def waits(pid: int) -> bool:
    """Does that process wait for Jittor's lock?"""
    try:
        with open("/proc/locks") as f:
            rows = [line.split() for line in f]
        inodes = {int(row[6].split(":")[2]) for row in rows if row[1] == "->" and row[5] == str(pid)}
        return bool(inodes) and any(os.readlink(fd).endswith(_NAME) and os.stat(fd).st_ino in inodes
                                    for fd in Path(f"/proc/{pid}/fd").iterdir())
    except (OSError, ValueError, IndexError):
        return False


def tell_waiting() -> bool:
    """Tell on stderr from now on when this process waits; whether that can be done here."""
    library = host.cache_folder() / f"lock-watch-{hashlib.sha256(_WATCH.encode()).hexdigest()[:12]}.so"
    if not library.exists():
        command = [os.environ.get("cc_path") or "g++", "-O1", "-shared", "-fPIC", "-pthread", "-x", "c++", "-", "-o"]
        try:
            write_atomically(library, lambda temporary: subprocess.run(
                [*command, str(temporary)], input=_WATCH.encode(), check=True, timeout=120,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        except (OSError, subprocess.SubprocessError):
            return False
    try:
        said = f"{os.path.basename(sys.argv[0] or 'python')}: {STEPS['lock']}"
        ctypes.CDLL(str(library)).jt_dfd_watch(said.encode())
        return True
    except (OSError, AttributeError):
        return False


HEADER = r"""
#include <mutex>
#include "op.h"
#include "fused_op.h"
#include "op_compiler.h"
#include "opt/tuner_manager.h"
#include "ops/op_register.h"
namespace jittor {
extern jit_op_entry_t (*do_compile_hook)(Op*);
static std::mutex jt_dfd_graph;
static jit_op_entry_t jt_dfd_compile(Op* op) {
    std::unique_lock<std::mutex> alone(jt_dfd_graph);
    OpCompiler compiler(op);
    string* source = &compiler.src;
    for (auto kind : op_types) kind->post_pass(&compiler);
    string tuned;
    if (compiler.op) {
        TunerManager tuner(&compiler);
        tuned = tuner.tune();
        source = &tuned;
    }
    op->compile_optimize(*source);
    string key = op->get_jit_key(get_jk());
    alone.unlock();
    return compiler.compile(key, *source);
}
}
"""
# a hook that somebody else has set (Jittor's back ends for other accelerators do) stays
INSTALL = """
    if (!do_compile_hook) do_compile_hook = &jt_dfd_compile;
    @out(0) = do_compile_hook == &jt_dfd_compile;
"""


def guard_graph(jittor) -> bool:
    """Put the lock in place for this process; True where it is.  Where this Jittor's sources do not take it, its
    compile step uses one thread instead: slower the first time, and as safe."""
    try:
        with jittor.flag_scope(use_cuda=0):
            placed = bool(jittor.code([1], "int32", [], cpu_header=HEADER, cpu_src=INSTALL).numpy()[0])
    except RuntimeError:
        placed = False
    if not placed:
        jittor.flags.use_parallel_op_compiler = 1
    return placed
