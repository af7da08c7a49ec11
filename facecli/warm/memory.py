"""Remember the answers of the networks, so that nothing is computed twice."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from facecli.types import Detection, Detector, Encoder, FloatArray, ModelCard, PixelArray

KEPT = 4096
"""Most answers kept; each takes about a kilobyte."""

ROWS = 64
"""Rows of a picture that are hashed at a time."""


class Memory:
    """The latest answers of the networks, by a hash of the question; kept in memory only.

    A network always gives the same answer to the same question, so only the time changes. `learnt`
    are the answers that were not known when this process started.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, Any] = OrderedDict()
        self.learnt: dict[bytes, Any] = {}

    def recall(self, key: bytes, work_out: Callable[[], Any]) -> Any:
        """Return the answer to a question; compute it if it is new."""
        if key not in self._known:
            self._known[key] = self.learnt[key] = work_out()
        return self._known[key]

    def absorb(self, learnt: dict[bytes, Any]) -> None:
        """Add what another process has learnt, and forget the oldest answers beyond the limit."""
        for key, answer in learnt.items():
            self._known[key] = answer
            self._known.move_to_end(key)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)


class RememberingDetector:
    """A Detector that searches no picture twice."""

    def __init__(self, detector: Detector, memory: Memory) -> None:
        self._detector = detector
        self.version = detector.version
        self.search_side: float = getattr(detector, "search_side", math.inf)
        self._memory = memory

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Return the detections of each picture; they do not depend on the other pictures."""
        return [self._detect_one(picture) for picture in pictures]

    def _detect_one(self, picture: Image.Image) -> list[Detection]:
        question = hashlib.sha256(f"detect {picture.mode} {picture.size} ".encode())
        # Not all pixels at once: they would take another three quarters of the picture's memory.
        for top in range(0, picture.height, ROWS):
            rows = (0, top, picture.width, min(top + ROWS, picture.height))
            question.update(picture.crop(rows).tobytes())
        found: list[Detection] = self._memory.recall(
            question.digest(), lambda: self._detector.detect([picture])[0]
        )
        return list(found)


class RememberingEncoder:
    """An Encoder that embeds no batch twice.

    A batch is remembered as a whole: in another batch, the last digits of an embedding may differ.
    """

    def __init__(self, encoder: Encoder, memory: Memory) -> None:
        self._encoder = encoder
        self._memory = memory

    @property
    def card(self) -> ModelCard:
        """The model's card."""
        return self._encoder.card

    def embed(self, chips: Sequence[PixelArray] | PixelArray) -> FloatArray:
        """Embed chips as the encoder does."""
        question = hashlib.sha256(f"embed {self.card.fingerprint} {len(chips)} ".encode())
        for chip in chips:
            question.update(np.asarray(chip).tobytes())
        vectors: FloatArray = self._memory.recall(
            question.digest(), lambda: self._encoder.embed(chips)
        )
        return vectors.copy()
