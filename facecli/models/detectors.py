"""The detectors: YuNet with O-Net on ONNX Runtime, and MTCNN where PyTorch is installed.

Models of objects need none: they take the whole picture. `models.subjects` chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from facecli.errors import MissingExtra, ModelError
from facecli.faces.whole import WholePicture
from facecli.models import DEFAULT_DETECTOR, DETECTORS, NO_DETECTOR, detector_weights
from facecli.models.detector_confirm import confirm
from facecli.models.detector_graphs import onet_graph, yunet_graph
from facecli.models.detector_search import propose
from facecli.models.runtime import Session
from facecli.types import Detection, Detector

SHIPPED = Path(__file__).parent / "yunet-onet.safetensors"
"""The weights of the default detector."""


def load_detector(name: str = DEFAULT_DETECTOR, *, device: str = "cpu") -> Detector:
    """Return a detector by name, on `device`: cpu, cuda, mps or auto.

    `none` is the whole picture. Training has no card yet; everything else asks `detector_for`.
    Raises ModelError for an unknown name, a damaged file or a device that is absent, and
    MissingExtra for MTCNN without its packages.
    """
    if name == DEFAULT_DETECTOR:
        return YuNetONet(device)
    if name == NO_DETECTOR:
        return WholePicture()
    if name not in DETECTORS:
        raise ModelError(f"{name}: no such detector; there are: {', '.join(DETECTORS)}")
    try:
        from facecli.models.mtcnn import MTCNNDetector

        return MTCNNDetector(device)
    except ImportError as error:
        raise MissingExtra(
            "the detector mtcnn needs PyTorch and facenet-pytorch: pip install 'facecli[train]'"
        ) from error


class YuNetONet:
    """YuNet proposes faces, O-Net confirms them and gives the landmarks.

    Pictures go through the networks one by one, so a picture's answer does not depend on the
    others. It may be used from several threads at once.
    """

    version = "yunet-onet-1"

    def __init__(self, device: str = "cpu") -> None:
        weights, self.card = detector_weights.load(SHIPPED)
        self._device = device
        self._yunet = Session(yunet_graph(weights), device=device)
        self._onet = Session(onet_graph(weights), device=device)

    def __reduce__(self) -> tuple[type[YuNetONet], tuple[str]]:
        """Let another process make its own."""
        return YuNetONet, (self._device,)

    def detect(self, pictures: Sequence[Image.Image]) -> list[list[Detection]]:
        """Return the detections of each picture of any mode and size, largest first."""
        return [self._detect_one(picture) for picture in pictures]

    def _detect_one(self, picture: Image.Image) -> list[Detection]:
        rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
        found = confirm(rgb, propose(rgb, self._yunet), self._onet)
        return sorted(found, key=lambda detection: -detection.area)
