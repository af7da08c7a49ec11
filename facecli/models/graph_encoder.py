"""The encoder that runs a model's graph: on ONNX Runtime, and on OpenVINO for many chips."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from facecli.errors import MissingExtra
from facecli.faces.chips import stack_chips
from facecli.models import checkpoints, openvino_runtime
from facecli.models.graphs import CHIPS, EMBEDDINGS, encoder_graph
from facecli.models.runtime import Session
from facecli.types import FloatArray, ModelCard, PixelArray

BATCH = 8
"""Chips per run: more take longer for each, since their maps no longer fit the caches."""

MANY = 256
"""Chips after which OpenVINO takes over: it starts in 0.8 s, and saves 4 ms a chip."""


class GraphEncoder:
    """An encoder that runs a graph; implements the Encoder protocol, from any thread.

    `precision` is float32, or bf16 for OpenVINO on processors that have it. Then a pair's squared
    L2 moves by up to 0.01.
    """

    def __init__(
        self,
        weights: checkpoints.Weights,
        card: ModelCard,
        *,
        device: str = "cpu",
        precision: str = "float32",
    ) -> None:
        if precision != "float32" and not openvino_runtime.is_installed():
            raise MissingExtra(
                f"--precision {precision} needs OpenVINO: pip install 'facecli[openvino]'"
            )
        self.card = card
        self._precision = precision
        self._session = Session(encoder_graph(card, weights), device=device)
        self.device = self._session.device
        self._bulk: openvino_runtime.Compiled | None = None
        self._bulky = self.device == "cpu" and openvino_runtime.is_installed()
        self._weights = weights if self._bulky else {}
        self._seen = 0
        self._lock = threading.Lock()

    def embed(self, chips: Sequence[PixelArray] | PixelArray) -> FloatArray:
        """Embed uint8 (n, size, size, 3) RGB chips as unit vectors, float32 (n, d).

        With `mirror` in the architecture each is the normalised mean over the chip and its
        mirror image.
        """
        runtime = self._runtime(len(chips))
        vectors = [np.empty((0, self.card.dimension), np.float32)]
        for start in range(0, len(chips), BATCH):
            batch = stack_chips(chips[start : start + BATCH], self.card.geometry.size)
            planes = np.ascontiguousarray(batch.transpose(0, 3, 1, 2), np.float32)
            vectors.append(runtime.run({CHIPS: planes})[EMBEDDINGS])
        return np.concatenate(vectors)

    def _runtime(self, chips: int) -> Session | openvino_runtime.Compiled:
        """Count the chips, and return what runs them."""
        if not self._bulky:
            return self._session
        with self._lock:
            self._seen += chips
            if self._bulk is None and self._seen >= MANY:
                graph = encoder_graph(self.card, self._weights, for_runtime=False)
                self._bulk = openvino_runtime.Compiled(graph, precision=self._precision)
            return self._bulk or self._session
