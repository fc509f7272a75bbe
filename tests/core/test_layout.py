"""The table of layers by itself: sizes come out as they must, and can be read back off names and shapes."""
import subprocess
import sys

import pytest

from jt_dfd import layout
from jt_dfd.components import COMPONENTS, GRID
from jt_dfd.config import PRESETS, preset

KINDS = layout.KINDS + ("discriminator",)


def test_it_needs_no_framework(root):
    code = ("import sys; sys.path.insert(0, sys.argv[1]); import jt_dfd.layout; "
            "sys.exit(any(name.split('.')[0] in ('jittor', 'torch') or name.startswith('jt_dfd.networks') "
            "for name in sys.modules))")
    subprocess.run([sys.executable, "-c", code, str(root)], check=True)


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("component", COMPONENTS)
def test_pictures_come_out_as_large_as_they_must(name, component):
    config = preset(name)
    window, grid = config.geometry.window(component).size, GRID[component]
    for kind, first, last in (("encoder", window, grid), ("image_decoder", grid, window),
                              ("feature_decoder", grid, window), ("generator", config.canvas, config.canvas)):
        maps = [sequence for sequence in layout.network(kind, config, component) if sequence.size]
        assert maps[0].size == first and layout.size_after(maps[-1].layers, maps[-1].size) == last
    for scale in range(config.discriminator_scales):
        first = next(s for s in layout.network("discriminator", config) if s.name == f"scale{scale}_layer0")
        assert first.size == config.canvas >> scale


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize("kind", KINDS)
def test_sizes_are_read_back_off_names_and_shapes(name, kind):
    config = preset(name)
    for component in COMPONENTS:
        found = layout.sizes(layout.specification(kind, config, component), (config.encoder_widths,))
        assert found.kind == kind and (component in found.components or not kind.endswith("coder"))
        assert all(getattr(config, field) == value for field, value in found.sizes.items())
        rebuilt = config.with_changes(**found.sizes)
        assert layout.specification(kind, rebuilt, component) == layout.specification(kind, config, component)


@pytest.mark.parametrize("shapes", [{}, {"fc_mu.0.weight": (4, 9)}, {"fc.0.weight": (9, 4)}, {"model.1.weight": (3,)},
                                    {"fc_mu.0.weight": (4, 7), "conv.0.conv.weight": (2, 1, 4, 4)}])
def test_a_telling_name_alone_makes_no_network(shapes):
    try:
        assert layout.sizes(shapes) is None
    except (KeyError, IndexError, ValueError):
        pass
