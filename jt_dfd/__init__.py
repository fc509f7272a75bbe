"""jt_dfd: DeepFaceDrawing in Jittor.  A rough face sketch becomes a photograph of a face.

Importing this package never imports Jittor: names below are loaded when first used.
"""
__version__ = "1.0.0"

TYPE_CHECKING = False   # importing typing for it would cost every --help 4 ms
if TYPE_CHECKING:  # what editors and checkers see
    from .components import COMPONENTS, Geometry
    from .config import Config
    from .synthesizer import Synthesizer

_LAZY = {
    "Synthesizer": "jt_dfd.synthesizer",
    "Config": "jt_dfd.config",
    "Geometry": "jt_dfd.components",
    "COMPONENTS": "jt_dfd.components",
}
__all__ = ["__version__", "Synthesizer", "Config", "Geometry", "COMPONENTS"]


def __getattr__(name):
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'jt_dfd' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
