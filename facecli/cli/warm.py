"""Settings whose networks are loaded already, for commands run by a service."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from facecli.cli.settings import Settings
from facecli.errors import FacecliError

if TYPE_CHECKING:
    from facecli.types import Detector, Encoder

NEEDED = (
    "facecli.calibration.verifier",
    "facecli.cli.enroll",
    "facecli.cli.identify",
    "facecli.cli.verify",
    "facecli.stores.gallery.sqlite.store",
    "facecli.recognition.enroll",
    "facecli.recognition.identify",
    "facecli.recognition.verify",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "scipy.optimize",
    "sqlite_utils",
)
"""What those commands import when they are run."""

WARM_DEVICE = "cpu"
"""A graphics card cannot be shared with a fork."""


class WarmSettings(Settings):
    """Settings that use these networks wherever the options ask for the same ones.

    `model` is the file the encoder was loaded from and `state` its state then: another file is
    loaded in the ordinary way.
    """

    def __init__(self, detector: Detector, encoder: Encoder, model: ModelFile) -> None:
        super().__init__()
        self._warm = (detector, encoder)
        self._loaded = model

    def detector(self) -> Detector:
        """Return the warm detector, or another for another device."""
        return self._warm[0] if self.device == WARM_DEVICE else super().detector()

    def encoder(self) -> Encoder:
        """Return the warm encoder, or load another model."""
        same = self.device == WARM_DEVICE and model_file(self.model_name) == self._loaded
        return self._warm[1] if same else super().encoder()


ModelFile = tuple[Path, int, int, int] | None


def model_file(name: str) -> ModelFile:
    """Return a model's file with what changes when it does; None if there is none."""
    from facecli.models.encoders import find_model

    try:
        path = find_model(name).resolve()
        found = path.stat()
    except (FacecliError, OSError):
        return None
    return path, found.st_ino, found.st_size, found.st_mtime_ns


def warm_up(detector: Detector, encoder: Encoder) -> None:
    """Import what commands would, and let the networks prepare what they prepare once."""
    import numpy as np
    from PIL import Image

    for name in NEEDED:
        importlib.import_module(name)
    size = encoder.card.geometry.size
    detector.detect([Image.new("RGB", (size, size))])
    encoder.embed(np.zeros((1, size, size, 3), np.uint8))
