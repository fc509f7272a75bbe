"""The command line of tools/convert_weights.py."""
from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from .. import cli
from ..errors import UserError

#: formats.TORCH_SUFFIXES without their dots, written out so that --help waits for no numpy
FORMATS = ("pth", "pt", "safetensors")
_EPILOG = """\
formats: .pkl (the release's and Jittor's), .pth and .pt (PyTorch's), .safetensors; in folders also .bin (feature
banks). What is written is chosen by suffix; what is read is known by its content, whatever its name. Reading never
executes anything. Writing .pth and proving a conversion need PyTorch
(pip install 'jt_dfd[torch]'); proving it needs Jittor besides. What is missing is said.

examples:
  convert_weights.py to-torch Params/demo demo-torch
  convert_weights.py to-torch latest_net_G.pkl latest_net_G.safetensors --dtype float16
  convert_weights.py to-jittor latest_net_G.pth Combine/latest_net_G.pkl      (pix2pixHD's own file, too)
  convert_weights.py verify Params/demo demo-torch
  convert_weights.py to-onnx demo-torch sketch2face.onnx

exit status: 0 done, 1 different, 2 refused or wrong arguments, 130 interrupted. Nothing is written unless it is 0."""


_WRITES = {"torch": """a file becomes .pth, .pt or .safetensors as DST
ends; a folder becomes a folder that jt_dfd.converter.torch_modules.load_pretrained reads.""",
           "jittor": """a file becomes a .pkl, a bank a .bin as DST
ends; a folder becomes a folder in the release's layout that every tool here reads."""}
_CONVERSION = """\
SRC may be of either framework and of any of the formats: ours, the release's, what Jittor or PyTorch saved
({"state_dict": ...}; optimiser state, options and other objects, module. prefixes and counters are left out),
pix2pixHD's latest_net_G.pth and
latest_net_D.pth of any size, torchvision's VGG16 and VGG19. Anything else is refused with the nearest names.

Where both frameworks are installed each network is run in both, before saving and after loading again, and refused
where a layer differs by more than 5e-5 of its scale. DST is written whole or not at all."""


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("Takes weights from Jittor to PyTorch and back, and proves that both compute the same.",
                        epilog=_EPILOG)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for to, what in (("torch", "PyTorch"), ("jittor", "Jittor")):
        command = commands.add_parser(f"to-{to}", help=f"a file or a whole folder for {what}", epilog=_CONVERSION,
                                      description=f"Converts a file of weights, a feature bank or a whole folder for "
                                                  f"{what}: " + _WRITES[to],
                                      formatter_class=argparse.RawDescriptionHelpFormatter)
        command.add_argument("source", metavar="SRC", help="a file of weights, or a folder in the release's layout")
        command.add_argument("destination", metavar="DST",
                             help="a file, its format chosen by suffix; of a folder, a folder")
        command.add_argument("--dtype", choices=("float16", "float32"), help="element type (default: as in SRC)")
        command.add_argument("--force", action="store_true", help="overwrite DST")
        command.add_argument("--no-verify", dest="verify", action="store_false",
                             help="do not read back and do not run the networks in both frameworks")
        command.add_argument("--key", help="which network to take of a file that holds several: an entry, or "
                                                 "what their names begin with")
        command.add_argument("--latent", type=_positive, metavar="N",
                             help="numbers a row of a single .bin bank (default: its folder's, or 512)")
        command.add_argument("--partial", action="store_true", help="convert what is there of an incomplete folder")
        if to == "torch":
            command.add_argument("--format", choices=FORMATS,
                                 help="of a folder's networks (default: pth)")
    command = commands.add_parser("inspect", help="names, shapes, types, totals, sha256 and the preset it fits")
    command.add_argument("path", metavar="PATH")
    command.add_argument("--key", help="which entry to take of a file that holds several networks")
    command.add_argument("--json", action="store_true", help="as JSON")
    command = commands.add_parser("verify", help="are two files or folders the same, and do both frameworks agree?",
                                  description="Compares names, shapes and values, then runs A and B, one in Jittor and "
                                              "one in PyTorch, on the same seeded input. Exit status 1 where they "
                                              "differ.")
    command.add_argument("a", metavar="A")
    command.add_argument("b", metavar="B")
    command.add_argument("--tolerance", type=float, default=0.0, metavar="T",
                         help="largest difference of a value that passes, e.g. 1e-3 after --dtype float16 (default: 0)")
    for side in "ab":
        command.add_argument(f"--key-{side}", metavar="KEY", help=f"which network of {side.upper()}, where it holds "
                                                                  "several")
    command.add_argument("--no-run", dest="run", action="store_false", help="compare values only")
    command = commands.add_parser("to-onnx", help="sketch -> face (refine 0) as one ONNX model",
                                  description="Exports sketch -> face without projection. Input 'sketch': (1, 1, S, S) "
                                              "float32 in [-1, 1], (x - 127.5) / 127.5; output 'face': (1, 3, S, S) "
                                              "float32 in [-1, 1], RGB. S is the canvas, 512 for the release.")
    command.add_argument("source", metavar="SRC", help="a folder of weights, of either framework")
    command.add_argument("destination", metavar="DST", help="the .onnx file")
    command.add_argument("--force", action="store_true", help="overwrite DST")
    command.add_argument("--no-verify", dest="verify", action="store_false", help="do not run it in ONNX Runtime")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text[:9]) or len(text) > 9:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, not {text!r:.40}")
    return int(text)


def main(arguments=None) -> int:
    """Runs one command; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    _check_use(parser, options)
    cli.end_as_ctrl_c()   # half-written files go
    return _run(options)


def _check_use(parser: argparse.ArgumentParser, options) -> None:
    """Ends with status 2 where something was asked for that would silently not be done."""
    given = [value for name, value in vars(options).items() if name in ("source", "destination", "path", "a", "b")]
    if "" in given:
        raise UserError("an empty name where a file or folder is to be named")
    if Path(given[0]).is_dir():
        for name in ("key", "key_a", "key_b", "latent"):
            if getattr(options, name, None) is not None:
                parser.error(f"--{name.replace('_', '-')} is for single files")
    elif getattr(options, "format", None) and not options.destination.lower().endswith("." + options.format):
        parser.error("--format is for whole folders; of a file the suffix chooses")


def _run(options) -> int:
    try:
        with cli.when_stopped("interrupted; nothing was written"):
            return {"inspect": _inspect, "verify": _verify, "to-onnx": _onnx}.get(options.command, _convert)(options)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except MemoryError:
        raise UserError("not enough memory; nothing was written") from None


def _convert(options) -> int:
    from tqdm import tqdm

    from .convert import convert_file, convert_folder
    from .verify import TOLERANCE

    to, path = options.command[3:], options.destination
    if not Path(options.source).is_dir():
        dones = [convert_file(options.source, path, to, options.dtype, options.force, options.verify, options.key,
                              options.latent)]
        what = str(dones[0].layout)
    else:
        with tqdm(unit="B", unit_scale=True, unit_divisor=1000, leave=False) as bar:
            def progress(text, position, total):
                bar.total = total
                bar.set_description(text.rpartition("/")[2], refresh=False)
                bar.n = position
                bar.refresh()

            dones = convert_folder(options.source, path, to, "." + (getattr(options, "format", None) or "pth"),
                                   options.dtype, options.force, options.verify, options.partial, progress)
        what = f"{len(dones)} files"
    print(f"{path}: {what}, {sum(done.numbers for done in dones):,} numbers")
    for note in dict.fromkeys(note for done in dones for note in done.notes):
        print(f"  {note}")
    proofs = [done.proof for done in dones if done.proof is not None]
    if proofs:
        print(f"  {len(proofs)} networks run in Jittor and PyTorch, before saving and after loading again: largest "
              f"difference {max(proofs):.1e} of a layer's scale (accepted: {TOLERANCE:.0e})")
    reasons = sorted({done.unproven for done in dones if done.unproven and "not asked" not in done.unproven
                      and "bank" not in done.unproven})
    for reason in reasons:
        print(f"  saved values read back and compared, networks not run: {reason}")
    return 0


def _inspect(options) -> int:
    from . import inspect

    report = inspect.inspect_folder(options.path) if Path(options.path).is_dir() else inspect.inspect_file(
        options.path, options.key)
    print(json.dumps(report, indent=1) if options.json else inspect.text(report))
    return 0


def _verify(options) -> int:
    from . import verify

    return verify.main(options)


def _onnx(options) -> int:
    from .convert import export_onnx

    difference = export_onnx(options.source, options.destination, options.force, options.verify)
    print(f"{options.destination}: sketch (1, 1, S, S) float32 in [-1, 1] -> face (1, 3, S, S) float32 in [-1, 1]")
    if options.verify:
        print(f"  ONNX Runtime gives PyTorch's face to {difference} grey levels" if difference is not None else
              "  onnxruntime is not installed (pip install 'jt_dfd[torch]'), so it was not run")
    return 0
