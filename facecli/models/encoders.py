"""The table of models, and the encoder that turns chips into embeddings.

Three kinds of model: those shipped in the package, those that `facecli train` or `facecli models
import-dlib` wrote (in the user's model folder, or any path), and facenet-pytorch's two
InceptionResnetV1 networks, whose weights a user brings. PyTorch is imported only to embed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import platformdirs

from facecli.errors import ModelError
from facecli.faces.chips import geometry_at
from facecli.models import DIMENSION, checkpoints
from facecli.types import FloatArray, ModelCard, PixelArray

if TYPE_CHECKING:
    import torch

    from facecli.models.networks import FaceNetwork

DEFAULT_MODEL = "facecli-128"

BATCH = 32
"""Chips per forward pass, each with its mirror image: measured fastest on two cores."""

SMALL = 8
"""Batches up to this run on one thread: on a busy machine a second one waits more than it helps."""

SHIPPED = Path(__file__).parent
DETECTOR = SHIPPED / "yunet-onet.safetensors"
"""The weights of the face detector, which is no model of faces."""


@dataclasses.dataclass(frozen=True, slots=True)
class PretrainedInception:
    """Weights of facenet-pytorch's InceptionResnetV1 that users bring as a file.

    `sha256` is None where no independently published hash is known to us; the file is then still
    read with `weights_only=True`, and its own hash becomes part of the fingerprint.
    """

    file: str
    sha256: str | None
    data: str


INCEPTION: dict[str, PretrainedInception] = {
    "inception-vggface2": PretrainedInception(
        "20180402-114759-vggface2.pt",
        "281cebca8662831adb987a874bdcb36e73f5b1c6dc5ee5878f305e985625d99b",
        "VGGFace2",
    ),
    "inception-casia-webface": PretrainedInception(
        "20180408-102900-casia-webface.pt", None, "CASIA-WebFace"
    ),
}


def user_models() -> Path:
    """Return the folder of the user's own models; it may not exist yet."""
    return platformdirs.user_data_path("facecli") / "models"


def find_model(name_or_path: str) -> Path:
    """Return the checkpoint a name or path stands for; the user's models come before ours."""
    if name_or_path.endswith(".safetensors") or "/" in name_or_path or "\\" in name_or_path:
        return Path(name_or_path)
    for folder in (user_models(), SHIPPED):
        path = folder / f"{name_or_path}.safetensors"
        if path.is_file():
            return path
    names = ", ".join(card.name for card in model_cards())
    raise ModelError(f"{name_or_path}: no such model; there are: {names}")


def model_cards(on_damage: Callable[[ModelError], None] = lambda _: None) -> list[ModelCard]:
    """Return the cards of all models that can be named, ours and the user's, by name.

    A file that cannot be read is passed over, and `on_damage` is told.
    """
    paths = {
        path.stem: path
        for folder in (SHIPPED, user_models())
        if folder.is_dir()
        for path in sorted(folder.glob("*.safetensors"))
        if path != DETECTOR
    }
    cards = []
    for path in paths.values():
        try:
            cards.append(checkpoints.read_card(path))
        except ModelError as error:
            on_damage(error)
    return sorted([*cards, *map(_inception_card, INCEPTION)], key=lambda card: card.name)


def read_card(name_or_path: str) -> ModelCard:
    """Return a model's card; raise ModelError if there is none."""
    if name_or_path in INCEPTION:
        return _inception_card(name_or_path)
    return checkpoints.read_card(find_model(name_or_path))


def load_encoder(name_or_path: str = DEFAULT_MODEL, *, device: str = "cpu") -> NetworkEncoder:
    """Load a model for embedding on `device`: cpu, cuda, mps or auto.

    Raises ModelError for a model that is missing or damaged, and for a trunk without a head.
    """
    if name_or_path in INCEPTION:
        load_inception(name_or_path)
        raise ModelError(
            f"{name_or_path} is a trunk that gives 512 numbers, without a head; make its "
            f"{DIMENSION}-d head with: facecli train DATA --init {name_or_path} --out MODEL"
        )
    from facecli.models.networks import build

    weights, card = checkpoints.load(find_model(name_or_path))
    network = build(card.architecture)
    load_weights(network, weights, source=name_or_path)
    return NetworkEncoder(network, card, device=device)


def load_weights(network: FaceNetwork, weights: checkpoints.Weights, *, source: str) -> None:
    """Put checkpoint weights into a network in single precision; raise ModelError on any gap."""
    import torch

    state = {
        name: torch.from_numpy(
            tensor.astype(np.float32 if tensor.dtype.kind == "f" else tensor.dtype)
        )
        for name, tensor in weights.items()
    }
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{source}: its weights do not fit its architecture") from error


class NetworkEncoder:
    """An encoder that runs a network; implements the Encoder protocol."""

    def __init__(self, network: FaceNetwork, card: ModelCard, *, device: str = "cpu") -> None:
        import torch

        self.card = card
        self.device = torch.device(resolve_device(device))
        # PyTorch's stubs lack this form of `to`; channels_last runs a fifth faster on a CPU.
        self.network: FaceNetwork = network.eval().to(  # type: ignore[call-overload]
            self.device, memory_format=torch.channels_last
        )

    def embed(self, chips: Sequence[PixelArray] | PixelArray) -> FloatArray:
        """Embed uint8 (n, size, size, 3) RGB chips as unit vectors, float32 (n, d).

        With `mirror` in the architecture each is the normalised mean over the chip and its
        mirror image.
        """
        size = self.card.geometry.size
        batches = []
        for start in range(0, len(chips), BATCH):
            batch = np.stack([np.asarray(chip) for chip in chips[start : start + BATCH]])
            if batch.shape[1:] != (size, size, 3) or batch.dtype != np.uint8:
                raise ValueError(f"chips must be uint8 (n, {size}, {size}, 3), not {batch.shape}")
            batches.append(self._forward(batch))
        return (
            np.concatenate(batches) if batches else np.empty((0, self.card.dimension), np.float32)
        )

    def _forward(self, batch: PixelArray) -> FloatArray:
        import torch
        from torch.nn.functional import normalize

        from facecli.models.mtcnn import single_thread

        small = single_thread() if len(batch) <= SMALL else contextlib.nullcontext()
        with small, torch.inference_mode():
            pixels = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2).float()
            if self.card.architecture.get("mirror"):
                both = self.network(torch.cat([pixels, pixels.flip(3)]))
                vectors = normalize(both[: len(batch)] + both[len(batch) :])
            else:
                vectors = self.network(pixels)
            result: FloatArray = vectors.float().cpu().numpy()
        return result


def resolve_device(name: str) -> str:
    """Return the device to run on: `auto` takes what there is; raise ModelError if absent."""
    import torch

    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return next(device for device, there in available.items() if there)
    if not available.get(name, False):
        raise ModelError(f"--device {name}: not available on this machine")
    return name


def load_inception(name: str) -> dict[str, torch.Tensor]:
    """Return the trunk weights of one of facenet-pytorch's networks from the user's file.

    Raises ModelError with where to put the file when it is missing, and when its SHA-256 is not
    the published one.
    """
    import torch

    entry = INCEPTION[name]
    path = user_models() / entry.file
    if not path.is_file():
        raise ModelError(
            f"{name}: weights are not installed; download {entry.file} from the v2.2.9 release "
            f"of timesler/facenet-pytorch on a machine with a network and put it at {path}"
        )
    if entry.sha256 not in (None, digest := sha256_of(path)):
        raise ModelError(f"{path}: SHA-256 {digest} is not the published {entry.sha256}")
    try:
        state: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a damaged file
        raise ModelError(f"{path}: cannot be read as weights") from error
    return {f"trunk.body.{key}": state[key] for key in state if not key.startswith("logits.")}


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _inception_card(name: str) -> ModelCard:
    entry = INCEPTION[name]
    return ModelCard(
        name=name,
        fingerprint=entry.sha256 or "",
        architecture={
            "network": "inception-resnet-v1",
            "dimension": DIMENSION,
            "mean": [127.5, 127.5, 127.5],
            "scale": 128.0,
            "mirror": True,
        },
        geometry=geometry_at(160),
        dimension=512,
        threshold=1.1,
        threshold_source="none: this trunk has no 128-d head yet",
        licence="MIT (weights); the training data's terms differ",
        description=f"facenet-pytorch's InceptionResnetV1 trained on {entry.data}; 512 numbers",
        source=f"timesler/facenet-pytorch v2.2.9, {entry.file}",
        data=({"name": entry.data, "terms": "research; withdrawn by its authors"},),
    )
