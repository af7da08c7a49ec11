"""Gather what the page of a finished run shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from facecli.metrics import all_pairs
from facecli.metrics.support import rate_name
from facecli.models import bare_trunks, encoders
from facecli.training.intake import HeldOut
from facecli.training.loop import Trainer
from facecli.training.objectives import OBJECTIVES
from facecli.training.outcome import FinishedModel
from facecli.training.plan import Plan
from facecli.training.start import starts_at_random
from facecli.training.steps import Step
from facecli.training.story import (
    Accuracy,
    AnglesAt,
    ComparedPairs,
    Measures,
    Neighbour,
    Query,
    RunStory,
    Series,
)
from facecli.types import FloatArray

QUERIES, NEIGHBOURS = 6, 5
"""Classes that a picture is shown of, and pictures shown beside it."""

INTERVAL = "95 % interval after"


def story_of(
    plan: Plan,
    trainer: Trainer,
    held_out: HeldOut,
    models: Sequence[FinishedModel],
    pairs: tuple[ComparedPairs, ComparedPairs],
) -> RunStory:
    """Return what is known of a run: `models` are its own, then those of its tasks.

    `pairs` are the validation pairs before and after.
    """
    folder = plan.request.folder
    steps = folder.steps()
    before, after = pairs
    return RunStory(
        title=f"Training of {plan.request.name}",
        facts=tuple(_facts(plan, trainer, held_out, models)),
        loss=_series(steps, lambda one: one.loss),
        learning_rate=_series(steps, lambda one: one.learning_rate),
        synthetic=_series(steps, lambda one: one.synthetic),
        angles=tuple(AnglesAt(one.step, np.array(one.angles)) for one in steps if one.angles),
        accuracy=_accuracy(steps, trainer),
        moments=tuple(folder.moments()),
        before=before,
        after=after,
        queries=queries_of(models[0].embeddings, held_out, plan.config.seed),
        measures=tuple(_measured(plan, one) for one in models),
    )


def compared_pairs(plan: Plan, made: FinishedModel) -> tuple[ComparedPairs, ComparedPairs]:
    """Return all validation pairs as the model to compare with sees them, and as the new one."""
    return (
        ComparedPairs(
            plan.baseline.name,
            all_pairs(made.before_embeddings, made.labels),
            _former_threshold(plan),
        ),
        ComparedPairs(made.card.name, all_pairs(made.embeddings, made.labels), made.card.threshold),
    )


def _former_threshold(plan: Plan) -> float | None:
    """Return the threshold of the model before; on pages, a trunk without a head has none."""
    bare = plan.baseline_name in bare_trunks.BARE_TRUNKS or plan.baseline_name in encoders.INCEPTION
    return None if bare and plan.has_page else plan.baseline.threshold


def _facts(
    plan: Plan, trainer: Trainer, held_out: HeldOut, models: Sequence[FinishedModel]
) -> Iterator[tuple[str, str]]:
    made, config = models[0], plan.config
    kind, picture = plan.kind, "pictures" if plan.request.whole else "photos"
    run = made.card.history[-1]
    yield "data", str(run["data"])
    yield "learned from", f"{run['photos']:,} {picture} of {run['people']:,} {kind}"
    skipped = f", {held_out.skipped:,} skipped" if held_out.skipped else ""
    yield (
        "validation",
        f"{made.after.photos:,} {picture} of {made.after.people:,} other {kind}{skipped}",
    )
    begun = "random weights" if starts_at_random(config.init) else "trained before"
    yield "start", f"{plan.init.name}, {begun}"
    yield "loss", _loss(plan, trainer)
    for one in plan.photos.tasks:
        task = one.task
        yield (
            f"task {task.name}",
            f"{len(one.names):,} labels, numbers {task.first} to {task.last} of the embedding",
        )
    shorter = made.card.dimension < config.dimension
    yield (
        "embedding",
        f"{config.dimension} numbers"
        + (f", {made.card.dimension} in the model" if shorter else ""),
    )
    yield "training", f"{trainer.step:,} steps, {trainer.seconds:,.0f} s on {run['device']}"
    for model in models:
        yield "model", f"{model.card.name} ({model.card.fingerprint[:12]})"


def _loss(plan: Plan, trainer: Trainer) -> str:
    """Return the name of the loss with all its options."""
    config = plan.config
    if config.loss == "triplet":
        options = [f"margin {config.margin:g}", f"mining {config.mining}"]
    else:
        classes = 1 if trainer.aims is None else trainer.aims.count
        chosen = {**OBJECTIVES[config.loss].defaults_for(classes), **config.options}
        options = [f"{name} {value:g}" for name, value in chosen.items()]
    added = ["and the same for each task"] if plan.photos.tasks else []
    return ", ".join([config.loss, *options, *added])


def _series(steps: Sequence[Step], value: Callable[[Step], float | None]) -> Series | None:
    """Return a number of the reports over the steps; None if no report has it."""
    known = [(one.step, found) for one in steps if (found := value(one)) is not None]
    if not known:
        return None
    return Series(
        np.array([step for step, _ in known], np.int64),
        np.array([found for _, found in known], np.float64),
    )


def _accuracy(steps: Sequence[Step], trainer: Trainer) -> Accuracy | None:
    without = _series(steps, lambda one: one.accuracy)
    if without is None or trainer.aims is None:
        return None
    return Accuracy(
        trainer.aims.count, without, _series(steps, lambda one: one.accuracy_with_margin)
    )


def _measured(plan: Plan, made: FinishedModel) -> Measures:
    """Return the table of a model: how well it finds and verifies what it never learned from."""
    of = f"by the labels of {made.task}" if made.task else f"on {plan.kind} never trained on"
    longer = next((name for name in _retrieval(made) if name.startswith("of all ")), "")
    columns = ["before", "after", *filter(None, [longer])]
    if made.after.val:
        columns.append(INTERVAL)
    return Measures(
        heading=f"{made.card.name}, {of}",
        header=("", *columns),
        rows=tuple(
            (name, *(values.get(column, "") for column in columns))
            for name, values in _rows(plan, made, longer)
        ),
        note=_note(made, plan.kind, random=starts_at_random(plan.config.init)),
    )


def _retrieval(made: FinishedModel) -> dict[str, Any]:
    """Return the retrieval measures on the card of a model; faces have none."""
    found: dict[str, Any] = made.card.metrics.get("retrieval", {})
    return found


def _rows(plan: Plan, made: FinishedModel, longer: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the name of each measure, and its value in each column that has one."""
    found = _retrieval(made)
    for name in found.get("after", {}):
        columns = filter(None, ("before", "after", longer))
        yield name, {column: f"{found[column][name]:.4f}" for column in columns}
    for far, after in made.after.val.items():
        yield (
            f"VAL at FAR {rate_name(far)}",
            {
                "before": f"{made.before.val[far].estimate:.4f}",
                "after": f"{after.estimate:.4f}",
                INTERVAL: f"{after.low:.4f} to {after.high:.4f}",
            },
        )
    former = None if made.task else _former_threshold(plan)
    yield (
        "threshold, squared L2",
        {
            "before": "none" if former is None else f"{former:.4f}",
            "after": f"{made.card.threshold:.4f}",
        },
    )


def _note(made: FinishedModel, kind: str, *, random: bool) -> str:
    """Return what a reader must know about the numbers of a model."""
    genuine, impostor = made.after.pairs
    said = [
        f"{genuine:,} genuine and {impostor:,} impostor pairs of validation {kind}"
        + (f", by the labels of {made.task}." if made.task else "."),
        f"Threshold: {made.card.threshold_source}.",
        f"Verdict: {made.verdict.reason}.",
    ]
    if made.task and _retrieval(made).get("after"):
        said.append(
            "Recall and precision leave out pictures of the same class: the label has to be found "
            "on pictures of other classes."
        )
    if random:
        said.append("Before training, all weights are random: that is not hard to beat.")
    return " ".join(said)


def queries_of(embeddings: FloatArray, held_out: HeldOut, seed: int) -> tuple[Query, ...]:
    """Return a picture of some classes, drawn by `seed`, each with the pictures nearest to it.

    `embeddings` (n, d) are unit rows, of the held-out pictures. Only classes of two or more
    pictures are drawn, since the others have nothing to be found.
    """
    random = np.random.default_rng([seed, QUERIES])
    labels = held_out.labels
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    drawn = np.sort(random.permutation(classes[counts > 1])[:QUERIES])
    return tuple(
        _query(int(random.choice(np.flatnonzero(labels == one))), embeddings, held_out)
        for one in drawn
    )


def _query(row: int, embeddings: FloatArray, held_out: HeldOut) -> Query:
    labels = held_out.labels
    squared = 2.0 - 2.0 * (embeddings @ embeddings[row]).astype(np.float64)
    squared[row] = np.inf
    nearest = np.argsort(squared, kind="stable")[:NEIGHBOURS]
    return Query(
        chip=held_out.chips[row],
        label=held_out.names[labels[row]],
        neighbours=tuple(
            Neighbour(
                chip=held_out.chips[one],
                label=held_out.names[labels[one]],
                squared_l2=max(0.0, float(squared[one])),
                same=bool(labels[one] == labels[row]),
            )
            for one in nearest
            if one != row
        ),
    )
