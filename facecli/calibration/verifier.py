"""Verify with a trained logistic unit on the difference of two embeddings.

The unit reads |f(a) - f(b)|, component by component: Taigman et al., "DeepFace", CVPR 2014, section
4.2; Koch, Zemel & Salakhutdinov, "Siamese neural networks for one-shot image recognition", ICML
deep learning workshop, 2015. Or it reads the squared L2 only: then the order of pairs is that of
the squared L2, and the unit adds a probability.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facecli.errors import FingerprintMismatch, ModelError
from facecli.files import SHARED, replacing
from facecli.text import read_json_object
from facecli.types import FloatArray, ModelCard
from facecli.vectors.distances import paired_squared_l2

COMPONENTS, SQUARED_L2 = "components", "squared-l2"
FORMS = (COMPONENTS, SQUARED_L2)
"""What the unit reads: the difference of each component, or the squared L2."""

PRIOR = 0.5
"""Share of genuine pairs among all comparisons that the probabilities assume."""

MAX_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Verifier:
    """A trained unit; it belongs to one model.

    The log-odds that a pair is genuine, at a prior of one half, are `weights` times the features of
    `form`, plus `bias`. At `needed` or more, the pair counts as the same person; impostor pairs
    reach that at the rate `far`. `verdict` compares the unit with the plain threshold, in words.
    """

    fingerprint: str
    model: str
    form: str
    weights: tuple[float, ...]
    bias: float
    needed: float
    far: float
    verdict: str
    source: str
    created: str

    def log_odds(self, a: FloatArray, b: FloatArray) -> npt.NDArray[np.float64]:
        """Return the log-odds of row i of `a` and row i of `b`, unit rows (n, d); float64 (n,)."""
        seen = features(self.form, a, b)
        log_odds: npt.NDArray[np.float64] = seen @ np.array(self.weights) + self.bias
        return log_odds

    def judge(self, a: FloatArray, b: FloatArray) -> Judgement:
        """Judge the pair of rows of `a` (n, d) and `b` (m, d) that has the highest log-odds."""
        left, right = np.repeat(a, len(b), axis=0), np.tile(b, (len(a), 1))
        highest = float(self.log_odds(left, right).max())
        return Judgement(highest >= self.needed, probability(highest), probability(self.needed))


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer of a verifier: `probability` of the same person at PRIOR, and the one `needed`."""

    same: bool
    probability: float
    needed: float


def features(form: str, a: FloatArray, b: FloatArray) -> FloatArray:
    """Return the features of a form for pairs of rows of `a` and `b`: float32 (n, d) or (n, 1)."""
    if form == COMPONENTS:
        difference: FloatArray = np.abs(a - b)
        return difference
    return paired_squared_l2(a, b)[:, None]


def probability(log_odds: float) -> float:
    """Return the probability of log-odds, never exactly 0 or 1."""
    return 1 / (1 + math.exp(-min(max(log_odds, -30.0), 30.0)))


def save_verifier(path: Path, verifier: Verifier) -> None:
    """Write a verifier as JSON, whole or not at all; raise ModelError if it cannot be written."""
    text = json.dumps(dataclasses.asdict(verifier), indent=1) + "\n"
    try:
        with replacing(path, mode=SHARED) as stream:
            stream.write(text.encode())
    except OSError as error:
        raise ModelError(f"{path}: cannot be written: {error.strerror or error}") from error


def load_verifier(path: Path, card: ModelCard) -> Verifier:
    """Read a verifier; raise ModelError if it is none, FingerprintMismatch if for another model."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        fields = read_json_object(path.read_bytes(), most=MAX_BYTES)
        verifier = Verifier(**{**fields, "weights": tuple(map(float, fields["weights"]))})
        numbers = (*verifier.weights, verifier.bias, verifier.needed, verifier.far)
        texts = (verifier.fingerprint, verifier.model, verifier.verdict, verifier.source)
        fits = verifier.form in FORMS and all(map(math.isfinite, numbers))
        fits = fits and all(isinstance(one, str) for one in texts)
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: not a verifier that facecli train-verifier made") from error
    if not fits:
        raise ModelError(f"{path}: not a verifier that facecli train-verifier made")
    if verifier.fingerprint != card.fingerprint:
        raise FingerprintMismatch(
            f"{path}: trained for {verifier.model} ({verifier.fingerprint[:12]}), not for "
            f"{card.name} ({card.fingerprint[:12]})"
        )
    if len(verifier.weights) != (card.dimension if verifier.form == COMPONENTS else 1):
        raise ModelError(f"{path}: not a verifier that facecli train-verifier made")
    return verifier
