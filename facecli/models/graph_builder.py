"""Collects the operations of a graph, and sees that every weight is there and is used."""

from __future__ import annotations

from typing import Any

import numpy as np

from facecli.errors import ModelError
from facecli.models.checkpoints import Weights
from facecli.models.onnx_format import FLOAT, Attribute, Graph, Node, Shape, Tensor

SMALLEST_NORM = 1e-12


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

    def convolve(
        self, x: str, weight: Tensor, bias: Tensor, *, end: int | None = None, **how: int
    ) -> str:
        """Add a convolution, with `stride`, `padding` and `groups`.

        `end` is the padding after rows and columns where it differs from that before them.
        """
        start = how.get("padding", 0)
        end = start if end is None else end
        return self.add(
            "Conv",
            x,
            self.constant(weight),
            self.constant(bias),
            kernel_shape=weight.shape[2:],
            strides=(how.get("stride", 1),) * 2,
            pads=(start, start, end, end),
            group=how.get("groups", 1),
        )

    def named_convolution(
        self,
        x: str,
        name: str,
        shape: tuple[int, int, int, int],
        *,
        end: int | None = None,
        **how: int,
    ) -> str:
        """Add the convolution whose weights have a name."""
        weight, bias = self.take(f"{name}.weight", shape), self.take(f"{name}.bias", shape[:1])
        return self.convolve(x, weight, bias, end=end, **how)

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
