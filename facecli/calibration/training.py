"""Train a verifier on half of the people, and compare it with the threshold on the others."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from facecli.calibration.comparing import (
    Pairs,
    Scores,
    VerifierComparison,
    compare,
    first_refused,
    list_pairs,
)
from facecli.calibration.logistic import fit_logistic
from facecli.calibration.threshold import refuse_unsupported
from facecli.calibration.verifier import COMPONENTS, SQUARED_L2, Verifier, features
from facecli.errors import CalibrationError
from facecli.metrics.pairs import number_people
from facecli.types import FloatArray, ModelCard

PENALTY = {COMPONENTS: 1e-2, SQUARED_L2: 1e-6}
"""For `fit_logistic`. For the components, 1e-6 accepted 4 % fewer genuine pairs of LFW's
development people at FAR 1e-4 than 1e-2, and 1e-1 0.5 % more. A single weight needs hardly
any penalty."""

ROWS = 3000
"""Most photos of each half: 4.5 million pairs, enough for a FAR of 1e-5."""

LEARNT = 100_000
"""Most genuine and most impostor pairs to learn from: 0.2 GB of features."""

PAIRS_AT_ONCE = 2**16
"""Pairs scored at a time, in 0.1 GB."""

REPLICATES = 500


def train_verifier(
    embeddings: FloatArray,
    labels: npt.ArrayLike,
    *,
    far: float,
    form: str,
    card: ModelCard,
    source: str,
    seed: int = 0,
) -> tuple[Verifier, VerifierComparison]:
    """Train on half of the people of unit rows (n, d) with labels (n,); measure on the others.

    `form` is one of FORMS. Raises CalibrationError if a half has no genuine or no impostor pair, or
    if the other half has too few impostor pairs to measure `far`.
    """
    random = np.random.default_rng(seed)
    learnt, held = _halves(labels, len(embeddings), random)
    if not all(pairs.same.any() and not pairs.same.all() for pairs in (learnt, held)):
        raise CalibrationError(
            f"{source}: too few people: half of them are held back, and each half needs two "
            "people, one of whom with two photos"
        )
    refuse_unsupported(far, int((~held.same).sum()), f"{source}, the half held back")
    weights, bias = _fit(embeddings, learnt, form, random)
    unit = Verifier(
        fingerprint=card.fingerprint,
        model=card.name,
        form=form,
        weights=tuple(weights.tolist()),
        bias=bias,
        needed=0.0,
        far=far,
        verdict="",
        source=source,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    squared, against = _scores(unit, embeddings, held)
    people = len(held.photos)
    draws = random.multinomial(people, np.full(people, 1 / people), size=REPLICATES)
    comparison = compare(held, (squared, against), far=far, draws=draws)
    needed = float(np.nextafter(-first_refused(against[~held.same], far), np.inf))
    return replace(unit, needed=needed, verdict=comparison.verdict), comparison


def _halves(labels: npt.ArrayLike, rows: int, random: np.random.Generator) -> tuple[Pairs, Pairs]:
    """Return the pairs of half of the people, and those of the others, of at most ROWS photos."""
    known, person = number_people(labels, rows)
    owner = np.full(rows, -1)
    owner[known] = person
    people = int(person.max(initial=-1)) + 1
    learning = np.isin(person, random.permutation(people)[: people // 2])
    chosen = (random.permutation(known[half])[:ROWS] for half in (learning, ~learning))
    learnt, held = (list_pairs(np.sort(some), owner) for some in chosen)
    return learnt, held


def _fit(
    embeddings: FloatArray, pairs: Pairs, form: str, random: np.random.Generator
) -> tuple[Scores, float]:
    kinds = (np.flatnonzero(pairs.same), np.flatnonzero(~pairs.same))
    chosen = np.concatenate([random.permutation(kind)[:LEARNT] for kind in kinds])
    seen = features(form, embeddings[pairs.first[chosen]], embeddings[pairs.second[chosen]])
    return fit_logistic(seen, pairs.same[chosen], penalty=PENALTY[form])


def _scores(unit: Verifier, embeddings: FloatArray, pairs: Pairs) -> tuple[Scores, Scores]:
    """Return for each pair the squared L2, and the log-odds that it is an impostor pair; (m,)."""
    squared, against = np.empty((2, len(pairs.first)))
    for start in range(0, len(squared), PAIRS_AT_ONCE):
        here = slice(start, start + PAIRS_AT_ONCE)
        a, b = embeddings[pairs.first[here]], embeddings[pairs.second[here]]
        squared[here] = features(SQUARED_L2, a, b)[:, 0]
        against[here] = -unit.log_odds(a, b)
    return squared, against
