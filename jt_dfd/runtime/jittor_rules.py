r"""What is changed in Jittor so that it runs on Python 3.8 to 3.14, with numpy 1 and 2, and with g++ 7 to 16.

One set of rules for every combination.  A rule replaces an exact text in one file and says why; ``fixed`` tells whether
that Jittor has solved the matter itself (upstream works on numpy 2 in pull request Jittor/jittor#18022), in which case
there is nothing to do.  A text that is not found as often as expected stops everything: then this is not the Jittor
that the rules were written for, and guessing would give wrong numbers rather than an error.
"""
from __future__ import annotations

import re
from typing import Callable, Dict, List, NamedTuple, Pattern, Union

from ..errors import UserError


class Rule(NamedTuple):
    """One change.  ``fixed(text)``: True where the file, as Jittor ships it, does not need the change."""

    name: str
    file: str
    reason: str
    search: Union[str, Pattern]
    replacement: str
    fixed: Callable[[str], bool]
    times: int = 1


class RuleError(UserError):
    """A rule does not fit; the message names it and says what was found."""


def has(piece: str) -> Callable[[str], bool]:
    return lambda text: piece in text


def lacks(piece: str) -> Callable[[str], bool]:
    return lambda text: piece not in text


_UTILS, _NUMPY_H, _NUMPY_CC = "jittor_utils/__init__.py", "jittor/src/pyjt/numpy.h", "jittor/src/pyjt/numpy.cc"
_THREADS, _COMPILER = "jittor/src/parallel_compiler.cc", "jittor/compiler.py"
_CACHE = "jittor/src/utils/cache_compile.cc"

# (name, flags, text before) -> what a g++ command for the CPU needs more; "" where that cannot be had
_HEADERS = '''def headers_once(name, flags, before=""):
    if cc_type != "g++" or has_cuda or not jit_utils.cc or platform.system() != "Linux":
        return ""
    text = os.path.join(cache_path, "headers_" + name + ".h")
    wanted = before + "".join(f"#include <{h}>\\n" for h in (
        "algorithm atomic chrono cmath condition_variable cstring fstream functional iomanip iostream list map memory "
        "mutex queue set sstream thread unordered_map unordered_set vector").split()) + "".join(
        f'#include "{h}"\\n' for h in ("common.h", "var.h", "op.h", "ops/op_register.h"))
    for other in ("core", "fast") if name == "operators" else ():   # 80 MB each, and all is compiled with them
        if os.path.isfile(os.path.join(cache_path, f"headers_{other}.h.gch")):
            os.remove(os.path.join(cache_path, f"headers_{other}.h.gch"))
    try:
        if name != "operators" and os.path.isfile(os.path.join(cache_path, "jittor_core" + extension_suffix)):
            return f\' -include "{text}" \' if os.path.isfile(text) else ""
        if not os.path.isfile(text) or open(text).read() != wanted:
            with open(text, "w") as f:
                f.write(wanted)
        flags = remove_flags(flags, ["-l", "-L", "-Wl,", "-shared"])
        if jit_utils.cc.cache_compile(f\'"{cc_path}" -x c++-header "{text}" {flags} -o "{text}.gch"\',
                                      cache_path, jittor_path):   # and can it be read where it was written?
            run_cmd(f\'"{cc_path}" {flags} -include "{text}" -x c++ -c /dev/null -o "{text}.o"\')
            os.remove(text + ".o")
        return f\' -include "{text}" \'
    except Exception:
        if os.path.isfile(text + ".gch"):
            os.remove(text + ".gch")
        return ""

'''

RULES: List[Rule] = [
    # --- g++ 15 and newer
    Rule("fixed-width integers", "jittor/src/types.h",
         "the containers' headers of g++ 15 no longer bring uint8_t and the like: the core does not compile",
         "#include <vector>\n#include <list>\n", "#include <cstdint>\n#include <vector>\n#include <list>\n",
         has("#include <cstdint>")),
    Rule("iterator of StackVector", "jittor/src/misc/stack_vector.h",
         "g++ 15 looks into templates that nobody uses, and StackVector has no at()",
         "return self->at(index);", "return self->a[index];", lacks("self->at(")),
    # --- numpy 2, compiled code
    Rule("size of an element", _NUMPY_H,
         "numpy 2 moved the element size in its descriptor; read from the old place it is 0 and nothing is copied. It "
         "follows from the type's number, whose place is the same in both",
         "    size *= arr->descr->elsize;\n", "    size *= get_type_str(arr).dsize();\n", lacks("descr->elsize")),
    Rule("fields of a descriptor", _NUMPY_H,
         "the fields after the type's number lie elsewhere in numpy 2; without names nobody can read them by mistake",
         "    int type_num;\n    int elsize;\n    int alignment;\n    char* subarray;\n    PyObject *fields;\n"
         "    PyObject *names;\n};",
         "    int type_num;\n    // what follows differs between numpy 1 and 2\n};", lacks("int elsize;")),
    Rule("name of numpy's core", _NUMPY_CC,
         "numpy.core is called numpy._core since numpy 2; the old name warns and will go",
         '    PyObjHolder np(PyImport_ImportModule("numpy.core.multiarray"), "numpy is not installed");\n',
         '    PyObject* multiarray = PyImport_ImportModule("numpy._core.multiarray");\n'
         '    if (!multiarray) { PyErr_Clear(); multiarray = PyImport_ImportModule("numpy.core.multiarray"); }\n'
         '    PyObjHolder np(multiarray, "numpy is not installed");\n', has("numpy._core")),
    Rule("place of PyArray_CopyInto", _NUMPY_CC,
         "numpy 2 moved it in its function table from 82 (empty now) to 50 (another function in numpy 1); 0x12 is the "
         "C API of numpy 2.0. Without it every array that is not C-contiguous crashes",
         "    fill(PyArray_CopyInto, 82);\n",
         "    fill(PyArray_CopyInto, (PyArray_GetNDArrayCFeatureVersion() >= 0x12 ? 50 : 82));\n",
         lacks("fill(PyArray_CopyInto, 82)")),
    Rule("index by a numpy integer", "jittor/src/pyjt/py_converter.h",
         "numpy 2's PyArray_CastScalarToCtype reads a whole descriptor, and is given one with a single field set: "
         "x[np.int64(3)] crashes. Python's own conversion needs none",
         "        PyArrayDescr_Proxy array_descr;\n"
         "        array_descr.type_num = 5; // 5: int32\n"
         "        int value;\n"
         "        PyArray_CastScalarToCtype(obj, &value, &array_descr);\n"
         "        var_slice->set_int(value);\n",
         "        PyObjHolder as_int(PyNumber_Long(obj));\n"
         "        var_slice->set_int(PyLong_AsLong(as_int.obj));\n", lacks("PyArray_CastScalarToCtype(obj, &value")),
    # --- numpy 2, Python
    Rule("pictures to arrays", "jittor/transform/__init__.py",
         "np.array(..., copy=False) means 'never copy' in numpy 2 and raises where a copy is needed",
         re.compile(r"np\.array\(pic, (np\.\w+), copy=False\)"), r"np.asarray(pic, \1)", lacks("copy=False"), 10),
    Rule("a Var as an array", "jittor/__init__.py",
         "numpy 2 calls __array__(dtype=, copy=), and Var.numpy takes neither",
         "Var.__array__ = Var.numpy\n",
         "def _as_array(self, dtype=None, copy=None):\n"
         "    if copy is False:\n"
         "        raise ValueError('an array of a Var is always a copy')\n"
         "    values = self.numpy()\n"
         "    return values if dtype is None else values.astype(dtype, copy=False)\n"
         "Var.__array__ = _as_array\n", lacks("Var.__array__ = Var.numpy")),
    # --- Python 3.13: exec() in a function no longer writes to what a later locals() returns (PEP 667)
    Rule("import of an operator", _COMPILER, "PEP 667: the name is not in locals() after exec",
         '            exec(f"import {gen_name}")\n    mod = locals()[gen_name]\n',
         '            mod = __import__(gen_name)\n', lacks("mod = locals()[gen_name]")),
    Rule("import of a module", _UTILS, "PEP 667: the name is not in locals() after exec",
         '                exec(f"import {hash}")\n        except Exception as e:\n'
         '            with import_scope(os.RTLD_GLOBAL | os.RTLD_LAZY):\n'
         '                exec(f"import {hash}")\n\n    mod = locals()[hash]\n    return mod\n',
         '                mod = __import__(hash)\n        except Exception as e:\n'
         '            with import_scope(os.RTLD_GLOBAL | os.RTLD_LAZY):\n'
         '                mod = __import__(hash)\n\n    return mod\n', lacks("mod = locals()[hash]")),
    # --- Python 3.14: processes start by 'forkserver'
    Rule("compiling processes", _UTILS, "they are handed the loaded compiler state, which only fork does",
         "        p = Pool(pool_size, initializer=pool_initializer)\n",
         "        p = mp.get_context('fork').Pool(pool_size, initializer=pool_initializer)\n",
         lacks("        p = Pool(pool_size")),
    Rule("dataset workers", "jittor/dataset/dataset.py", "neither a dataset nor its ring buffer can be pickled",
         "import multiprocessing as mp\n", "import multiprocessing as mp\nmp = mp.get_context('fork')\n",
         has("get_context('fork')")),
    # --- this copy, which is on the path of the process that asked for it and of no other
    Rule("the question for the GPU", _COMPILER, "run as a module it would not be found, or be another Jittor's",
         'f"log_v=0 {sys.executable} -m jittor_utils.query_cuda_cc"',
         "f\"log_v=0 {sys.executable} '{os.path.dirname(jit_utils.__file__)}/query_cuda_cc.py'\"",
         lacks("-m jittor_utils.query_cuda_cc")),
    # --- half of the first compile's time
    Rule("operators without a detour", "jittor/src/jit_compiler.cc",
         "a Python process an operator, with debug lines, for a search of the assembly that nobody asks for; and that "
         "process would import another Jittor's tools than this copy's, or none",
         '        cmd = python_path+" "+jittor_path+"/utils/asm_tuner.py "\n            "--cc_path=" + cmd;\n', "",
         lacks("asm_tuner.py")),
    Rule("headers once: how", _COMPILER, "every source reads the same 500 ms of headers; g++ keeps what it has read "
         "of them. With other flags than they were read with it may crash, so each set of flags has its own",
         "def compile(compiler,", _HEADERS + "def compile(compiler,", has("def headers_once")),
    Rule("headers once: core", _COMPILER, "see the rule before", "    cmds = []\n    for input, obj_file in zip(",
         "    fast = oflags\n    if 'jittor_core' in base_output:\n        fast = oflags.replace(' -Og', ' -O2')\n"
         "        fast += headers_once('fast', fast)\n        oflags += headers_once('core', oflags)\n"
         "    cmds = []\n    for input, obj_file in zip(", has("def headers_once")),
    Rule("headers once: operators", _COMPILER, "see the rule before", "flags.cc_flags = cc_flags + kernel_opt_flags\n",
         "flags.cc_flags = cc_flags + kernel_opt_flags\n"
         "flags.cc_flags += headers_once('operators', flags.cc_flags, '#define JIT 1\\n#define JIT_cpu 1\\n')\n",
         has("def headers_once")),
    Rule("optimisation of the core", _COMPILER, "most of it only prepares compiles: -O2 takes a third longer there",
         'opt_flags += " -O2 "\n', 'opt_flags += " -Og "\n', lacks('opt_flags += " -O2 "')),
    Rule("optimisation of what runs", _COMPILER, "what each operator passes through when it is called: 1.5 us, not 4",
         "        nflags = oflags\n",
         "        nflags = fast if re.search(r'/src/((ops|mem|misc|type)/.*|(?!\\w*compiler)\\w+\\.cc)$', input) "
         "else oflags\n", has("nflags = fast")),
    Rule("the tools, compiled twice", _COMPILER, "the first ones only run the second compile",
         "    recompile = compile(cc_path, cc_flags+f\" {opt_flags} \", files,",
         "    recompile = compile(cc_path, cc_flags+f\" {opt_flags if jit_utils.cc else '-O0'} \", files,",
         has("if jit_utils.cc else '-O0'")),
    # --- any machine
    Rule("end of the compile threads: flag", _THREADS,
         "a thread that has not started to wait when the process ends misses the wake-up, and the process hangs",
         "    std::condition_variable cv;\n    std::thread thread;\n",
         "    std::condition_variable cv;\n    bool stopping = false;\n    std::thread thread;\n", has("stopping")),
    Rule("end of the compile threads: wait", _THREADS, "see the rule before",
         "            while (true) {\n                cv.wait(lck);\n",
         "            while (!stopping) {\n                cv.wait(lck);\n", has("stopping")),
    Rule("end of the compile threads: join", _THREADS, "see the rule before",
         "            launch_one(nullptr);\n            thread.join();\n",
         "            { std::unique_lock<std::mutex> lck(mtx); stopping = true; }\n"
         "            launch_one(nullptr);\n            thread.join();\n", has("stopping")),
    Rule("progress of operators: header", _THREADS, "see the rule after the next",
         "#include <iomanip>\n", "#include <iomanip>\n#include <unistd.h>\n", has("<unistd.h>")),
    Rule("progress of operators: end", _THREADS, "see the next rule",
         "    if (change_line)\n        std::cerr << std::endl;\n",
         "    if (change_line)\n        std::cerr << '\\r' << string(70, ' ') << '\\r' << std::flush;\n",
         lacks("if (change_line)\n        std::cerr << std::endl;")),
    Rule("progress of operators", _THREADS,
         "one line that is redrawn on a terminal and then goes, in this project's words; nothing in a log",
         '        if (diff > 2e9) {\n            if (!change_line) {\n                std::cerr << "\\n";\n'
         '                change_line = true;\n            }\n            // delay output progress in 2s\n'
         '            float eta = diff / 1e9 / i * (n-i);\n'
         '            std::cerr << "Compiling Operators(" << i << \'/\' << n << ")"\n'
         '                << " used: " << std::setprecision(3) << std::setw(4) << diff/1e9 << "s eta: "\n'
         '                << std::setprecision(3) << std::setw(4) << eta << "s \\r";\n',
         '        if (diff > 2e9 && isatty(2)) {\n            change_line = true;\n'
         '            int left = diff / 1e9 / i * (n-i);\n'
         '            std::cerr << "\\r  compiling operators, once: " << i << \'/\' << n << ", " << left\n'
         '                << " s left    "\n'
         '                << std::flush;\n', lacks('"Compiling Operators("')),
    Rule("a stopped compiler", "jittor/src/utils/log.cc",
         "Ctrl-Z during a compile was taken for a compiler that ran out of memory, and ended the process",
         "    sa.sa_flags = SA_SIGINFO;\n", "    sa.sa_flags = SA_SIGINFO | SA_NOCLDSTOP;\n", has("SA_NOCLDSTOP")),
    # --- a cache that may be copied: what is compiled in one home is taken over in another, at any path
    Rule("a home for one process", _UTILS,
         "JITTOR_HOME was written down for all later processes, and the user's own home had to be writable",
         '    src_path = os.path.join(str(Path.home()),".cache","jittor")\n',
         '    if os.environ.get("JITTOR_HOME"):\n'
         '        _jittor_home = os.path.abspath(os.environ["JITTOR_HOME"])\n'
         '        return _jittor_home\n'
         '    src_path = os.path.join(str(Path.home()),".cache","jittor")\n', has('if os.environ.get("JITTOR_HOME"):')),
    Rule("folder of the objects", _UTILS,
         "named after the path of this copy, the kernel's version and the host, on which no object depends (but on the "
         "C library's), and after the processor, on which none depends where -march is given (JT_DFD_ISA)",
         '    jittor_path_key = get_str_hash(__file__)[:4]\n'
         '    dirs = [".cache", "jittor", jtv, ccv, pyv, osv, cpuv, jittor_path_key]\n',
         '    if "-march=" in os.environ.get("cc_flags", ""):\n        cpuv = platform.machine()\n'
         '    copy = os.path.basename(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))\n'
         '    dirs = [".cache", "jittor", jtv, ccv, pyv, platform.libc_ver()[1], cpuv, get_str_hash(copy)[:8]]\n',
         lacks("get_str_hash(__file__)")),
    Rule("keys of the objects: function", _CACHE, "see the rule after the next",
         "bool cache_compile(string cmd, const string& cache_path_, const string& jittor_path_) {\n",
         '// a text without the path of the home that holds cache_path\n'
         'static string anywhere(string text, const string& cache_path) {\n'
         '    auto end = cache_path.find("/.cache/jittor/");\n'
         '    if (end == string::npos) return text;\n'
         '    const string root = cache_path.substr(0, end) + "/.cache/", sign = "~/.cache/";\n'
         '    for (size_t i=0; (i=text.find(root, i)) != string::npos; i+=sign.size())\n'
         '        text.replace(i, root.size(), sign);\n'
         '    return text;\n'
         '}\n\n'
         'bool cache_compile(string cmd, const string& cache_path_, const string& jittor_path_) {\n', has("anywhere(")),
    Rule("keys of the objects: sources", _CACHE, "generated sources name the folder they lie in",
         "        auto hash = S(hash64(src));\n",
         "        auto hash = S(hash64(input_names[i].back() == 'o' ? src : anywhere(src, cache_path)));\n",
         has("anywhere(")),
    Rule("keys of the objects: command", _CACHE,
         "with the home's path in it everything was compiled again in another home",
         '    cache_key = cmd + "\\n" + cache_key;\n',
         '    cache_key = anywhere(cmd + "\\n" + cache_key, cache_path);\n', has("anywhere(")),
    Rule("names of the objects: one source", _COMPILER,
         "without a name in it the loader looks for the core where it was compiled, and would load a second one",
         """{flags} -o {cm(output)}"\n        return do_compile""",
         """{flags} -o {cm(output)} -Wl,-soname,{os.path.basename(output)}"\n        return do_compile""",
         has("-Wl,-soname,")),
    Rule("names of the objects: several", _COMPILER, "see the rule before",
         """ -o {cm(output)} {flags} {lto_flags}"\n    return do_compile""",
         """ -o {cm(output)} {flags} {lto_flags} -Wl,-soname,{os.path.basename(output)}"\n    return do_compile""",
         has("-Wl,-soname,")),
    Rule("oneDNN's place", "jittor/compile_extern.py",
         "the operators look for it where it lay when they were compiled, unless it is loaded; and their common name "
         "followed the order in which this disk lists their files",
         """    # ctypes.CDLL(mkl_lib_name, dlopen_flags)

    mkl_op_dir = os.path.join(jittor_path, "extern", "mkl", "ops")
    mkl_op_files = [os.path.join(mkl_op_dir, name) for name in os.listdir(mkl_op_dir)]
""", """    ctypes.CDLL(mkl_lib_name)

    mkl_op_dir = os.path.join(jittor_path, "extern", "mkl", "ops")
    mkl_op_files = [os.path.join(mkl_op_dir, name) for name in sorted(os.listdir(mkl_op_dir))]
""", has("sorted(os.listdir(mkl_op_dir))")),
]

#: the rules without which numpy 2 gives wrong numbers
NUMPY_2 = ("size of an element", "place of PyArray_CopyInto", "index by a numpy integer")


def apply(texts: Dict[str, str], rules: List[Rule] = RULES) -> Dict[str, str]:
    """``texts`` ({file: contents as Jittor ships them}) with every rule applied; RuleError where one does not fit."""
    changed = dict(texts)
    for rule in rules:
        if rule.fixed(texts[rule.file]):
            continue
        text = changed[rule.file]
        if isinstance(rule.search, str):
            found, new = text.count(rule.search), text.replace(rule.search, rule.replacement)
        else:
            found, new = len(rule.search.findall(text)), rule.search.sub(rule.replacement, text)
        if found != rule.times:
            raise RuleError(f"the change '{rule.name}' expects its text {rule.times} times in {rule.file} and finds it "
                            f"{found} times")
        changed[rule.file] = new
    return changed


def files(rules: List[Rule] = RULES) -> List[str]:
    return sorted({rule.file for rule in rules})
