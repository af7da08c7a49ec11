"""Run graphs on OpenVINO, from the extra `openvino`: slow to start, fast for many chips."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from facecli.models.onnx_format import Graph, write
from facecli.types import FloatArray

HINTS = {"float32": "f32", "bf16": "bf16"}
"""OpenVINO's names of the precisions."""


def is_installed() -> bool:
    """Return whether OpenVINO can be imported, without importing it."""
    return importlib.util.find_spec("openvino") is not None


class Compiled:
    """A compiled graph. Its results differ from ONNX Runtime's in the last digits."""

    def __init__(self, graph: Graph, *, precision: str = "float32") -> None:
        """Compile a graph for the CPU. Raises KeyError for another precision."""
        import openvino

        kind = HINTS[precision]
        settings = {"INFERENCE_PRECISION_HINT": kind, "PERFORMANCE_HINT": "LATENCY"}
        core: Any = openvino.Core()
        self._outputs = list(graph.outputs)
        self._compiled = core.compile_model(core.read_model(write(graph)), "CPU", settings)
        # One call uses all cores. Two at once are no faster, and have been seen to wait for each
        # other for ever.
        self._one_at_a_time = threading.Lock()

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, FloatArray]:
        """Return the outputs by name; may be called from any thread."""
        with self._one_at_a_time:
            results = self._compiled.create_infer_request().infer(dict(inputs))
            return {name: results[name].copy() for name in self._outputs}
