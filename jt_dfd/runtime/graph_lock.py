"""One lock for Jittor's compile threads.

Before a step runs, Jittor 1.3.11 compiles the operators it does not know yet on several threads.  For every convolution
such a thread builds an oneDNN (or cuDNN) operator on the very variables of the graph, linking it to them and unlinking
it again, and counts nodes and marks, all without a lock.  Two convolutions that share an input or a weight then now and
then lose a link, a count or a pointer: seen as "member.size() <= var_num", as malloc's complaints and as segmentation
faults, in about one start of twenty where many convolutions share an input.

Jittor has a hook in the place of its compile step.  Ours does what the step does, but only one thread at a time works
on the graph; the compilers that they start, which take the time, still run side by side.
"""
from __future__ import annotations

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


def install(jittor) -> bool:
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
