"""A folder of random weights of a preset, written without Jittor: faces come out as noise, but they come out."""
import numpy as np

from jt_dfd import config
from jt_dfd.checkpoints import folder, formats
from jt_dfd.components import COMPONENTS
from jt_dfd.layout import specification


def write(path, preset="tiny", rows=80, genders=("male", "female")):
    rng, sizes = np.random.default_rng(0), config.preset(preset)

    def array(name, shape):
        if len(shape) > 1:
            return rng.normal(0, (1 / np.prod(shape[1:])) ** 0.5, shape)
        return np.ones(shape) if name.endswith(("var", "weight")) else np.zeros(shape)

    for component in COMPONENTS:
        kinds = ["encoder", "image_decoder", "feature_decoder"] + ["generator"] * (component == "rest")
        for kind in kinds:
            shapes = specification(kind, sizes, component)
            target = path / folder.network_path(kind, component)
            target.parent.mkdir(parents=True, exist_ok=True)
            formats.write_arrays(target, {n: array(n, s).astype(np.float32) for n, s in shapes.items()})
        for gender in genders or (folder.SHARED_BANK,):
            formats.write_bank(path / folder.bank_path(component, gender),
                             rng.normal(0, 1, (rows, sizes.latent)).astype(np.float32))
    folder.write_config(path, sizes)
    return path
