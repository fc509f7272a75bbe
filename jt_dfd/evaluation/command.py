"""Scores and a sheet of pictures on a held-out split.

    python tools/evaluate.py --params Params/demo --data SET --out evaluation

Stage I: reconstruction error of each component beside that of the mean sketch.  Faces: L1, PSNR, SSIM, perceptual
distance, Frechet and kernel distance, beside the mean face.  Both for each style of sketches by itself.  Written to OUT
as figures.json, figures.md and sheet.png.
"""
from __future__ import annotations

from pathlib import Path

from .. import cli


def main(arguments=None) -> int:
    """Exit status 0: measured and written."""
    parser = cli.parser(__doc__)
    parser.add_argument("--params", default="Params/demo", metavar="DIR",
                        help="folder of weights (default: Params/demo)")
    parser.add_argument("--data", required=True, metavar="SET", help="folder with index.csv")
    parser.add_argument("--split", default="test", choices=["train", "test"], help="default: test")
    parser.add_argument("--count", type=int, default=0, metavar="N", help="pictures, evenly chosen (default: all)")
    parser.add_argument("--styles", default="all", metavar="NAMES",
                        help="styles of sketches, separated by commas (lines, photocopy, own, drawn), each judged by "
                             "itself (default: all that the set has)")
    parser.add_argument("--refine", type=float, nargs="+", default=[0.0, 1.0], metavar="X",
                        help="amounts of projection, 0 to 1 (default: 0 1)")
    parser.add_argument("--inception", metavar="FILE",
                        help="FID's Inception (pt_inception-2015-12-05-6726825d.pth, as PyTorch's FID tools use it) "
                             "for Frechet and kernel distance (default: features of stlpips-pytorch's VGG16)")
    parser.add_argument("--perceptual-network", default="auto", metavar="FILE",
                        help="a torchvision VGG19 or VGG16 file: perceptual is then the perceptual loss of training; "
                             "or stlpips, auto (stlpips where installed), off (default: auto)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"], help="default: auto")
    args = parser.parse_args(arguments)
    from .. import runtime
    from ..data.index import parse_styles
    from . import run

    runtime.prepare(args.device)
    result = run.evaluate(args.params, args.data, split=args.split, count=args.count, refine=args.refine,
                          device=args.device, inception=args.inception, perceptual_network=args.perceptual_network,
                          styles=parse_styles(args.styles),
                          # a folder that cannot be written is told now, not after an hour
                          ready=lambda: Path(args.out).mkdir(parents=True, exist_ok=True))
    run.write(result, args.out)
    print(run.as_table(result))
    return 0
