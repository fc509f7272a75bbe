"""The weights behind the parity fixtures, made again from each array's name.

The fixtures of this folder were computed by the authors' release with these weights.  An array is a stream of normal
numbers seeded by its name, scaled so that activations stay near one through all the networks.  (With glibc 2.41 or
newer, whose log1pf rounds correctly, one number in a million has another last bit: numpy takes it for numbers beyond
3.6.)
"""
import pickle
import zlib
from pathlib import Path

import numpy as np

from jt_dfd.checkpoints import GENDERS, bank_path, network_path
from jt_dfd.components import COMPONENTS
from jt_dfd.networks import specification_of

#: rows of the release's banks
ROWS = {"male": 6247, "female": 11456}
_NET = {"encoder": "encoder_{}", "image_decoder": "decoder_{}_image", "feature_decoder": "DE_{}", "generator": "G"}
_GENERATOR_UPS = ("25", "28", "31", "34")


def _stream(text, salt):
    return np.random.default_rng([zlib.crc32(text.encode()), salt])


def parameter(net, name, shape, salt=0):
    """float32 array for parameter ``name`` of network file ``net`` (the release's word for it)."""
    values = _stream(f"{net}/{name}", salt).standard_normal(shape, dtype=np.float32)
    leaf = name.split(".")[-1]
    if leaf in ("running_mean", "bias"):
        return 0.1 * values
    if leaf == "running_var":
        return np.exp(0.2 * values)
    if len(shape) == 1:
        return 1 + 0.1 * values
    fan = shape[1]
    if len(shape) == 4:
        fan = shape[1] * shape[2] * shape[3]
        decoder_up = net.startswith(("DE_", "decoder")) and ".conv.0." in name
        generator_up = net == "G" and name.split(".")[1] in _GENERATOR_UPS
        if decoder_up or generator_up:
            fan = shape[0] * shape[2] * shape[3] / 4
    return values / np.float32(np.sqrt(fan))   # in float32 under numpy 1 and 2 alike


def bank(component, gender, rows=None, salt=0, width=512):
    """(rows, width) float32."""
    component = "" if component == "rest" else component
    return _stream(f"bank/{component}/{GENDERS[gender]}", salt).standard_normal((rows or ROWS[gender], width),
                                                                                dtype=np.float32)


def network(config, kind, component, salt=0):
    """name -> array of one network of the release's size."""
    net = _NET[kind].format("" if component == "rest" else component)
    shapes = specification_of(config)[kind, component]
    return {name: parameter(net, name, shape, salt) for name, shape in shapes.items()}


def write_release(folder, config, rows=None, salt=0):
    """Write a whole folder as the release's authors do: plain pickles, raw banks.  2.5 GB at full size.  Another
    ``config`` gives a folder of that size, without its config.json."""
    folder = Path(folder)
    for kind, component in specification_of(config):
        path = folder / network_path(kind, component or "rest")
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as stream:
            pickle.dump(network(config, kind, component, salt), stream, protocol=4)
    for component in COMPONENTS:
        for gender in GENDERS:
            bank(component, gender, rows, salt, config.latent).tofile(folder / bank_path(component, gender))
    return folder
