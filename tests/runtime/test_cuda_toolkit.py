"""CUDA toolkits of every kind, made of small files: what is chosen, what is missing, the view that is put together."""
from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest
from machines import driver, script, wheel

from jt_dfd.runtime import RuntimeProblem, cuda_toolkit, cuda_view, gpu, host, plan

H100 = {"devices": [{"name": "H100", "capability": 90, "memory": 80 << 30}], "driver": [13, 0], "why": ""}
GCC12 = [{"path": "/usr/bin/g++", "kind": "g++", "version": (12, 2, 0), "by": "PATH"}]
LIBRARIES = {"cudart": "libcudart", "cublas": "libcublas", "cudnn": "libcudnn", "curand": "libcurand",
             "cufft": "libcufft", "cusparse": "libcusparse"}


def cudnn_header(major):
    return f"#define CUDNN_MAJOR {major}\n#define CUDNN_MINOR 1\n#define CUDNN_PATCHLEVEL 2\n"


def toolkit(folder, version, highest_gcc=None, cudnn=8, without=()):
    """A toolkit of CUDA ``version`` at ``folder``; its nvcc answers --version and --dryrun and echoes other calls."""
    major, minor = version
    script(folder / "bin/nvcc", f"""#!/bin/sh
case "$1" in
  --version) echo 'Cuda compilation tools, release {major}.{minor}, V{major}.{minor}.99' ;;
  --dryrun) echo '#$ TOP={folder}/bin/..' >&2 ;;
  *) echo "$@" ;;
esac
""")
    include, lib = folder / "include", folder / "lib64"
    (include / "crt").mkdir(parents=True)
    lib.mkdir()
    if highest_gcc:
        (include / "crt/host_config.h").write_text(f"#if __GNUC__ > {highest_gcc}\n#error unsupported\n#endif\n"
                                                   "#if (__clang_major__ >= 17) || (__clang_major__ < 3)\n#endif\n")
    cub = include / ("cccl/cub" if major >= 13 else "cub")
    if "cub" not in without:
        cub.mkdir(parents=True)
        (cub / "cub.cuh").write_text("real cub\n")
        (cub / "version.cuh").write_text(f"#define CUB_VERSION {300001 if major >= 13 else 200500}\n")
        (cub / "block").mkdir()
    for part, stem in LIBRARIES.items():
        if part in without:
            continue
        header = cuda_toolkit.PARTS[part][0]
        (include / header).write_text(cudnn_header(cudnn) if part == "cudnn" else f"toolkit {part}\n")
        number = cudnn if part == "cudnn" else major
        names = [f"{stem}.so.{number}"]
        if part == "cudnn":
            names += [f"libcudnn_{p}.so.{number}" for p in
                      (("ops_infer", "ops_train", "cnn_infer", "cnn_train") if cudnn == 8 else ("ops", "cnn"))]
        if part == "cublas":
            names.append(f"libcublasLt.so.{number}")
        for name in names:
            (lib / name).write_text(f"toolkit {part}")
    return folder


def judged(folder, answer=H100, there=GCC12):
    return cuda_toolkit.judge(cuda_toolkit.look_at_nvcc(str(folder / "bin/nvcc")), answer, there)


def text(problems):
    return "\n".join(p["what"] + " | " + p["fix"] for p in problems)


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch, machine):
    monkeypatch.setattr(cuda_toolkit, "wheels", lambda real=cuda_toolkit.wheels: [
        w for w in real() if all(f.startswith(str(machine.parent)) for f in w["files"])])
    # its g++ may be newer than the toolkits here take
    monkeypatch.setattr(host, "compilers", lambda: [dict(found) for found in GCC12])


# --- what fits --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("version, cudnn, gcc", [((11, 2), 8, 10), ((11, 8), 8, 11), ((12, 2), 8, 12),
                                                 ((12, 9), 9, 14), ((13, 0), 9, 15)])
def test_whole_toolkits_fit(tmp_path, version, cudnn, gcc):
    there = [dict(GCC12[0], version=(gcc, 1, 0))]
    verdict = judged(toolkit(tmp_path / "cuda", version, gcc, cudnn), there=there)
    assert verdict["problems"] == [] and verdict["cudnn"] == (cudnn, 1, 2)
    assert set(verdict["parts"]) >= set(LIBRARIES) | {"cub"}


def test_a_compiler_that_is_too_new_is_found_before_compiling(tmp_path):
    verdict = judged(toolkit(tmp_path / "cuda", (11, 8), 11))
    assert "takes g++ up to 11" in text(verdict["problems"]) and "12" in text(verdict["problems"])
    if cuda_toolkit.package_command(["g++"]).startswith("apt-get"):
        assert verdict["problems"][0]["fix"] == "apt-get install -y g++-11"


def test_an_older_compiler_beside_it_is_taken(tmp_path):
    older = {"path": "/usr/bin/g++-11", "kind": "g++", "version": (11, 4, 0), "by": "PATH"}
    verdict = judged(toolkit(tmp_path / "cuda", (11, 8), 11), there=GCC12 + [older])
    assert verdict["problems"] == [] and verdict["compiler"]["path"] == "/usr/bin/g++-11"


@pytest.mark.parametrize("version, highest", [((11, 2), 10), ((11, 4), 10), ((11, 5), 11), ((11, 8), 11), ((12, 0), 12),
                                              ((12, 3), 12), ((12, 4), 13), ((12, 8), 14), ((12, 9), 14),
                                              ((13, 0), 15)])
def test_the_table_where_the_toolkit_does_not_say(tmp_path, version, highest):
    nvcc = cuda_toolkit.look_at_nvcc(str(toolkit(tmp_path / "cuda", version) / "bin/nvcc"))
    assert cuda_toolkit.highest_compiler(nvcc) == highest


def test_the_toolkits_own_header_goes_before_the_table(tmp_path):
    nvcc = cuda_toolkit.look_at_nvcc(str(toolkit(tmp_path / "cuda", (12, 0), highest_gcc=7) / "bin/nvcc"))
    assert cuda_toolkit.highest_compiler(nvcc) == 7 and cuda_toolkit.highest_compiler(nvcc, "clang") == 16


def test_a_driver_older_than_the_toolkit(tmp_path):
    verdict = judged(toolkit(tmp_path / "cuda", (13, 0), 15, 9), dict(H100, driver=[12, 4]))
    assert "takes CUDA 12 at most" in text(verdict["problems"])


def test_a_gpu_older_than_the_toolkit(tmp_path):
    answer = dict(H100, devices=[{"name": "V100", "capability": 70, "memory": 0}])
    verdict = judged(toolkit(tmp_path / "cuda", (13, 0), 15, 9), answer)
    assert "V100" in text(verdict["problems"]) and "CUDA 12" in text(verdict["problems"])


CUDA_12, CUDA_13 = "install a CUDA 12 toolkit", "pip install nvidia-cuda-nvcc==13.0.*"


@pytest.mark.parametrize("gpus, cuda, wanted, never", [
    (["V100"], (13, 0), CUDA_12, "pip"), (["GTX 1080"], (13, 0), CUDA_12, "pip"),
    (["GTX 1080"], (12, 4), CUDA_12, "pip"),
    (["GTX 780"], (11, 4), "install a CUDA 11 toolkit", "CUDA 12"), (["H100"], (13, 0), CUDA_13, "apt-get"),
    (["T4"], (13, 0), CUDA_13, "apt-get"), (["T4"], (12, 2), "nvidia-cuda-toolkit", "13"),
    (["RTX 5090"], (13, 0), CUDA_13, "apt-get"), (["RTX 5090"], (12, 8), "CUDA 12 toolkit, 12.8 or newer", "apt-get"),
    (["B200"], (12, 9), "12.8 or newer", "apt-get"), (["B300"], (12, 9), "12.9 or newer", "apt-get"),
    (["B300"], (12, 8), "newer driver: B300 needs CUDA 12.9", "toolkit"),
    (["V100", "RTX 5090"], (13, 0), "CUDA 12 toolkit, 12.8 or newer", "pip"),
    (["GTX 780", "H100"], (12, 4), "install a CUDA 11 toolkit", "pip"),
    (["GTX 780", "B200"], (13, 0), "no CUDA knows both GTX 780 and B200", "install")],
    ids=lambda v: " ".join(map(str, v)) if isinstance(v, (list, tuple)) else "")
def test_advice_is_for_the_cards_that_are_there(gpus, cuda, wanted, never):
    said = cuda_toolkit.no_compiler(driver(cuda, *gpus))["fix"]
    assert wanted in said and never not in said


@pytest.mark.parametrize("gpus, cuda, version, wanted", [
    (["V100"], (13, 0), (13, 0), CUDA_12), (["RTX 5090"], (13, 0), (12, 0), CUDA_13),
    (["B200"], (12, 9), (11, 8), "12.8 or newer"), (["H100"], (12, 2), (13, 0), CUDA_12),
    (["RTX 5090", "V100"], (13, 0), (12, 4), "12.8 or newer")])
def test_a_toolkit_that_does_not_know_the_card(tmp_path, gpus, cuda, version, wanted):
    problems = judged(toolkit(tmp_path / "cuda", version, 15), driver(cuda, *gpus))["problems"]
    assert len(problems) == 1 and wanted in problems[0]["fix"]


@pytest.mark.parametrize("gpu, cuda, version", [("V100", (13, 0), (12, 9)), ("RTX 5090", (13, 0), (12, 8)),
                                                ("RTX 5090", (13, 0), (13, 0)), ("H100", (12, 4), (11, 8))])
def test_a_toolkit_that_knows_the_card(tmp_path, gpu, cuda, version):
    assert judged(toolkit(tmp_path / "cuda", version, 15), driver(cuda, gpu))["problems"] == []


def test_a_toolkit_older_than_11_2(tmp_path):
    assert "11.2 is the oldest" in text(judged(toolkit(tmp_path / "cuda", (10, 2), 8))["problems"])


@pytest.mark.parametrize("version, names", [
    ((12, 4), ["nvidia-cudnn-cu12", "nvidia-cufft-cu12"]), ((13, 0), ["nvidia-cudnn-cu13", "nvidia-cufft"])])
def test_missing_parts_are_named_with_their_wheels(tmp_path, version, names):
    verdict = judged(toolkit(tmp_path / "cuda", version, 15, 9, without=("cudnn", "cufft")))
    said = text(verdict["problems"])
    assert "lacks cudnn, cufft" in said
    command = said.split("|")[1].split()
    assert [w for w in command if w.startswith("nvidia-")] == names


# --- where things come from -------------------------------------------------------------------------------------

def add_wheels(site, major, monkeypatch, parts=("cublas", "cudnn", "curand", "cufft", "cusparse", "cudart")):
    for part in parts:
        stem, header = LIBRARIES[part], cuda_toolkit.PARTS[part][0]
        folder = f"nvidia/cu{major}" if major >= 13 and part != "cudnn" else f"nvidia/{part}"
        number = 9 if part == "cudnn" else major
        files = {f"{folder}/include/{header}": cudnn_header(9) if part == "cudnn" else f"wheel {part}\n",
                 f"{folder}/lib/{stem}.so.{number}": f"wheel {part}"}
        if part == "cudnn":
            files.update({f"{folder}/lib/libcudnn_{p}.so.9": f"wheel {p}" for p in ("ops", "cnn")})
        if part == "cublas":
            files[f"{folder}/lib/libcublasLt.so.{number}"] = "wheel cublasLt"
        suffixed = major < 13 or part == "cudnn"
        wheel(site, f"nvidia-{part}-cu{major}" if suffixed else f"nvidia-{part}", "1.0", files)
    if str(site) not in sys.path:
        monkeypatch.syspath_prepend(str(site))


@pytest.mark.parametrize("version", [(12, 4), (13, 0)])
def test_what_a_toolkit_lacks_comes_from_wheels(tmp_path, monkeypatch, version):
    folder = toolkit(tmp_path / "cuda", version, 15, without=("cudnn", "cublas", "curand", "cufft", "cusparse"))
    add_wheels(tmp_path / "site", version[0], monkeypatch)
    verdict = judged(folder)
    assert verdict["problems"] == [] and verdict["cudnn"] == (9, 1, 2)
    view = cuda_view.build(cuda_view.plan_view(verdict, H100))
    assert (view / "lib64/libcublas.so").read_text() == "wheel cublas"
    assert (view / "lib64/libcudart.so").read_text() == "toolkit cudart", "the compiler's own runtime stays"
    assert (view / "include/cublas_v2.h").read_text() == "wheel cublas\n"


def test_wheels_of_another_cuda_are_not_mixed_in(tmp_path, monkeypatch):
    folder = toolkit(tmp_path / "cuda", (12, 4), 15, without=("cudnn", "cublas"))
    add_wheels(tmp_path / "site", 13, monkeypatch)
    assert "lacks cublas, cudnn" in text(judged(folder)["problems"])


def test_header_and_library_come_from_the_same_place(tmp_path, monkeypatch):
    """A toolkit with cuDNN 8's library but no header: both are taken from the wheel, not the header alone."""
    folder = toolkit(tmp_path / "cuda", (12, 4), 15)
    (folder / "include/cudnn.h").unlink()
    add_wheels(tmp_path / "site", 12, monkeypatch, parts=("cudnn",))
    view = cuda_view.build(cuda_view.plan_view(judged(folder), H100))
    assert (view / "lib64/libcudnn.so").read_text() == "wheel cudnn"
    assert not (view / "lib64/libcudnn.so.8").exists()


# --- strays -----------------------------------------------------------------------------------------------------

def test_a_stray_nvcc_is_passed_over(tmp_path, machine, monkeypatch):
    script(tmp_path / "stray/nvcc", "#!/bin/sh\nexit 127\n")
    whole = toolkit(tmp_path / "cuda", (12, 4), 15)
    monkeypatch.setenv("PATH", f"{tmp_path / 'stray'}:{os.environ['PATH']}")
    monkeypatch.setenv("CUDA_HOME", str(whole))
    monkeypatch.setattr(gpu, "ask", lambda: H100)
    made = plan.make_plan("cuda")
    assert made.problems == [] and made.found["cuda"]["nvcc"] == str(whole / "bin/nvcc")


def test_an_nvcc_without_its_libraries_means_cpu_with_the_reason(tmp_path, machine, monkeypatch):
    lonely = toolkit(tmp_path / "lonely", (12, 4), 15, without=tuple(LIBRARIES))
    monkeypatch.setenv("CUDA_HOME", str(lonely))
    monkeypatch.setattr(cuda_toolkit, "find_nvcc", lambda: [cuda_toolkit.look_at_nvcc(str(lonely / "bin/nvcc"))])
    monkeypatch.setattr(gpu, "ask", lambda: H100)
    made = plan.make_plan()
    assert made.device == "cpu" and made.problems == [] and made.environment["nvcc_path"] == ""
    assert "lacks cudart" in text(made.notes) and "pip install" in text(made.notes)
    assert "lacks cudart" in text(plan.make_plan("cuda").problems)


def test_without_a_gpu_no_nvcc_is_used(tmp_path, machine, monkeypatch):
    monkeypatch.setattr(gpu, "ask", lambda: {"devices": [], "driver": None, "why": "no GPU driver"})
    monkeypatch.setenv("nvcc_path", str(toolkit(tmp_path / "cuda", (12, 4), 15) / "bin/nvcc"))
    made = plan.make_plan()
    assert made.device == "cpu" and made.environment["nvcc_path"] == "" and "not used" in made.notes[0]["what"]


def test_the_users_nvcc_wins(tmp_path, machine, monkeypatch):
    mine, other = toolkit(tmp_path / "mine", (12, 2), 15), toolkit(tmp_path / "other", (12, 4), 15)
    monkeypatch.setenv("CUDA_HOME", str(other))
    monkeypatch.setenv("nvcc_path", str(mine / "bin/nvcc"))
    monkeypatch.setattr(gpu, "ask", lambda: H100)
    made = plan.make_plan()
    assert made.found["cuda"]["version"] == "12.2"
    assert f"exec '{mine}/bin/nvcc'" in open(made.environment["nvcc_path"]).read()


def test_a_gpu_build_never_downloads(tmp_path, machine, monkeypatch):
    monkeypatch.setenv("CUDA_HOME", str(toolkit(tmp_path / "cuda", (12, 4), 15)))
    monkeypatch.setattr(gpu, "ask", lambda: H100)
    chosen = plan.make_plan("cuda").environment
    assert (chosen["use_cutt"], chosen["use_cutlass"], chosen["FIX_TORCH_ERROR"]) == ("0", "0", "0")
    assert chosen.get("use_nccl") == "0" or os.path.isdir(chosen["nccl_lib_path"])


def test_a_gpu_s_core_lies_apart_from_the_cpu_s(tmp_path, machine, monkeypatch):
    """Within one cache name Jittor finds the CPU's first, and the GPU would be lost once anything ran without it."""
    monkeypatch.setenv("CUDA_HOME", str(toolkit(tmp_path / "cuda", (12, 4), 15)))
    monkeypatch.setattr(gpu, "ask", lambda: H100)
    assert plan.make_plan("cuda").environment["cache_name"] != plan.make_plan("cpu").environment["cache_name"]


def test_looking_builds_nothing(tmp_path, machine, monkeypatch):
    monkeypatch.setenv("CUDA_HOME", str(toolkit(tmp_path / "cuda", (12, 4), 15)))
    monkeypatch.setattr(gpu, "ask", lambda: H100)
    view = plan.make_plan(dry=True).found["cuda"]["view"]
    assert not os.path.exists(view)
    assert plan.make_plan().found["cuda"]["view"] == view and os.path.isdir(view)


# --- several GPUs -----------------------------------------------------------------------------------------------

@pytest.fixture
def ranks(tmp_path, machine, monkeypatch):
    """plan(rank, ranks, GPUs): the plan of one process of mpirun on a machine with so many GPUs, with NCCL or not."""
    def make(rank, ranks, count, nccl=False, **environment):
        folder = tmp_path / ("with" if nccl else "without")
        if not folder.exists():
            toolkit(folder, (12, 4), 15)
            if nccl:
                (folder / "include/nccl.h").write_text("")
                (folder / "lib64/libnccl.so.2").write_text("")
        there = cuda_toolkit.look_at_nvcc(str(folder / "bin/nvcc"))
        monkeypatch.setattr(cuda_toolkit, "find_nvcc", lambda: [there])
        monkeypatch.setattr(cuda_toolkit, "sources", lambda nvcc, real=cuda_toolkit.sources: real(nvcc)[:1])
        monkeypatch.setattr(gpu, "ask", lambda: driver((12, 4), *["A100"] * count))
        for name, value in {"OMPI_COMM_WORLD_SIZE": ranks, "OMPI_COMM_WORLD_RANK": rank,
                            "OMPI_COMM_WORLD_LOCAL_SIZE": ranks, "OMPI_COMM_WORLD_LOCAL_RANK": rank,
                            "mpicc_path": "/bin/true", **environment}.items():
            monkeypatch.setenv(name, str(value))
        return plan.make_plan("cuda")
    return make


def test_without_nccl_each_process_takes_a_gpu_of_its_own(ranks):
    made = [ranks(rank, 3, 4) for rank in range(3)]
    assert [m.environment["CUDA_VISIBLE_DEVICES"] for m in made] == ["0", "1", "2"]
    assert all(m.problems == [] and m.environment["use_nccl"] == "0" for m in made)


def test_of_the_gpus_that_the_user_shows(ranks):
    made = [ranks(rank, 2, 2, CUDA_VISIBLE_DEVICES="5, GPU-3f") for rank in range(2)]
    assert [m.environment["CUDA_VISIBLE_DEVICES"] for m in made] == ["5", "GPU-3f"]


def test_more_processes_than_gpus_are_refused(ranks):
    assert "3 processes on this machine, and there are 2 GPUs" in text(ranks(2, 3, 2).problems)
    assert "mpirun -np 2" in text(ranks(0, 3, 2).problems)
    assert ranks(0, 3, 2, nccl=True).problems, "NCCL gives no GPU to two processes"
    assert ranks(1, 2, 1, nccl=True, CUDA_VISIBLE_DEVICES="1").problems == [], "each may have been shown its own"
    assert ranks(1, 2, 1, CUDA_VISIBLE_DEVICES="0").problems


def test_with_nccl_jittor_deals_the_gpus(ranks):
    made = ranks(1, 2, 2, nccl=True)
    assert made.problems == [] and made.notes == [] and "CUDA_VISIBLE_DEVICES" not in made.environment


def test_nccl_that_the_user_switched_off_is_none(ranks):
    assert ranks(1, 2, 2, nccl=True, use_nccl="0").environment["CUDA_VISIBLE_DEVICES"] == "1"


def test_a_process_that_a_rank_starts_keeps_its_gpu(ranks):
    ranks(1, 2, 2).apply()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    made = ranks(1, 2, 1)      # the driver shows it that one alone
    assert made.problems == [] and made.environment["CUDA_VISIBLE_DEVICES"] == "1"


def test_missing_nccl_is_named_with_its_wheel(ranks):
    for several in (ranks(0, 1, 2), ranks(0, 2, 2)):
        assert "NCCL is not installed" in text(several.notes) and "nvidia-nccl-cu12" in text(several.notes)
    assert ranks(0, 1, 1).notes == [] and ranks(0, 2, 2, nccl=True).notes == []


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_process_says_so_at_the_start(ranks, capsys, rank):
    from jt_dfd import runtime

    assert ranks(rank, 2, 2).problems == []
    runtime.prepare("cuda")
    assert ("nvidia-nccl-cu12" in capsys.readouterr().err) is (rank == 0)


# --- precision --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("card, tf32, half", [("GTX 1080", False, False), ("V100", False, True), ("T4", False, True),
                                              ("A100", True, True), ("RTX 5090", True, True)])
def test_precision_goes_by_the_card(tmp_path, machine, monkeypatch, card, tf32, half):
    from jt_dfd import doctor, runtime

    monkeypatch.delenv("JT_DFD_TF32", raising=False)
    monkeypatch.setenv("CUDA_HOME", str(toolkit(tmp_path / "cuda", (12, 9), 15)))
    monkeypatch.setattr(gpu, "ask", lambda: driver((12, 9), card))
    runtime.prepare("cuda")
    assert runtime.half_precision_gains() is half
    said = doctor.words(dict(runtime.report(), missing=[], notes=[]))
    assert ("convolutions with TF32" in said) is tf32 and ("this GPU has no TF32" in said) is not tf32
    assert ("worth asking for: --precision half" in said) is half and ("no tensor cores" in said) is not half


# --- the view ---------------------------------------------------------------------------------------------------

def build(folder, answer=H100):
    content = cuda_view.plan_view(judged(folder), answer)
    return cuda_view.build(content), content


def test_an_old_toolkit_is_linked_as_it_is(tmp_path):
    view, content = build(toolkit(tmp_path / "cuda", (12, 2), 15))
    assert (view / "include/cuda_runtime.h").read_text() == "toolkit cudart\n"
    assert (view / "include/cub/cub.cuh").read_text() == "real cub\n"
    cudnn = (view / "include/cudnn.h").read_text()   # what convolutions compute with is said for every version
    assert "jt_dfd_cudnn_precision.h" in cudnn and "rnn" not in cudnn
    for name in ("libcudart.so", "libcublasLt.so", "libcudnn_ops_infer.so", "libcudnn_cnn_train.so.8"):
        assert (view / "lib64" / name).exists(), name
    assert "-std=c++17" not in (view / "bin/nvcc").read_text()


def test_cuda_13_and_cudnn_9_are_mended(tmp_path):
    view, content = build(toolkit(tmp_path / "cuda", (13, 0), 15, cudnn=9))
    for name, word in (("cuda_runtime.h", "jt_dfd_device_properties.h"), ("cudnn.h", "jt_dfd_cudnn_rnn.h"),
                       ("cub/cub.cuh", "jt_dfd_cub.cuh")):
        said = (view / "include" / name).read_text()
        assert word in said and str(tmp_path / "cuda") in said
        assert (view / "include" / name).with_name(word).is_file()
    for part in ("ops", "cnn"):
        for kind in ("infer", "train"):
            assert os.path.realpath(str(view / f"lib64/libcudnn_{part}_{kind}.so")).endswith(f"libcudnn_{part}.so.9")
    assert (view / "include/cub/block").is_dir()


def test_the_same_view_is_used_again(tmp_path):
    folder = toolkit(tmp_path / "cuda", (12, 2), 15)
    first, _ = build(folder)
    made = os.stat(str(first / "bin/nvcc")).st_ino
    second, _ = build(folder)
    assert first == second and os.stat(str(second / "bin/nvcc")).st_ino == made


@pytest.mark.parametrize("change", ["library", "header", "new library", "gpu"])
def test_a_change_gives_another_view(tmp_path, change):
    folder = toolkit(tmp_path / "cuda", (13, 0), 15, cudnn=9)
    first, _ = build(folder)
    answer = H100
    if change == "library":
        (folder / "lib64/libcublas.so.13").write_text("another build of it")
    elif change == "header":
        (folder / "include/cudnn.h").write_text(cudnn_header(9) + "// more\n")
    elif change == "new library":
        (folder / "lib64/libcufftw.so.13").write_text("new")
    else:
        answer = dict(H100, devices=[dict(H100["devices"][0], capability=80)])
    second, content = build(folder, answer)
    assert first != second and cuda_view.complete(second, content)


def test_a_damaged_view_is_built_anew(tmp_path):
    view, content = build(toolkit(tmp_path / "cuda", (13, 0), 15, cudnn=9))
    (view / "lib64/libcublas.so").unlink()
    (view / "include/cudnn.h").write_text("")
    again = cuda_view.build(content)
    assert again == view and cuda_view.complete(view, content)
    assert [p.name for p in view.parent.iterdir()] == [view.name], "nothing is left lying about"


def test_two_processes_build_at_once(tmp_path):
    content = cuda_view.plan_view(judged(toolkit(tmp_path / "cuda", (13, 0), 15, cudnn=9)), H100)
    places, errors = [], []

    def work():
        try:
            places.append(cuda_view.build(content))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert errors == [] and len(set(places)) == 1 and cuda_view.complete(places[0], content)
    assert [p.name for p in places[0].parent.iterdir()] == [places[0].name]


def test_old_views_are_removed(tmp_path):
    folder = toolkit(tmp_path / "cuda", (12, 2), 15)
    for n in range(7):
        (folder / "lib64/libcublas.so.12").write_text("build" * (n + 1))
        last, content = build(folder)
        os.utime(str(last), (n, n))
    assert len(list(cuda_view.views_folder().iterdir())) == 4 and cuda_view.complete(last, content)


# --- the compiler's script --------------------------------------------------------------------------------------

def flags(folder, *words, capability=90):
    answer = dict(H100, devices=[{"name": "GPU", "capability": capability, "memory": 0}])
    view, _ = build(folder, answer)
    return subprocess.check_output([str(view / "bin/nvcc"), *words]).decode().split()


def test_flags_pass_through_and_cpp17_comes_last(tmp_path):
    folder = toolkit(tmp_path / "cuda", (13, 0), 15, cudnn=9)
    said = flags(folder, "-std=c++14", "-arch=compute_90", "-code=sm_90", "-DX=a b")
    assert said == ["-std=c++14", "-arch=compute_90", "-code=sm_90", "-DX=a", "b", "-std=c++17"]


def test_code_for_the_gpus_there_where_jittor_names_none(tmp_path):
    folder = toolkit(tmp_path / "cuda", (12, 2), 15)
    assert flags(folder, "-c", "x.cu") == ["-c", "x.cu", "-gencode=arch=compute_90,code=sm_90"]


def test_a_later_gpu_gets_intermediate_code(tmp_path):
    folder = toolkit(tmp_path / "cuda", (13, 0), 15, cudnn=9)
    said = flags(folder, "-arch=compute_90", "-code=sm_90", capability=100)
    assert "-code=compute_90" in said
    assert "-gencode=arch=compute_90,code=compute_90" in flags(folder, "-c", "x.cu", capability=120)


def test_the_version_is_asked_without_flags(tmp_path):
    view, _ = build(toolkit(tmp_path / "cuda", (12, 2), 15))
    assert cuda_toolkit.look_at_nvcc(str(view / "bin/nvcc"))["version"] == (12, 2)


def test_a_problem_lists_every_finding():
    problem = RuntimeProblem([{"what": "one", "fix": "do this"}, {"what": "two", "fix": ""}])
    assert "one" in str(problem) and "do this" in str(problem) and "two" in str(problem)
