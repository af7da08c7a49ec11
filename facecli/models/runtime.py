"""Run graphs on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from facecli.errors import ModelError
from facecli.models.onnx_format import Graph, write
from facecli.types import FloatArray

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "mps": "CoreMLExecutionProvider",
}
"""ONNX Runtime's name of each device."""

HINTS = {
    "cuda": "replace onnxruntime by onnxruntime-gpu: pip install onnxruntime-gpu",
    "mps": "only onnxruntime for macOS has it",
}

ERRORS_ONLY = 3
"""ONNX Runtime's log level: its warnings are about the graph, which is ours."""


def resolve_device(name: str) -> str:
    """Return the device to run on: `auto` takes what there is; raise ModelError if absent."""
    if name == "cpu":
        return name
    import onnxruntime

    there = onnxruntime.get_available_providers()
    if name == "auto":
        return next((one for one in ("cuda", "mps") if PROVIDERS[one] in there), "cpu")
    if name not in PROVIDERS:
        raise ModelError(f"--device {name}: one of cpu, cuda, mps, auto")
    if PROVIDERS[name] not in there:
        raise ModelError(f"--device {name}: not available on this machine; {HINTS[name]}")
    return name


class Session:
    """A graph that is ready to run; it may be used from several threads at once.

    A run takes one core. Several pictures are worked on at once instead, by whoever calls: on two
    cores that is faster than two threads for one picture, and a busy machine slows it less. A pool
    of threads would not survive a fork either, and the warm service forks.
    """

    def __init__(self, graph: Graph, *, device: str = "cpu") -> None:
        """Prepare a graph. Raises ModelError if the device is absent."""
        import onnxruntime

        self.device = resolve_device(device)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        # The arena keeps the largest amount ever needed; without it a warm service stays small.
        options.enable_cpu_mem_arena = False
        self._outputs = list(graph.outputs)
        self._session: Any = onnxruntime.InferenceSession(
            write(graph),
            options,
            providers=list(dict.fromkeys([PROVIDERS[self.device], PROVIDERS["cpu"]])),
        )

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, FloatArray]:
        """Return the outputs by name."""
        given = {name: np.ascontiguousarray(value, np.float32) for name, value in inputs.items()}
        return dict(zip(self._outputs, self._session.run(self._outputs, given), strict=True))
