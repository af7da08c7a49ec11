"""The graphs that run: from a model's architecture and weights to an ONNX graph.

A checkpoint holds weights and a card, but no graph: no file decides what is computed. A graph takes
chips (n, 3, size, size), RGB of values 0 to 255, and gives unit vectors (n, dimension). It is made
for ONNX Runtime, which is fast at convolutions, at a ReLU right after one, and at sums of their
maps, all in a memory layout of its own. Anything else has to leave that layout.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from facecli.errors import ModelError
from facecli.models import sface
from facecli.models.block_trunks import ROWS, Convolution
from facecli.models.checkpoints import Weights
from facecli.models.dlib_format import STAGES
from facecli.models.graph_builder import GraphBuilder
from facecli.models.onnx_format import Graph
from facecli.types import ModelCard

CHIPS, EMBEDDINGS = "chips", "embeddings"
"""Names of what goes in and out."""

SMALLEST_HEIGHT = 1e-6
"""As in `networks.lifted`."""


def encoder_graph(card: ModelCard, weights: Weights, *, for_runtime: bool = True) -> Graph:
    """Return the graph of a model.

    `for_runtime` writes each PReLU as operations that ONNX Runtime has in its own layout; without
    it they stay what they are, for other programs. Raises ModelError for an architecture without a
    graph here, and for weights that do not fit it.
    """
    steps = GraphBuilder(weights, for_runtime=for_runtime)
    architecture = card.architecture
    if not has_graph(architecture):
        raise ModelError(f"no graph for the network {architecture.get('network')!r}")
    trunk = _TRUNKS[architecture["network"]]
    try:
        x, width = trunk(steps, _pixels(steps, architecture), architecture)
        embeddings = _embeddings(steps, x, width, architecture)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise ModelError(f"malformed architecture: {error}") from error
    steps.finish(embeddings, EMBEDDINGS)
    size, dimension = card.geometry.size, architecture["dimension"]
    return steps.graph({CHIPS: ("n", 3, size, size)}, {EMBEDDINGS: ("n", dimension)})


def has_graph(architecture: dict[str, Any]) -> bool:
    """Return whether a network runs without PyTorch."""
    return str(architecture.get("network")) in _TRUNKS


def _pixels(steps: GraphBuilder, architecture: dict[str, Any]) -> str:
    """Normalise the chips, and put their mirror images behind them where the model sees both."""
    x = CHIPS
    if architecture.get("mirror"):
        last, end, axis, step = (steps.constant([value]) for value in (-1, -(2**31), 3, -1))
        x = steps.add("Concat", x, steps.add("Slice", x, last, end, axis, step), axis=0)
    mean = np.array(architecture["mean"], np.float32).reshape(1, 3, 1, 1)
    centred = steps.add("Sub", x, steps.constant(mean))
    return steps.add("Div", centred, steps.constant(np.float32(float(architecture["scale"]))))


def _embeddings(steps: GraphBuilder, x: str, width: int, architecture: dict[str, Any]) -> str:
    """Map features (n, width) to unit vectors, as `networks.FaceNetwork.embed_features` does."""
    d = architecture["dimension"]
    raw = steps.linear(x, steps.take("head.weight", (d, width)), steps.take("head.bias", (d,)))
    if architecture.get("joined"):
        raw = _joined(steps, raw, d)
    shift = steps.take("shift", (d,))
    unit = steps.unit(raw)
    if shift.any():
        unit = steps.unit(steps.add("Add", unit, steps.constant(shift)))
    if architecture.get("mirror"):
        views = steps.reshape(unit, 2, -1, d)
        unit = steps.unit(steps.add("ReduceSum", views, steps.constant([0]), keepdims=0))
    return unit


def _joined(steps: GraphBuilder, raw: str, d: int) -> str:
    """Unfold a joined head into two unit vectors, and fold those into one, lifted."""
    weight, bias = steps.take("unfold", (2 * d, d)), steps.take("unfold_bias", (2 * d,))
    both = steps.unit(steps.reshape(steps.linear(raw, weight, bias), -1, 2, d))
    weight, bias = steps.take("fold", (d - 1, 2 * d)), steps.take("fold_bias", (d - 1,))
    low = steps.linear(steps.reshape(both, -1, 2 * d), weight, bias)
    square = steps.add("ReduceSumSquare", low, axes=(-1,), keepdims=1)
    rest = steps.add("Sub", steps.constant(np.float32(1)), square)
    above = steps.add("Max", rest, steps.constant(np.float32(SMALLEST_HEIGHT)))
    return steps.add("Concat", low, steps.add("Sqrt", above), axis=-1)


def _sface(steps: GraphBuilder, x: str, _: dict[str, Any]) -> tuple[str, int]:
    for place, layer in enumerate(sface.layers()):
        name = f"trunk.layers.{place}"
        x = steps.named_convolution(
            x,
            f"{name}.convolution",
            layer.weight_shape,
            stride=layer.stride,
            padding=layer.kernel // 2,
            groups=layer.channels_in if layer.depthwise else 1,
        )
        x = steps.prelu(x, steps.take(f"{name}.activation.weight", (layer.channels_out,)))
    return steps.add("Flatten", x), sface.FEATURES


def _resnet29(steps: GraphBuilder, x: str, architecture: dict[str, Any]) -> tuple[str, int]:
    """Add dlib's network, as `networks.ResNet29` has it; its maps are `side` pixels a side."""
    taps = {int(stage): int(side) for stage, side in architecture["taps"].items()}
    more = {int(stage): int(count) for stage, count in architecture.get("deeper", {}).items()}
    x = steps.add("Relu", steps.named_convolution(x, "trunk.stem", (32, 3, 7, 7), stride=2))
    x = steps.add("MaxPool", x, kernel_shape=(3, 3), strides=(2, 2))
    channels, side = 32, 35
    pooled, width = [], 0
    for stage, (wider, plain, down) in enumerate(STAGES, start=1):
        name = f"trunk.stages.{stage - 1}"
        blocks = range(plain + more.get(stage, 0))
        if down:
            x, side = _downsample(steps, x, f"{name}.0", (channels, wider, side))
        for block in blocks:
            x = _residual(steps, x, f"{name}.{block + down}", wider)
        channels = wider
        if stage in taps:
            pooled.append(_averaged(steps, x, side, taps[stage]))
            width += wider * taps[stage] ** 2
    return steps.add("Concat", *pooled, axis=1), width


def _residual(steps: GraphBuilder, x: str, name: str, width: int) -> str:
    shape = (width, width, 3, 3)
    inner = steps.add("Relu", steps.named_convolution(x, f"{name}.first", shape, padding=1))
    path = steps.named_convolution(inner, f"{name}.second", shape, padding=1)
    return steps.add("Relu", steps.add("Add", path, x))


def _downsample(
    steps: GraphBuilder, x: str, name: str, sizes: tuple[int, int, int]
) -> tuple[str, int]:
    """Add a block that halves the side; `sizes` are channels before and after it, and the side."""
    before, after, side = sizes
    inner = steps.named_convolution(x, f"{name}.first", (after, before, 3, 3), stride=2)
    path = steps.named_convolution(
        steps.add("Relu", inner), f"{name}.second", (after, after, 3, 3), padding=1
    )
    half, of_path = side // 2, (side - 3) // 2 + 1
    if half > of_path:
        gap = half - of_path
        path = steps.add("Pad", path, steps.constant([0, 0, 0, 0, 0, 0, gap, gap]))
    shortcut = steps.add("AveragePool", x, kernel_shape=(2, 2), strides=(2, 2))
    if after > before:
        shortcut = steps.add("Pad", shortcut, steps.constant([0] * 5 + [after - before, 0, 0]))
    return steps.add("Relu", steps.add("Add", path, shortcut)), half


def _averaged(steps: GraphBuilder, x: str, side: int, wanted: int) -> str:
    """Pool maps to `wanted` pixels a side, as PyTorch's adaptive_avg_pool2d does, and flatten."""
    means = np.zeros((wanted, side), np.float32)
    for place in range(wanted):
        start, end = place * side // wanted, -(-(place + 1) * side // wanted)
        means[place, start:end] = 1 / (end - start)
    across = steps.add("MatMul", x, steps.constant(means.T.copy()))
    return steps.add("Flatten", steps.add("MatMul", steps.constant(means), across))


def _blocks(steps: GraphBuilder, x: str, architecture: dict[str, Any]) -> tuple[str, int]:
    """Add a trunk of blocks, as `block_networks.BlockTrunk` has it."""
    row = ROWS[architecture["network"]]
    for place, (block, side) in enumerate(row.sides()):
        y = x
        for number, (convolution, given) in enumerate(block.sides(side)):
            name = f"trunk.layers.{place}.convolutions.{number}"
            y = _convolution_of_block(steps, y, name, convolution, given)
        x = steps.add("Add", x, y) if block.adds else y
    pooled = steps.add("GlobalAveragePool", x) if row.averaged else x
    return steps.add("Flatten", pooled), row.features


def _convolution_of_block(
    steps: GraphBuilder, x: str, name: str, about: Convolution, side: int
) -> str:
    start, end = about.padding(side)
    groups = about.channels_in if about.depthwise else 1
    y = steps.named_convolution(
        x, name, about.weight_shape, stride=about.stride, padding=start, end=end, groups=groups
    )
    if about.limit is None:
        return y
    if np.isinf(about.limit):
        return steps.add("Relu", y)
    return steps.add(
        "Clip", y, steps.constant(np.float32(0)), steps.constant(np.float32(about.limit))
    )


_TRUNKS: dict[str, Callable[[GraphBuilder, str, dict[str, Any]], tuple[str, int]]] = {
    "sface": _sface,
    "resnet29": _resnet29,
    **dict.fromkeys(ROWS, _blocks),
}
"""What adds the trunk of each network, and returns its features (n, width) and their width."""
