"""Opening a recognizer from names and paths, for programs."""

from __future__ import annotations

import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from facecli.recognition.networks import Networks
from facecli.recognition.recognizer import Recognizer
from facecli.stores.address import users_gallery
from facecli.stores.opening import gallery_at
from facecli.vectors.distances import check_squared_l2

if TYPE_CHECKING:
    from facecli.types import Detector, Encoder, ModelCard


def open_recognizer(
    gallery: str | Path | None = None,
    *,
    model: str | None = None,
    threshold: float | None = None,
    device: str = "cpu",
) -> Recognizer:
    """Return a Recognizer on a gallery, which is created when the first person is enrolled.

    `gallery` is the path of a database, or a URL `postgresql://USER@HOST/DATABASE` as text; None
    means FACECLI_DB, or gallery.db in the user's data folder. `model` is a model's name or a
    checkpoint file; None means the default model. `threshold` is the largest squared L2, 0 to 4,
    that counts as the same person; None means the calibrated one, or the model's own. `device` is
    cpu, cuda, mps or auto.

    Nothing is opened or loaded before it is needed. Raises ValueError for a threshold out of range.
    """
    if threshold is not None:
        check_squared_l2(threshold, "threshold")
    loaded = _Loaded(model, device)
    networks = Networks(card=loaded.read_card, detector=loaded.detector, encoder=loaded.encoder)
    place = gallery_at(users_gallery() if gallery is None else gallery)
    return Recognizer(networks, place, threshold=threshold)


class _Loaded:
    """Networks that are loaded once, by whichever thread needs them first."""

    def __init__(self, model: str | None, device: str) -> None:
        self._model = model
        self._device = device
        self._lock = threading.Lock()

    def read_card(self) -> ModelCard:
        with self._lock:
            return self._card

    def detector(self) -> Detector:
        with self._lock:
            return self._detector

    def encoder(self) -> Encoder:
        with self._lock:
            return self._encoder

    @cached_property
    def _name(self) -> str:
        from facecli.models.encoders import DEFAULT_MODEL

        return self._model or DEFAULT_MODEL

    @cached_property
    def _card(self) -> ModelCard:
        from facecli.models.encoders import read_card

        return read_card(self._name)

    @cached_property
    def _detector(self) -> Detector:
        from facecli.models.subjects import detector_for

        return detector_for(self._card, device=self._device)

    @cached_property
    def _encoder(self) -> Encoder:
        from facecli.models.encoders import load_encoder

        return load_encoder(self._name, device=self._device)
