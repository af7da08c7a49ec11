"""The encoder that runs a model's graph: on ONNX Runtime, and on OpenVINO for many chips."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from facecli.errors import MissingExtra, ModelError
from facecli.faces.chips import stack_chips
from facecli.models import checkpoints, openvino_runtime
from facecli.models.graphs import CHIPS, EMBEDDINGS, encoder_graph
from facecli.models.onnx_format import Graph
from facecli.models.runtime import Session
from facecli.types import FloatArray, ModelCard, PixelArray

BATCH = 4
"""Chips per run. On an idle core facecli-128 takes 14.0, 13.4, 13.5 and 16.0 ms for each of 1, 4, 8
and 32 chips; on a busy one 8 take a third longer for each than 1 to 4, whose maps fit the caches.
"""

MANY = 256
"""Chips after which OpenVINO takes over: it starts in 0.8 s, and saves 4 ms a chip."""


class GraphEncoder:
    """An encoder that runs a graph; implements the Encoder protocol, from any thread."""

    def __init__(self, path: Path, *, device: str = "cpu", precision: str = "float32") -> None:
        """Load a checkpoint whose network has a graph.

        `precision` is float32, or bf16 for OpenVINO on processors that have it. Then a pair's
        squared L2 moves by up to 0.01. Raises ModelError for a checkpoint that is damaged and for a
        device that is absent, and MissingExtra for bf16 without OpenVINO.
        """
        if precision != "float32" and not openvino_runtime.is_installed():
            raise MissingExtra(
                f"--precision {precision} needs OpenVINO: pip install 'facecli[openvino]'"
            )
        graph, self.card = _read(path, for_runtime=True)
        self._session = Session(graph, device=device)
        self.device = self._session.device
        self._path = path
        self._precision = precision
        self._bulky = self.device == "cpu" and openvino_runtime.is_installed()
        self._bulk: openvino_runtime.Compiled | None = None
        self._seen = 0
        self._lock = threading.Lock()

    def embed(self, chips: Sequence[PixelArray] | PixelArray) -> FloatArray:
        """Embed uint8 (n, size, size, 3) RGB chips as unit vectors, float32 (n, d).

        With `mirror` in the architecture each is the normalised mean over the chip and its
        mirror image. Each core embeds a batch of its own.
        """
        runtime = self._runtime(len(chips))

        def run(batch: PixelArray) -> FloatArray:
            planes = np.ascontiguousarray(batch.transpose(0, 3, 1, 2), np.float32)
            return runtime.run({CHIPS: planes})[EMBEDDINGS]

        batches = [
            stack_chips(chips[start : start + BATCH], self.card.geometry.size)
            for start in range(0, len(chips), BATCH)
        ]
        if len(batches) < 2:
            vectors = list(map(run, batches))
        else:
            with ThreadPoolExecutor(min(len(batches), os.cpu_count() or 1)) as pool:
                vectors = list(pool.map(run, batches))
        return np.concatenate([np.empty((0, self.card.dimension), np.float32), *vectors])

    def _runtime(self, chips: int) -> Session | openvino_runtime.Compiled:
        """Count the chips, and return what runs them."""
        if not self._bulky:
            return self._session
        with self._lock:
            self._seen += chips
            if self._bulk is None and self._seen >= MANY:
                graph, _ = _read(self._path, for_runtime=False)
                self._bulk = openvino_runtime.Compiled(graph, precision=self._precision)
            return self._bulk or self._session


def _read(path: Path, *, for_runtime: bool) -> tuple[Graph, ModelCard]:
    """Return a checkpoint's graph and card; raise ModelError, with its name, if it is damaged."""
    weights, card = checkpoints.load(path)
    try:
        return encoder_graph(card, weights, for_runtime=for_runtime), card
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
