"""What goes between numpy and Jittor, in both directions: Jittor reads numpy's arrays by their layout in memory, which
differs between numpy 1 and 2, and a mistake there gives wrong numbers rather than an error."""
import subprocess
import sys
import warnings

import numpy as np
import pytest

from jt_dfd.backend import jt, nn

DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32",
          "float64"]
LAYOUTS = {
    "plain": lambda a: a,
    "strided": lambda a: a[1:-1, ::2],
    "reversed": lambda a: a[::-1, ::-1],
    "transposed": lambda a: a.T,
    "column-major": np.asfortranarray,
    "repeated": lambda a: np.broadcast_to(a[:1], a.shape),
    "shifted": lambda a: a[2:],
    "one element": lambda a: a[3:4, 4:5],
    "empty": lambda a: a[:0],
    "0-d": lambda a: np.array(a[3, 4]),
    "read-only": lambda a: _read_only(a.copy()),
    "unaligned": lambda a: _unaligned(a),
}


def _read_only(a):
    a.setflags(write=False)
    return a


def _unaligned(a):
    buffer = np.zeros(a.nbytes + 1, np.uint8)
    view = buffer[1:].view(a.dtype) if a.dtype.itemsize == 1 else np.frombuffer(buffer.data, a.dtype, a.size, 1)
    view = view.reshape(a.shape)
    view[...] = a
    return view


def values(dtype, shape=(7, 9), seed=0):
    """Random values over the whole range of a dtype (as far as 64 bits go into Jittor's arithmetic unchanged)."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype.startswith("float"):
        return rng.standard_normal(shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


@pytest.fixture
def all_widths():
    """64-bit numbers stay as they are."""
    with jt.flag_scope(auto_convert_64_to_32=0):
        yield


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_comes_back_as_it_went(all_widths, dtype, layout):
    given = LAYOUTS[layout](values(dtype))
    expected = np.array(given, order="C").reshape(given.shape or (1,))   # Jittor has no 0-d
    var = jt.array(given)
    for back in (var.numpy(), var.data, jt.fetch_sync([var])[0]):
        assert back.dtype == expected.dtype and back.shape == expected.shape
        assert np.array_equal(back, expected)
    assert np.array_equal(given, np.array(given, order="C")), "and it is not written to"


@pytest.mark.parametrize("dtype", ["int64", "uint64", "float64"])
def test_64_bits_keep_their_value_where_jittor_may_shorten_them(dtype):
    given = values(dtype) if dtype == "float64" else values("int32").astype("int64").clip(0).astype(dtype)
    back = jt.array(given[::-1, ::2]).numpy()
    assert np.allclose(back.astype("float64"), given[::-1, ::2].astype("float64"), rtol=1e-6)


@pytest.mark.parametrize("value", [3, 2.5, [1, 2, 3], [[1.5, 2], [3, 4]], (1, 2), np.float64(2.5), np.float32(1.5),
                                   np.int64(7), np.uint8(200)], ids=repr)
def test_numbers_and_lists(value):
    assert np.allclose(jt.array(value).numpy().reshape(-1), np.asarray(value, "float64").reshape(-1))


@pytest.mark.parametrize("given", [np.array(["a", "b"]), np.array([1j, 2j]), np.array([None, 1])],
                         ids=["text", "complex", "objects"])
def test_what_jittor_has_no_type_for_is_refused(given):
    with pytest.raises(Exception, match="(?i)not support"):
        jt.array(given)


TABLE = np.arange(24, dtype="float32").reshape(4, 6)


@pytest.mark.parametrize("kind", [int, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32,
                                  np.uint64, np.intp])
def test_an_index_may_be_any_integer(kind):
    var = jt.array(TABLE)
    assert np.array_equal(var[kind(2)].numpy(), TABLE[2])
    assert var[kind(2), kind(3)].item() == TABLE[2, 3]
    assert np.array_equal(var[kind(1):kind(3)].numpy(), TABLE[1:3])
    if kind not in (np.uint8, np.uint16, np.uint32, np.uint64):
        assert np.array_equal(var[kind(-1)].numpy(), TABLE[-1])


def test_an_index_may_be_an_array():
    var = jt.array(TABLE)
    assert np.array_equal(var[np.array([0, 2])].numpy(), TABLE[[0, 2]])
    assert np.array_equal(var[jt.array(TABLE[:, 0] > 6)].numpy(), TABLE[TABLE[:, 0] > 6])


def test_parts_can_be_written_from_an_array():
    var = jt.array(TABLE)
    var[0:2, 1:3] = -np.ones((4, 4), "float32")[::2, ::2]
    expected = TABLE.copy()
    expected[0:2, 1:3] = -1
    assert np.array_equal(var.numpy(), expected)


def test_numpy_asks_a_var():
    var = jt.array(TABLE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(np.asarray(var), TABLE) and np.array_equal(np.array(var), TABLE)
        assert np.asarray(var, dtype=np.float64).dtype == np.float64
        assert np.array_equal(np.stack([var, var]), np.stack([TABLE, TABLE]))
        assert np.array_equal((var * np.float32(2)).numpy(), 2 * TABLE)
        assert np.array_equal((var + np.ones((4, 6), "float32")).numpy(), TABLE + 1)
    copy = np.asarray(var)
    copy[0, 0] = 9
    assert var.numpy()[0, 0] == 0, "what numpy gets is its own"


def test_data_is_the_memory_itself():
    var = jt.array(TABLE)
    var.sync()
    var.data[0, 0] = 9
    assert var.numpy()[0, 0] == 9


def test_fetch():
    got = []
    jt.fetch(jt.array(TABLE), lambda value: got.append(value))
    jt.sync_all(True)
    assert np.array_equal(got[0], TABLE)


def test_a_large_array():
    given = values("float32", (512, 1024, 4))
    assert np.array_equal(jt.array(given[:, ::2]).numpy(), given[:, ::2])


def test_saved_and_loaded(tmp_path):
    model = nn.Sequential(nn.Conv(3, 4, 3), nn.BatchNorm(4))
    before = {name: var.numpy() for name, var in model.state_dict().items()}
    model.save(str(tmp_path / "model.pkl"))
    other = nn.Sequential(nn.Conv(3, 4, 3), nn.BatchNorm(4))
    other.load(str(tmp_path / "model.pkl"))
    assert all(np.array_equal(before[name], var.numpy()) for name, var in other.state_dict().items())
    jt.save({"var": jt.array(TABLE), "list": [1, 2.5, "s"], "array": TABLE}, str(tmp_path / "mixed.pkl"))
    back = jt.load(str(tmp_path / "mixed.pkl"))
    assert np.array_equal(np.asarray(back["var"]), TABLE) and back["list"] == [1, 2.5, "s"]
    assert np.array_equal(back["array"], TABLE)


def test_the_seed_is_the_same_for_both():
    def draw():
        jt.set_global_seed(3)
        return jt.rand(5).numpy(), jt.randn(4).numpy(), np.random.rand(3)
    assert all(np.array_equal(a, b) for a, b in zip(draw(), draw()))


WORKERS = """
import sys
import numpy as np
from jt_dfd.backend import jt
jt.array([1])            # starts Jittor
class Pairs(jt.dataset.Dataset):
    def __init__(self, **options):
        super().__init__(**options)
        self.set_attrs(total_len=24)
    def __getitem__(self, i):
        return np.full((3, 4), i, np.float32)[::-1], np.int64(i), f"s{i}", {"half": np.full((2, 3), i, np.float16).T}
seen = []
for picture, number, name, more in Pairs(batch_size=4, num_workers=int(sys.argv[1])):
    numbers = number.numpy()
    seen += numbers.tolist()
    assert np.array_equal(picture.numpy()[:, 0, 0], numbers) and list(name) == [f"s{i}" for i in numbers]
    assert np.array_equal(more["half"].numpy()[:, 2, 1], numbers) and more["half"].shape == [4, 3, 2]
assert sorted(seen) == list(range(24)), seen
print("right")
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_a_datasets_workers_hand_over_what_they_made(root, workers):
    done = subprocess.run([sys.executable, "-c", WORKERS, str(workers)], capture_output=True, text=True, cwd=root,
                          timeout=1800)
    assert done.returncode == 0 and "right" in done.stdout, done.stderr[-2000:]


CUSTOM = """
from jt_dfd.backend import jt
op = jt.compile_custom_op('''
#include "op.h"
namespace jittor { struct JtDfdDoubleOp : Op { Var* output;
JtDfdDoubleOp(NanoVector shape, NanoString dtype=ns_float32);
const char* name() const override { return "jt_dfd_double"; } DECLARE_jit_run; }; }''', '''
#include "var.h"
#include "jt_dfd_double_op.h"
namespace jittor {
#ifndef JIT
JtDfdDoubleOp::JtDfdDoubleOp(NanoVector shape, NanoString dtype) {
    flags.set(NodeFlags::_cpu); output = create_output(shape, dtype); }
void JtDfdDoubleOp::jit_prepare(JK& jk) { jk << "«T:" << output->dtype(); }
#else
void JtDfdDoubleOp::jit_run() { auto* p = output->ptr<T>(); for (int i=0; i<output->num; i++) p[i] = (T)i * 2; }
#endif
}''', "jt_dfd_double", warp=False)
assert op([4], "float32").numpy().tolist() == [0, 2, 4, 6]
print("right")
"""


def test_an_operator_of_ones_own_is_compiled_and_imported(root):
    """Python 3.13: what exec() imports in a function is not in locals() any more."""
    done = subprocess.run([sys.executable, "-c", CUSTOM], capture_output=True, text=True, cwd=root, timeout=1800)
    assert done.returncode == 0 and "right" in done.stdout, done.stderr[-2000:]


@pytest.mark.parametrize("optimizer, options", [("SGD", dict(lr=.1, momentum=.5)), ("Adam", dict(lr=.1))])
def test_a_straight_line_is_learned(optimizer, options):
    jt.set_global_seed(1)
    line = nn.Linear(1, 1)
    steps = getattr(jt.optim, optimizer)(line.parameters(), **options)
    x = np.linspace(-1, 1, 32, dtype="float32")[:, None]
    for _ in range(150):
        steps.step(((line(jt.array(x)) - jt.array(2 * x + .5)) ** 2).mean())
    assert np.allclose([line.weight.item(), line.bias.item()], [2, .5], atol=0.02)


def test_numpy_does_not_warn_of_what_jittor_sets():
    """Objects built with -Ofast round subnormal numbers to zero in the whole process."""
    code = ("import warnings, numpy as np; from jt_dfd import runtime; runtime.start('cpu'); "
            "warnings.simplefilter('error'); [np.finfo(k).eps for k in (np.float16, np.float32, np.float64)]")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
