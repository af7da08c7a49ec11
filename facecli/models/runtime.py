"""Run graphs on ONNX Runtime."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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


M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Parameters of glibc's mallopt (mallopt(3))."""

WHILE_LOADING = 2**18
AFTERWARDS = 2**25
"""Bytes from which glibc maps a block by itself, and so returns it to the system when it is freed.

Loading a network frees copies of its weights, which would stay in the process: 35 MB of SFace.
Later, blocks that come and go with each run are kept, which takes half the time. With 2**23 the
search for faces took a quarter longer, for 120 MB less at 59 megapixels and 17 MB less at 6.
"""

_counting = threading.Lock()
_loading = 0
"""How many networks are being loaded now."""


@contextmanager
def _large_blocks_returned() -> Iterator[None]:
    """Let freed copies of weights go back to the system, where the C library is glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        yield
        return
    global _loading
    with _counting:
        _loading += 1
        mallopt(M_ARENA_MAX, 1)  # else each thread keeps memory of its own: 20 MB after one photo
        mallopt(M_MMAP_THRESHOLD, WHILE_LOADING)
    try:
        yield
    finally:
        with _counting:
            _loading -= 1
            if not _loading:
                mallopt(M_MMAP_THRESHOLD, AFTERWARDS)
                mallopt(M_TRIM_THRESHOLD, 2 * AFTERWARDS)


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
        providers = list(dict.fromkeys([PROVIDERS[self.device], PROVIDERS["cpu"]]))
        with _large_blocks_returned():
            self._session: Any = onnxruntime.InferenceSession(
                write(graph), options, providers=providers
            )

    def run(self, inputs: Mapping[str, npt.NDArray[Any]]) -> dict[str, FloatArray]:
        """Return the outputs by name."""
        given = {name: np.ascontiguousarray(value, np.float32) for name, value in inputs.items()}
        return dict(zip(self._outputs, self._session.run(self._outputs, given), strict=True))
