"""Settings with loaded networks, for the commands that a service runs."""

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
    "facecli.stores.library.looks",
    "facecli.recognition.enroll",
    "facecli.recognition.identify",
    "facecli.recognition.verify",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "scipy.optimize",
    "sqlite_utils",
)
"""Modules that these commands import when they run."""

WARM_DEVICE = "cpu"
"""Only the CPU: a forked process cannot use the graphics card of its parent."""


class WarmSettings(Settings):
    """Settings that use the loaded networks if the options ask for the same ones.

    `model` describes the file the encoder was loaded from, and `service` are the settings that
    loaded both. If the options name another file, or the file has changed, the encoder is loaded as
    usual.
    """

    def __init__(
        self, detector: Detector, encoder: Encoder, model: ModelFile, *, service: Settings
    ) -> None:
        super().__init__()
        self._warm = (detector, encoder)
        self._loaded = (model, service.precision)
        self._loaded_detector = service.detector_name

    def detector(self) -> Detector:
        """Return the loaded detector, or another one."""
        loaded, encoder = self._warm
        same = self.device == WARM_DEVICE and self.detector_name == self._loaded_detector
        same = same and self.card().subject is encoder.card.subject
        return loaded if same else super().detector()

    def encoder(self) -> Encoder:
        """Return the loaded encoder, or load another model."""
        wanted = (model_file(self.model_name), self.precision)
        same = self.device == WARM_DEVICE and wanted == self._loaded
        return self._warm[1] if same else super().encoder()


ModelFile = tuple[Path, int, int, int] | None


def model_file(name: str) -> ModelFile:
    """Return a model's path, inode, size and time of change, or None if there is no file."""
    from facecli.models.encoders import find_model

    try:
        path = find_model(name).resolve()
        found = path.stat()
    except (FacecliError, OSError):
        return None
    return path, found.st_ino, found.st_size, found.st_mtime_ns


def warm_up(detector: Detector, encoder: Encoder) -> None:
    """Import the modules of the commands, and run both networks once."""
    import numpy as np
    from PIL import Image

    for name in NEEDED:
        importlib.import_module(name)
    size = encoder.card.geometry.size
    detector.detect([Image.new("RGB", (size, size))])
    encoder.embed(np.zeros((1, size, size, 3), np.uint8))
