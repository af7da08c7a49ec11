"""A run before its first step: read the input, prepare the chips, build the network."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from facecli.errors import ModelError, TrainingError
from facecli.faces.whole import picture_geometry
from facecli.models import encoders
from facecli.models.networks import FaceNetwork
from facecli.models.torch_encoder import resolve_torch_device
from facecli.training.aims import Aims, aims_of
from facecli.training.batches import TakeData, TrainingData
from facecli.training.batchnorm import NormalisedHead, insert_batch_norm
from facecli.training.chipstore import Acquire
from facecli.training.config import TrainingConfig
from facecli.training.head import fit_principal_head
from facecli.training.intake import (
    HeldOut,
    Listeners,
    Reader,
    TrainingRequest,
    check_data,
    read_data_card,
    read_photos,
)
from facecli.training.loop import Trainer
from facecli.training.objectives import OBJECTIVES
from facecli.training.plan import Plan
from facecli.training.promotion import combine
from facecli.training.start import (
    architecture_of,
    fit_start,
    load_start,
    starts_at_random,
    views_of,
)
from facecli.training.taking import features_after, seen_by, take_data
from facecli.training.tasks import check_labels
from facecli.types import FloatArray, ModelCard

NORMALISED_OVER = 256
"""Chips over which inserted batch normalisation takes its first statistics."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The chips to learn from, those held out, and whether an earlier run is continued."""

    data: TrainingData
    held_out: HeldOut
    resuming: bool


def read(request: TrainingRequest, config: TrainingConfig) -> Plan:
    """Read the cards and find the photos; write nothing.

    Raises TrainingError or ModelError, each naming the input.
    """
    about = read_data_card(request.data_card)
    init = encoders.read_card(config.init)
    has_targets = request.targets is not None
    if config.teacher and not has_targets:
        raise TrainingError(f"teacher {config.teacher} needs targets, and none were given")
    architecture = architecture_of(config, init, has_targets=has_targets, whole=request.whole)
    geometry = picture_geometry(init.geometry.size) if request.whole else init.geometry
    if request.out.suffix != ".safetensors" or not request.out.parent.is_dir():
        raise TrainingError(
            f"{request.out}: the model needs a name that ends in .safetensors, in a folder that "
            "exists"
        )
    photos = read_photos(request, config)
    name, baseline = _baseline(request, config, init)
    return Plan(request, config, about, init, architecture, geometry, photos, name, baseline)


def _baseline(
    request: TrainingRequest, config: TrainingConfig, init: ModelCard
) -> tuple[str, ModelCard]:
    """Return name and card of the model to compare with: the one of this name, or the start.

    With takes it is the start: the question is whether they did any harm. So it is with whole
    pictures, whose trunk may have seen none like them.
    """
    if config.takes or request.whole:
        return config.init, init
    try:
        return request.name, encoders.read_card(request.name)
    except ModelError:
        return config.init, init


def prepare(plan: Plan, acquire: Acquire, tell: Listeners) -> Prepared:
    """Start or continue the run folder, and get the chips of all photos."""
    request = plan.request
    resuming = request.folder.begin(plan.settings(), resume=request.resume)
    request.folder.write_split(plan.photos.photos, plan.photos.held_back)
    for one in plan.photos.tasks:
        if one.said:
            tell.say(one.said)
    data, held_out = Reader(request, plan.geometry, acquire, tell, border=plan.config.border).read(
        plan.photos
    )
    check_data(data, request, plan.config)
    assert data.rows is not None
    for one in plan.photos.tasks:
        check_labels(one, data.rows)
    return Prepared(data, held_out, resuming)


def build(
    plan: Plan, prepared: Prepared, tell: Listeners
) -> tuple[Trainer, TrainingData | TakeData]:
    """Build the network, fit its head, embed the baseline, and restore a saved state.

    Returns what trains it, and what from: the data prepared, or the takes made of them.
    """
    config, folder = plan.config, plan.request.folder
    data: TrainingData | TakeData = prepared.data
    device = torch.device(resolve_torch_device(plan.request.device))
    if plan.request.whole or config.loss != "triplet":
        # What is not loaded from the start is random. Other runs stay as they were before.
        torch.manual_seed(config.seed)
    network, has_head = load_start(config, plan.init, plan.architecture)
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.blend < 1 and not has_head:
        raise TrainingError(f"blend needs a start with a head, and {plan.init.name} has none")
    if config.takes and not has_head and not plan.request.whole:
        raise TrainingError(f"takes need a start with a head, and {plan.init.name} has none")
    if not prepared.resuming and not config.takes:
        _fit_head(network, plan, prepared.data, tell, has_head=has_head)
    if config.takes:
        data = take_data(plan, prepared.data, network, tell)
        if not has_head and not prepared.resuming:
            fit_principal_head(network, features_after(network, data.maps[:, 0], data.cut))
            tell.say(
                f"starting from {plan.init.name} with the principal components of its features"
            )
    if folder.before() is None:
        if isinstance(data, TakeData):
            views = seen_by(network, prepared.held_out.chips, data.cut, mirror=plan.mirror)
            folder.keep_before(combine(views))
        else:
            folder.keep_before(_embed_baseline(plan, prepared.held_out, network))
    insert_norms(network, config, prepared.data)
    trainer = Trainer(network, config, device, _aims(plan, prepared.data, taken=data))
    if prepared.resuming:
        trainer.restore(folder.state)
        folder.forget_after(trainer.step)
        tell.say(f"continuing after step {trainer.step}")
    return trainer, data


def insert_norms(network: FaceNetwork, config: TrainingConfig, data: TrainingData) -> None:
    """Normalise the trunk during training if the config says so; of a random start, the head too.

    The head is normalised for losses that learn centres.
    """
    if not config.batch_norm:
        return
    assert data.rows is not None
    chosen = np.random.default_rng(config.seed).permutation(data.rows)
    sample = np.sort(chosen[:NORMALISED_OVER])
    pixels = torch.from_numpy(data.chips[sample]).to(network.mean.device)
    restoring = not starts_at_random(config.init)
    insert_batch_norm(network, pixels.permute(0, 3, 1, 2).float(), restoring=restoring)
    if not restoring and OBJECTIVES[config.loss].centres:
        network.head = NormalisedHead(network.head).to(network.mean.device)


def _aims(plan: Plan, prepared: TrainingData, *, taken: TrainingData | TakeData) -> Aims | None:
    """Return the losses of a run, with the labels that its tasks give to its photos."""
    rows = prepared.rows
    assert rows is not None
    if isinstance(taken, TakeData):
        rows = rows[prepared.labels >= 0]  # takes are made of named photos only
    tasks = [dataclasses.replace(one, labels=one.labels[rows]) for one in plan.photos.tasks]
    return aims_of(plan.config, taken.labels, tasks)


def _fit_head(
    network: Any, plan: Plan, data: TrainingData, tell: Listeners, *, has_head: bool
) -> None:
    """Fit the head of the network to start from, and say where it comes from."""
    config = plan.config
    assert data.rows is not None
    if config.teacher:
        tell.say(f"embedding {len(data.rows)} chips with {config.teacher}")
    start = fit_start(
        network,
        has_head=has_head,
        config=config,
        card=plan.init,
        chips=data.chips,
        rows=data.rows,
        targets=data.targets,
    )
    tell.say(f"starting from {plan.init.name} with {start}")


def _embed_baseline(plan: Plan, held_out: HeldOut, start: Any) -> FloatArray:
    """Return the embeddings (n, d) of the held-out chips by the model to compare with.

    A start without a head of its own is measured with the head that was fitted here.
    """
    if plan.baseline_name in encoders.INCEPTION or plan.request.whole:
        return combine(views_of(start, held_out.chips, mirror=plan.mirror))
    if plan.baseline.geometry != plan.geometry:
        raise TrainingError(
            f"{plan.baseline.name}: uses other chips than {plan.init.name}; give the new model "
            "another name"
        )
    encoder = encoders.load_encoder(plan.baseline_name, device=plan.request.device)
    return encoder.embed(held_out.chips)
