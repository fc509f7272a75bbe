"""Feature mapping (FM): a component's latent becomes a feature map of its own window's size.

(N, latent) -> (N, feature_channels, S, S)
"""
from __future__ import annotations

from ..config import Config
from .component_embedding import Decoder
from .layers import PictureNorm


class FeatureDecoder(Decoder):
    """The image decoder's shape with other widths, normalised by each picture's own statistics in training and
    inference alike (release; see :class:`PictureNorm`)."""

    def __init__(self, config: Config, component: str):
        super().__init__(config, component, config.feature_widths, config.feature_channels,
                         lambda momentum: PictureNorm)
