"""The start of a run: the weights of another model, and a new head if its head does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from facecli.errors import TrainingError
from facecli.models import checkpoints, encoders
from facecli.models.bare_trunks import BARE_TRUNKS, trunk_weights
from facecli.models.networks import FaceNetwork, build
from facecli.models.torch_encoder import load_weights
from facecli.training.config import TrainingConfig
from facecli.training.head import CHIPS_AT_ONCE, even_out, features_of, fit_head, principal_targets
from facecli.training.joint import SAMPLE, fit_joined
from facecli.types import FloatArray, IntArray, ModelCard, PixelArray, Subject

STAGES = ("1", "2", "3", "4", "5")
"""The stages of a ResNet-29, as a config names them."""

NEAR = 0.5
"""A head is kept if its mean cosine to the targets is at least this; unrelated vectors have 0."""


def architecture_of(
    config: TrainingConfig, card: ModelCard, *, has_targets: bool = False, whole: bool = False
) -> dict[str, Any]:
    """Return the architecture to train: that of `config.init`, with the config's taps and blocks.

    The head is joined if there is a teacher, or if a joined head is kept; with new targets it is
    not kept, and neither is it with `whole`: then the model looks at whole pictures, and tasks may
    slice its head. Raises TrainingError if the config
    asks for maps that the network does not have, and for faces with a trunk for whole pictures.
    """
    if card.subject is Subject.PICTURE and not whole:
        raise TrainingError(f"{card.name} looks at whole pictures: add --detector none")
    architecture = {**card.architecture, "dimension": config.dimension}
    if whole:
        architecture["subject"] = str(Subject.PICTURE)
    changes = {"taps": config.taps, "deeper": config.deeper}
    given = {name: value for name, value in changes.items() if value}
    if given and architecture.get("network") != "resnet29":
        raise TrainingError(f"{' and '.join(given)}: only a ResNet-29 has them, not {card.name}")
    for name, value in given.items():
        if not all(key in STAGES and _is_count(count) for key, count in value.items()):
            raise TrainingError(f"{name}: stages are 1 to 5, with numbers above 0, not {value}")
    architecture |= given
    joined = architecture.pop("joined", False)
    same_maps = architecture.get("taps") == card.architecture.get("taps")
    kept = joined and same_maps and not (whole or config.average or has_targets)
    return architecture | ({"joined": True} if config.teacher or kept else {})


def _is_count(number: float) -> bool:
    return isinstance(number, int) and number > 0


def load_start(
    config: TrainingConfig, card: ModelCard, architecture: dict[str, Any]
) -> tuple[FaceNetwork, bool]:
    """Return the network with the weights of `config.init`, and whether they include the head.

    `card` is that of the model, `architecture` the result of `architecture_of`. With
    `config.average` the trunk is the mean over several models, which no head fits.
    """
    network = build(architecture)
    weights = _weights(config.init)
    same_head = (
        not (config.average or config.teacher)
        and "head.weight" in weights
        and architecture.get("joined") == card.architecture.get("joined")
        and architecture.get("taps") == card.architecture.get("taps")
        and architecture["dimension"] == card.architecture["dimension"]
    )
    if not same_head:
        weights = {name: value for name, value in weights.items() if name.startswith("trunk.")}
    own = {name: value.numpy() for name, value in network.state_dict().items()}
    unknown = next((name for name in weights if name not in own), None)
    if unknown is not None:
        raise TrainingError(f"{config.init}: the network has no parameter {unknown}")
    if config.average:
        weights = _averaged(weights, config)
    load_weights(network, {**own, **weights}, source=config.init)
    return network, same_head


def _weights(model: str) -> dict[str, FloatArray]:
    if model in encoders.INCEPTION:
        return {name: value.numpy() for name, value in encoders.load_inception(model).items()}
    if model in BARE_TRUNKS:
        return trunk_weights(model)
    return dict(checkpoints.load(encoders.find_model(model))[0])


def _averaged(weights: dict[str, FloatArray], config: TrainingConfig) -> dict[str, FloatArray]:
    """Return the mean of these trunk weights and those of the models in `config.average`."""
    total = {name: value.astype(np.float64) for name, value in weights.items()}
    shapes = {name: value.shape for name, value in total.items()}
    for model in config.average:
        other = {name: one for name, one in _weights(model).items() if name.startswith("trunk.")}
        if {name: one.shape for name, one in other.items()} != shapes:
            raise TrainingError(f"{model}: its trunk is not built like that of {config.init}")
        for name, value in total.items():
            value += other[name]
    count = 1 + len(config.average)
    return {name: (value / count).astype(np.float32) for name, value in total.items()}


def blend(network: FaceNetwork, start: FaceNetwork, share: float) -> None:
    """Move the weights of a trained network to `share` of the way from those of its start."""
    former = start.state_dict()
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.lerp(former[name].to(value.device), value, share))


def starts_at_random(init: str) -> bool:
    """Return whether a model or trunk has no weights to start from."""
    return init in BARE_TRUNKS and not BARE_TRUNKS[init].pretrained


def fit_start(
    network: FaceNetwork,
    *,
    has_head: bool,
    config: TrainingConfig,
    card: ModelCard,
    chips: PixelArray,
    rows: IntArray,
    targets: FloatArray | None,
) -> str:
    """Fit a head to start from, unless the network's own head fits; return in words which it is.

    `rows` (n,) are the chips (m, size, size, 3) to learn from, with `targets` (n, 128). A head far
    from the targets is replaced by one fitted to them. Without targets a new head is fitted to the
    embeddings of `config.init`, or, if those are not 128 numbers, to principal components.
    """
    if starts_at_random(config.init):
        return "random weights"
    if has_head and (targets is None or _near(network, chips, rows, targets)):
        return f"the head of {card.name}"
    mirror = bool(card.architecture.get("mirror"))
    network.shift.zero_()
    if config.teacher:
        assert targets is not None  # `read` has checked it
        embedded = _embedded_by(config.teacher, chips, rows, network.mean.device, mirror=mirror)
        fit_joined(
            network, chips, rows, targets=targets, embedded=embedded, config=config, mirror=mirror
        )
        return f"a head fitted to the targets and {config.teacher}"
    rows, goals, source = _goals(network, config, card, chips, rows=rows, targets=targets)
    everywhere = np.full((len(chips), config.dimension), np.nan, np.float32)
    everywhere[rows] = goals
    fit_head(network, chips, everywhere, config.ridge, mirror=mirror)
    if config.whitening:
        some = np.random.default_rng(config.seed).permutation(rows)[:SAMPLE]
        even_out(network, _embedded(network, chips, some), config.whitening)
    return f"a head fitted to {source}"


def _goals(
    network: FaceNetwork,
    config: TrainingConfig,
    card: ModelCard,
    chips: PixelArray,
    *,
    rows: IntArray,
    targets: FloatArray | None,
) -> tuple[IntArray, FloatArray, str]:
    """Return the rows (n,) to fit a new head to, the goals (n, d) for them, and their source."""
    if targets is not None:
        return rows, targets, "the targets"
    if card.dimension == config.dimension:
        goals = _embedded_by(config.init, chips, rows, network.mean.device)
        return rows, goals, f"the embeddings of {card.name}"
    rows = np.random.default_rng(config.seed).permutation(rows)[:SAMPLE]
    goals = principal_targets(network, chips[rows], config.dimension)
    return rows, goals, "its principal components"


def _embedded_by(
    model: str, chips: PixelArray, rows: IntArray, device: torch.device, *, mirror: bool = False
) -> FloatArray:
    """Return the embeddings of the chips by another model's network: float32 (n, 128)."""
    config, card = TrainingConfig(init=model), encoders.read_card(model)
    whole = card.subject is Subject.PICTURE
    network, _ = load_start(config, card, architecture_of(config, card, whole=whole))
    return _embedded(network.to(device), chips, rows, mirror=mirror)


def _near(network: FaceNetwork, chips: PixelArray, rows: IntArray, targets: FloatArray) -> bool:
    known = np.flatnonzero(np.isfinite(targets).all(axis=1))[:CHIPS_AT_ONCE]
    cosine = (_embedded(network, chips, rows[known]) * targets[known]).sum(axis=1)
    return bool(len(known)) and float(cosine.mean()) >= NEAR


def _embedded(
    network: FaceNetwork, chips: PixelArray, rows: IntArray, *, mirror: bool = False
) -> FloatArray:
    """Return the outputs of the network for the chips: float32 (n, d).

    With `mirror` the features are the mean over each chip and its mirror image.
    """
    parts = [np.empty((0, network.head.out_features), np.float32)]
    with torch.inference_mode():
        for start in range(0, len(rows), CHIPS_AT_ONCE):
            features = features_of(
                network, chips[rows[start : start + CHIPS_AT_ONCE]], mirror=mirror
            )
            parts.append(network.embed_features(features).cpu().numpy())
    return np.concatenate(parts)


def views_of(network: FaceNetwork, chips: PixelArray, *, mirror: bool) -> FloatArray:
    """Return the outputs for chips (n, size, size, 3), with `mirror` also for their mirror images.

    They are float32 (v, n, d), with v 1 or 2, and include the shift of the network.
    """
    rows = np.arange(len(chips))
    network = network.eval()
    seen = [_embedded(network, chips, rows)]
    if mirror:
        seen.append(_embedded(network, chips[:, :, ::-1], rows))
    return np.stack(seen)
