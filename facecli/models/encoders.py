"""The table of models, and how one is loaded.

Three kinds of model: those shipped in the package, those that `facecli train` or `facecli models
import-dlib` wrote (in the user's model folder, or any path), and facenet-pytorch's two
InceptionResnetV1 networks, whose weights a user brings. Only networks without a graph need PyTorch.
Bare trunks have a card too, since training may start from them.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from facecli.errors import ModelError, check_extra
from facecli.faces.chips import geometry_at
from facecli.models import DIMENSION, TRUNKS, checkpoints
from facecli.models.graphs import has_graph
from facecli.text import shown
from facecli.types import Encoder, ModelCard

if TYPE_CHECKING:
    import torch

DEFAULT_MODEL = "facecli-128"

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
    if name_or_path in TRUNKS:
        from facecli.models.bare_trunks import BARE_TRUNKS  # nothing else needs to load it

        return BARE_TRUNKS[name_or_path].card()
    return checkpoints.read_card(find_model(name_or_path))


def load_encoder(
    name_or_path: str = DEFAULT_MODEL, *, device: str = "cpu", precision: str = "float32"
) -> Encoder:
    """Load a model for embedding on `device`: cpu, cuda, mps or auto.

    `precision` is as in GraphEncoder. Raises ModelError for a model that is missing or damaged, for
    a trunk without a head and for a device that is absent, and MissingExtra for a network that only
    PyTorch runs.
    """
    if name_or_path in INCEPTION:
        load_inception(name_or_path)
        raise ModelError(
            f"{name_or_path} is a trunk that gives 512 numbers, without a head; make its "
            f"{DIMENSION}-d head with: facecli train DATA --init {name_or_path} --out MODEL"
        )
    if name_or_path in TRUNKS:
        raise ModelError(
            f"{name_or_path} is a trunk without a head; make a model of it with: "
            f"facecli train DATA --detector none --trunk {name_or_path} --out MODEL"
        )
    path = find_model(name_or_path)
    card = checkpoints.read_card(path)
    if has_graph(card.architecture):
        from facecli.models.graph_encoder import GraphEncoder

        return GraphEncoder(path, device=device, precision=precision)
    _check_torch(card.name)
    from facecli.models.torch_encoder import load_torch_encoder

    return load_torch_encoder(*checkpoints.load(path), device=device, source=name_or_path)


def _check_torch(name: str) -> None:
    check_extra("torch", "train", f"the model {shown(name)}")


def load_inception(name: str) -> dict[str, torch.Tensor]:
    """Return the trunk weights of one of facenet-pytorch's networks from the user's file.

    Raises ModelError with where to put the file when it is missing, and when its SHA-256 is not
    the published one.
    """
    entry = INCEPTION[name]
    path = user_models() / entry.file
    if not path.is_file():
        raise ModelError(
            f"{name}: weights are not installed; download {entry.file} from the v2.2.9 release "
            f"of timesler/facenet-pytorch on a machine with a network and put it at {path}"
        )
    if entry.sha256 not in (None, digest := sha256_of(path)):
        raise ModelError(f"{path}: SHA-256 {digest} is not the published {entry.sha256}")
    _check_torch(name)
    from facecli.models.torch_encoder import read_inception

    return read_inception(path)


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
