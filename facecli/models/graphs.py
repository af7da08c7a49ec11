"""The graphs that run: from a model's architecture and weights to an ONNX graph.

A checkpoint holds weights and a card, and no graph: nothing of a file decides what is computed. A
graph takes chips (n, 3, size, size), RGB of values 0 to 255, and gives unit vectors
(n, dimension). It is written for ONNX Runtime, which is fast on convolutions with a fused ReLU in
its own memory layout, and slow on anything else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facecli.models.checkpoints import Weights
from facecli.models.onnx_format import Attribute, Graph, Node, Tensor
from facecli.types import FloatArray

BATCH_SIDE = "n"


class GraphBuilder:
    """Collects operations and weights. A method adds one step and returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.weights: dict[str, Tensor] = {}

    def add(self, operation: str, *inputs: str, **attributes: Attribute) -> str:
        """Add an operation with one output."""
        output = f"x{len(self.nodes)}"
        self.nodes.append(Node(operation, inputs, (output,), attributes))
        return output

    def constant(self, value: Any) -> str:
        """Add a constant."""
        name = f"w{len(self.weights)}"
        self.weights[name] = np.asarray(value)
        return name

    def convolve(
        self, x: str, weight: FloatArray, bias: FloatArray, *, stride: int = 1, padding: int = 0
    ) -> str:
        """Add a convolution; `weight` (out, 1, k, k) means one that is depthwise."""
        groups = len(weight) if weight.shape[1] == 1 else 1
        return self.add(
            "Conv",
            x,
            self.constant(weight),
            self.constant(bias),
            kernel_shape=weight.shape[2:],
            strides=(stride, stride),
            pads=(padding,) * 4,
            group=groups,
        )

    def prelu(self, x: str, slope: FloatArray) -> str:
        """Add a PReLU with a slope of at most 1 for each channel.

        It is x + relu(-(1 - slope)·x): a depthwise convolution of one pixel with a fused ReLU, and
        a sum. So the maps stay in the runtime's blocked layout, which its own PReLU leaves.
        """
        scale = (slope - 1).reshape(-1, 1, 1, 1)
        lowered = self.convolve(x, scale, np.zeros(len(slope), np.float32))
        return self.add("Add", x, self.add("Relu", lowered))
