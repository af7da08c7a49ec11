"""From prepared photos to their takes: the maps of the frozen layers, and what they are held to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from facecli.errors import TrainingError
from facecli.models.networks import FaceNetwork
from facecli.training.batches import TakeData, TrainingData
from facecli.training.features import (
    BLOCK,
    Job,
    Maps,
    cut_of,
    front_of,
    layers_of,
    load_features,
)
from facecli.training.intake import Listeners
from facecli.training.plan import Plan
from facecli.training.probes import Embed
from facecli.training.steps import in_channels
from facecli.types import FloatArray, PixelArray

AT_ONCE = 256
"""Maps embedded at a time."""


def take_data(plan: Plan, data: TrainingData, network: FaceNetwork, tell: Listeners) -> TakeData:
    """Make the takes of all named photos, and compute or read again what the front makes of them.

    `network` is the start. Without targets of their own, photos of people get its embeddings of
    their clean takes. Raises TrainingError for a network that cannot be cut.
    """
    config = plan.config
    assert data.rows is not None
    named = np.flatnonzero(data.labels >= 0)
    cut = cut_of(network, config.frozen)
    outlines = plan.photos.outlines
    job = Job(
        chips=data.chips,
        rows=data.rows[named],
        outlines=None if outlines is None else outlines[data.rows[named]],
        config=config,
        cut=cut,
        identity=f"{plan.photos.digest()} {plan.init.fingerprint}",
    )
    device = network.mean.device
    tell.begin(len(named), f"Making {len(config.takes)} takes of each photo")
    maps = load_features(
        job,
        plan.request.folder.path,
        lambda: front_of(network, cut, precision=config.precision, device=device),
        on_photo=tell.on_photo,
    )
    targets: FloatArray | None = None
    if data.targets is not None:
        targets = data.targets[named]
    elif not plan.request.whole:
        targets = embed_maps(network, maps[:, 0], cut)
    if targets is not None and not np.isfinite(targets).all():
        raise TrainingError("takes need a target for every photo, or no targets")
    return TakeData(maps, data.labels[named], targets, cut)


def features_after(network: FaceNetwork, maps: Maps, cut: int) -> FloatArray:
    """Return the features (n, f) of maps after `cut` layers, float32."""
    rest = layers_of(network)[cut:].eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(maps), AT_ONCE):
            some = torch.from_numpy(np.array(maps[start : start + AT_ONCE])).float()
            parts.append(rest(some.to(network.mean.device)).flatten(1).cpu().numpy())
    return np.concatenate(parts)


def embed_maps(network: FaceNetwork, maps: Maps, cut: int) -> FloatArray:
    """Return the embeddings (n, d) of maps (n, c, h, w) after `cut` layers, in float32."""
    device = network.mean.device
    network.eval()
    parts = [np.empty((0, network.head.out_features), np.float32)]
    with torch.inference_mode():
        for start in range(0, len(maps), AT_ONCE):
            some = torch.from_numpy(np.array(maps[start : start + AT_ONCE])).to(device).float()
            parts.append(network.embed_maps(in_channels(some), cut).cpu().numpy())
    return np.concatenate(parts)


def embedder(networks: Sequence[FaceNetwork], cut: int) -> Embed:
    """Return what embeds chips with networks that share their first `cut` layers.

    The shared layers run once, in float32, and the shift of each network is left in.
    """
    device = networks[0].mean.device
    run = front_of(networks[0], cut, precision="float32", device=device)

    def embed(chips: PixelArray) -> list[FloatArray]:
        found: list[list[FloatArray]] = [[] for _ in networks]
        for start in range(0, len(chips), BLOCK):
            some = torch.from_numpy(np.ascontiguousarray(chips[start : start + BLOCK]))
            maps = run(some.permute(0, 3, 1, 2).float()).to(device)
            with torch.inference_mode():
                for parts, network in zip(found, networks, strict=True):
                    parts.append(network.eval().embed_maps(maps, cut).cpu().numpy())
        return [np.concatenate(parts) for parts in found]

    return embed


def seen_by(network: FaceNetwork, chips: PixelArray, cut: int, *, mirror: bool) -> FloatArray:
    """Return the outputs for chips as `start.views_of` does, (v, n, 128)."""
    embed = embedder([network], cut)
    sides = [chips, chips[:, :, ::-1]] if mirror else [chips]
    return np.stack([embed(side)[0] for side in sides])
