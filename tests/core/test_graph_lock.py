"""Convolutions that share their input and weight, new to Jittor all at once: its compile threads used to corrupt the
graph (about one start of twenty died), so the runtime lets one at a time touch it."""
import subprocess
import sys
from types import SimpleNamespace

from jt_dfd.runtime import host, locks

MANY = """
import numpy as np
from jt_dfd.backend import jt, nn

rng = np.random.default_rng(0)
x, w = (jt.array(rng.normal(size=s).astype("float32")) for s in ((1, 2, 12, 12), (2, 2, 3, 3)))
jt.sync_all()
made = [(s, p, nn.conv2d(x, w, None, s, p)) for s in (1, 2, 3) for p in (0, 1, 2, 3)]
jt.sync([y for _, _, y in made])
a, b = x.numpy()[0], w.numpy()
for s, p, y in made:
    padded = np.pad(a, ((0, 0), (p, p), (p, p)))
    i, j = (1, 2)                                   # one place of each
    expected = (padded[:, i * s:i * s + 3, j * s:j * s + 3] * b).sum((1, 2, 3))
    assert np.abs(y.numpy()[0, :, i, j] - expected).max() < 1e-4, (s, p)
print("right")
"""


def test_many_convolutions_of_one_input_start_every_time(root):
    for _ in range(8):
        done = subprocess.run([sys.executable, "-c", MANY], capture_output=True, text=True, cwd=root)
        assert done.returncode == 0 and "right" in done.stdout, done.stderr[-2000:]


def test_the_lock_is_in_place_wherever_our_runtime_started_jittor():
    from jt_dfd.backend import jt

    found = jt.code([1], "int32", [], cpu_header="""
        #include "op_compiler.h"
        namespace jittor { extern jit_op_entry_t (*do_compile_hook)(Op*); }""", cpu_src="@out(0) = !!do_compile_hook;")
    assert found.numpy()[0] == 1
    # no threads where there is no /dev/shm for Jittor's pool of compilers
    assert locks.guard_graph(jt) and (jt.flags.use_parallel_op_compiler > 1) == host.has_semaphores()


def test_a_jittor_that_does_not_take_it_compiles_on_one_thread():
    import contextlib

    def refuse(*_, **__):
        raise RuntimeError("no such header")

    fake = SimpleNamespace(code=refuse, flag_scope=lambda **_: contextlib.nullcontext(),
                           flags=SimpleNamespace(use_parallel_op_compiler=16))
    assert not locks.guard_graph(fake) and fake.flags.use_parallel_op_compiler == 1
