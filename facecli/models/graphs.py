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
from facecli.models.checkpoints import Weights
from facecli.models.dlib_format import STAGES
from facecli.models.onnx_format import FLOAT, Attribute, Graph, Node, Shape, Tensor
from facecli.types import ModelCard

CHIPS, EMBEDDINGS = "chips", "embeddings"
"""Names of what goes in and out."""

SMALLEST_NORM = 1e-12
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


class GraphBuilder:
    """Collects operations and their weights. A method adds a step and returns its output's name."""

    def __init__(self, weights: Weights, *, for_runtime: bool = True) -> None:
        self._left = dict(weights)
        self._for_runtime = for_runtime
        self._nodes: list[Node] = []
        self._weights: dict[str, Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """Return a weight as it is stored; raise ModelError if it is missing or misshapen."""
        if name not in self._left:
            raise ModelError(f"weights {name} are missing")
        value = self._left.pop(name)
        if value.shape != shape:
            raise ModelError(f"weights {name} have the shape {value.shape}, not {shape}")
        return value

    def graph(self, inputs: dict[str, Shape], outputs: dict[str, Shape]) -> Graph:
        """Return all steps as a graph; raise ModelError if weights are left over."""
        if self._left:
            raise ModelError(f"weights {min(self._left)} belong to no part of the network")
        return Graph(tuple(self._nodes), self._weights, inputs, outputs)

    def add(self, operation: str, *inputs: str, **attributes: Attribute) -> str:
        """Add an operation with one output."""
        output = f"x{len(self._nodes)}"
        self._nodes.append(Node(operation, inputs, (output,), attributes))
        return output

    def finish(self, x: str, name: str) -> None:
        """Give a result its name in the graph."""
        self._nodes.append(Node("Identity", (x,), (name,)))

    def constant(self, value: Any) -> str:
        """Add a constant: numbers of the type they have, Python's own as int64.

        Half precision stays that in the file. The runtime widens it once, when it loads the graph:
        that takes less memory and time than to do it here.
        """
        name = f"w{len(self._weights)}"
        numbers = self._weights[name] = np.asarray(value)
        return self.add("Cast", name, to=FLOAT) if numbers.dtype == np.float16 else name

    def convolve(self, x: str, weight: Tensor, bias: Tensor, **how: int) -> str:
        """Add a convolution, with `stride`, `padding` and `groups`."""
        return self.add(
            "Conv",
            x,
            self.constant(weight),
            self.constant(bias),
            kernel_shape=weight.shape[2:],
            strides=(how.get("stride", 1),) * 2,
            pads=(how.get("padding", 0),) * 4,
            group=how.get("groups", 1),
        )

    def named_convolution(
        self, x: str, name: str, shape: tuple[int, int, int, int], **how: int
    ) -> str:
        """Add the convolution whose weights have a name."""
        weight, bias = self.take(f"{name}.weight", shape), self.take(f"{name}.bias", shape[:1])
        return self.convolve(x, weight, bias, **how)

    def prelu(self, x: str, slope: Tensor) -> str:
        """Add a PReLU; `slope` (channels,) is the factor of negative numbers.

        With slopes of at most 1 it is x + relu((slope - 1)·x), else
        slope·x + (1 - slope)·relu(x). Both factors are depthwise convolutions of one pixel, so the
        maps stay in the runtime's layout: all of SFace takes half the time of its PReLU.
        """
        factor = slope.astype(np.float32).reshape(-1, 1, 1, 1)
        nothing = np.zeros(len(slope), np.float32)
        if not self._for_runtime:
            return self.add("PRelu", x, self.constant(slope.reshape(-1, 1, 1)))
        if (slope <= 1).all():
            lowered = self.convolve(x, factor - 1, nothing, groups=len(slope))
            return self.add("Add", x, self.add("Relu", lowered))
        low = self.convolve(x, factor, nothing, groups=len(slope))
        high = self.convolve(self.add("Relu", x), 1 - factor, nothing, groups=len(slope))
        return self.add("Add", high, low)

    def linear(self, x: str, weight: Tensor, bias: Tensor) -> str:
        """Add x · weightᵀ + bias."""
        return self.add("Gemm", x, self.constant(weight), self.constant(bias), transB=1)

    def unit(self, x: str) -> str:
        """Scale vectors along the last axis to length 1."""
        norm = self.add("ReduceL2", x, axes=(-1,), keepdims=1)
        return self.add("Div", x, self.add("Max", norm, self.constant(np.float32(SMALLEST_NORM))))

    def reshape(self, x: str, *shape: int) -> str:
        """Change the shape; -1 is the side that follows from the others."""
        return self.add("Reshape", x, self.constant(shape))


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


_TRUNKS: dict[str, Callable[[GraphBuilder, str, dict[str, Any]], tuple[str, int]]] = {
    "sface": _sface,
    "resnet29": _resnet29,
}
"""What adds the trunk of each network, and returns its features (n, width) and their width."""
