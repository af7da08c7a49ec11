"""The networks compute what they were trained to: golden numbers, shapes and new blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facecli.errors import ModelError
from facecli.models.dlib_format import resnet29_architecture
from facecli.models.encoders import load_encoder
from facecli.models.networks import Downsample, FaceNetwork, build
from facecli.types import PixelArray

# The first numbers, at unit length, of what dlib 20.0.1 itself computes from `synthetic_chip` with
# dlib_face_recognition_resnet_model_v1.dat.
DLIB_GOLDEN = (-0.026787, 0.038482, 0.048037, -0.033098, -0.056729, -0.039693, -0.002626, -0.017312)


def synthetic_chip() -> PixelArray:
    y, x = np.mgrid[0:150, 0:150].astype(float)
    waves = [128 + 100 * np.sin(x / 9 + colour) * np.cos(y / (7 + colour)) for colour in range(3)]
    chip: PixelArray = np.clip(np.stack(waves, -1), 0, 255).astype(np.uint8)
    return chip


def embed_once(network: FaceNetwork, chip: PixelArray) -> torch.Tensor:
    with torch.inference_mode():
        vectors: torch.Tensor = network(torch.from_numpy(chip).permute(2, 0, 1)[None].float())
    return vectors[0]


@pytest.mark.network
def test_the_shipped_trunk_is_dlibs_to_the_precision_of_its_weights() -> None:
    network = load_encoder("dlib-128").network
    got = embed_once(network, synthetic_chip()).numpy()
    # Half-precision weights move a number by 2e-4; leaving out one spatial padding, by 0.1.
    np.testing.assert_allclose(got[: len(DLIB_GOLDEN)], DLIB_GOLDEN, atol=5e-4)


def test_the_last_block_pads_its_convolution_path_instead_of_broadcasting_it() -> None:
    block = Downsample(2, 4)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.zero_()
        block.second.get_parameter("bias").fill_(1.0)
        out = block(torch.zeros(1, 2, 4, 4))
    assert out.shape == (1, 4, 2, 2)
    # The path gives one pixel of 1; dlib puts it into the corner, broadcasting would fill all four.
    assert out[0, 0].tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_embeddings_are_unit_vectors_even_after_a_calibrating_shift() -> None:
    network = build(resnet29_architecture({"5": 2}))
    network.shift.fill_(0.05)
    norm = embed_once(network, synthetic_chip()).norm()
    assert norm.item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.slow
def test_new_blocks_change_nothing_until_they_are_trained() -> None:
    plain = build(resnet29_architecture({"4": 4, "5": 2}))
    deeper = build({**resnet29_architecture({"4": 4, "5": 2}), "deeper": {"2": 1, "5": 2}})
    missing = deeper.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert missing
    assert all(name.startswith("trunk.stages") for name in missing)
    chip = synthetic_chip()
    torch.testing.assert_close(embed_once(plain, chip), embed_once(deeper, chip))


def test_taps_decide_how_many_features_the_head_sees() -> None:
    assert build(resnet29_architecture({"5": 1})).head.in_features == 256
    assert build(resnet29_architecture({"5": 2})).head.in_features == 1024
    assert build(resnet29_architecture({"3": 4, "4": 4, "5": 2})).head.in_features == 7168


@pytest.mark.network
def test_the_inception_trunk_gets_a_head_of_128_numbers() -> None:
    architecture = {
        "network": "inception-resnet-v1",
        "dimension": 128,
        "mean": [127.5] * 3,
        "scale": 128.0,
    }
    network = build(architecture)
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 160, 160)).shape == (1, 128)


@pytest.mark.parametrize(
    "architecture",
    [
        {},
        {"network": "resnet29"},
        {"network": "other", "dimension": 128, "mean": [0, 0, 0], "scale": 1},
        {**resnet29_architecture({"5": 1}), "dimension": -1},
        {**resnet29_architecture({"5": 1}), "mean": [1.0]},
        {**resnet29_architecture({"9": 1})},
        {**resnet29_architecture({"five": 1})},
    ],
)
def test_a_malformed_architecture_is_refused(architecture: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        build(architecture)
