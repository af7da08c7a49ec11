"""The logistic unit: its fit, its honest comparison, its file, and verify deciding by it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from fakes import FakeDetector, FakeEncoder, PaintedFace, embedding, fake_card, paint

from facecli.calibration import comparing
from facecli.calibration.comparing import compare, first_refused, list_pairs
from facecli.calibration.logistic import fit_logistic
from facecli.calibration.training import train_verifier
from facecli.calibration.verifier import Verifier, load_verifier, probability, save_verifier
from facecli.cli import cli
from facecli.cli.settings import Settings
from facecli.errors import CalibrationError, FingerprintMismatch, ModelError
from facecli.metrics import threshold_at_fmr, val_at_far
from facecli.types import FloatArray, IntArray
from facecli.vectors.distances import normalize, paired_squared_l2

CARD = fake_card()


def noisy_people(people: int, *, noise: float, seed: int = 0) -> tuple[FloatArray, IntArray]:
    """Return three photos a person: 16 numbers tell people apart, 16 others hold noise."""
    random = np.random.default_rng(seed)
    rows = np.zeros((people * 3, 128))
    rows[:, :16] = np.repeat(random.normal(size=(people, 16)), 3, axis=0)
    rows[:, :16] += random.normal(size=(people * 3, 16)) * 0.3
    rows[:, 16:32] = random.normal(size=(people * 3, 16)) * noise
    return normalize(rows), np.repeat(np.arange(people), 3)


def trained(rows: FloatArray, labels: IntArray, **changes: Any) -> Any:
    options: dict[str, Any] = {"far": 0.01, "form": "components", "card": CARD, "source": "x"}
    return train_verifier(rows, labels, **(options | changes))


# the fit


@pytest.mark.parametrize("penalty", [1e-1, 1e-3])
def test_the_fit_is_scikit_learns(penalty: float) -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(1)
    positive = random.random(400) < 0.2
    rows = random.normal(size=(400, 5)) * [1, 10, 0.1, 1, 1] + positive[:, None] * [1, 3, 0.1, 0, 0]
    weights, bias = fit_logistic(rows, positive, penalty=penalty)
    scale = rows.std(axis=0)
    share = np.where(positive, 0.5 / positive.sum(), 0.5 / (~positive).sum())
    oracle = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000)
    oracle.fit((rows - rows.mean(axis=0)) / scale, positive, sample_weight=share)
    ours = rows @ weights + bias
    theirs = oracle.decision_function((rows - rows.mean(axis=0)) / scale)
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_log_odds_of_a_known_law_are_found() -> None:
    """Two normals of unit variance, 2 apart: the log-odds are 2 x - 2, whatever the numbers."""
    random = np.random.default_rng(2)
    rows = np.concatenate([random.normal(size=(100_000, 1)), random.normal(2, 1, size=(5000, 1))])
    weights, bias = fit_logistic(rows, np.arange(105_000) >= 100_000, penalty=1e-8)
    assert weights[0] == pytest.approx(2, abs=0.1)
    assert bias == pytest.approx(-2, abs=0.1)


def test_one_class_alone_teaches_nothing() -> None:
    with pytest.raises(ValueError, match="both classes"):
        fit_logistic(np.zeros((3, 1)), np.ones(3, bool), penalty=1.0)


# the comparison


@pytest.mark.parametrize("far", [0.001, 0.01, 0.05, 0.3])
def test_val_is_that_of_the_metrics_also_with_ties(far: float) -> None:
    random = np.random.default_rng(3)
    impostor, genuine = random.integers(0, 50, 600) / 20, random.integers(0, 30, 90) / 20
    accepted = float((genuine < first_refused(impostor, far)).mean())
    assert accepted == val_at_far(genuine, impostor, far)
    assert first_refused(impostor, far) > threshold_at_fmr(impostor, far)


def test_resampling_is_that_of_copied_people(monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: write out every pair as often as a draw holds it and measure with plain loops."""
    monkeypatch.setattr(comparing, "FEWEST", 10_000)
    random = np.random.default_rng(4)
    owner = np.array([0, 0, 0, 1, 1, 2, 3, 3, 4, 4])
    pairs = list_pairs(np.arange(10), owner)
    score = random.integers(0, 30, len(pairs.first)) / 10
    draws = random.multinomial(5, [0.2] * 5, size=30)
    expected = []
    for draw in draws:
        genuine, impostor = [], []
        for (a, b), value in zip(itertools.combinations(range(10), 2), score, strict=True):
            if owner[a] == owner[b]:
                genuine += [value] * draw[owner[a]]
            else:
                impostor += [value] * (draw[owner[a]] * draw[owner[b]])
        usable = genuine and impostor
        expected.append(val_at_far(genuine, impostor, 0.2) if usable else math.nan)
    found = comparing._resampled_val(pairs, score, 0.2, draws)
    np.testing.assert_allclose(found, expected)


def test_a_score_has_no_gain_over_itself() -> None:
    rows, labels = noisy_people(20, noise=0.5)
    pairs = list_pairs(np.arange(60), labels)
    score = paired_squared_l2(rows[pairs.first], rows[pairs.second]).astype(float)
    draws = np.random.default_rng(0).multinomial(20, [1 / 20] * 20, size=50)
    made = compare(pairs, (score, 2 * score), far=0.05, draws=draws)
    assert (made.gain.low, made.gain.estimate, made.gain.high) == (0, 0, 0)
    assert not made.better
    assert (made.people, made.genuine_pairs, made.impostor_pairs) == (20, 60, 60 * 59 // 2 - 60)


@pytest.mark.slow
def test_where_some_numbers_are_noise_the_unit_is_better_and_says_so() -> None:
    rows, labels = noisy_people(120, noise=1.0)
    unit, made = trained(rows, labels)
    assert made.better
    assert unit.verdict.startswith("better than the threshold alone: VAL at FAR 1e-2 moved by +")
    noise, signal = np.abs(unit.weights[16:32]).mean(), np.abs(unit.weights[:16]).mean()
    assert signal > 5 * noise


@pytest.mark.slow
def test_where_the_threshold_is_as_good_it_says_so() -> None:
    rows, labels = noisy_people(120, noise=0.0)
    unit, made = trained(rows, labels, form="squared-l2")
    assert not made.better
    assert unit.verdict.startswith("not shown to be better than the threshold alone: ")
    assert len(unit.weights) == 1
    assert unit.weights[0] < 0


@pytest.mark.slow
def test_it_needs_what_lets_in_strangers_at_the_rate_asked_for() -> None:
    """Exactly floor(FAR n) impostor pairs of the half held back pass."""
    rows, labels = noisy_people(120, noise=0.5)
    unit, made = trained(rows, labels)
    order = np.random.default_rng(0).permutation(120)
    pairs = list_pairs(np.flatnonzero(np.isin(labels, order[60:])), labels)
    passed = unit.log_odds(rows[pairs.first], rows[pairs.second]) >= unit.needed
    assert made.impostor_pairs == (~pairs.same).sum()
    assert passed[~pairs.same].sum() == int(0.01 * made.impostor_pairs)
    assert passed[pairs.same].mean() == pytest.approx(made.verifier.estimate)


@pytest.mark.slow
def test_those_held_back_teach_nothing() -> None:
    """Turning one person's photos about changes the weights for half of the people."""
    rows, labels = noisy_people(60, noise=0.3)
    before, _ = trained(rows, labels, form="squared-l2")
    changed = 0
    for person in range(0, 60, 4):
        other = rows.copy()
        other[labels == person] = other[labels == person][:, ::-1]
        after, _ = trained(other, labels, form="squared-l2")
        changed += after.weights != before.weights
    order = np.random.default_rng(0).permutation(60)
    assert changed == sum(person in order[:30] for person in range(0, 60, 4))


@pytest.mark.parametrize("people", [0, 1, 3, 20])
def test_too_few_people_are_refused(people: int) -> None:
    rows, labels = noisy_people(people, noise=0.3) if people else (np.empty((0, 128)), [])
    with pytest.raises(CalibrationError, match=r"too few people|needs 3,000 pairs of strangers"):
        trained(np.asarray(rows, np.float32), np.asarray(labels, np.int64))


# the file


def unit(**changes: Any) -> Verifier:
    """Return a unit on the squared L2 whose even odds lie at 0.3."""
    made = Verifier(
        fingerprint=CARD.fingerprint,
        model=CARD.name,
        form="squared-l2",
        weights=(-10.0,),
        bias=3.0,
        needed=0.0,
        far=1e-3,
        verdict="not better",
        source="tests",
        created="2026-11-23T12:00:00+00:00",
    )
    return dataclasses.replace(made, **changes)


@pytest.mark.slow
def test_a_verifier_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    made, _ = trained(*noisy_people(60, noise=0.3))
    save_verifier(path, made)
    assert load_verifier(path, CARD) == made


def test_one_of_another_model_is_refused(tmp_path: Path) -> None:
    save_verifier(tmp_path / "v.json", unit())
    with pytest.raises(FingerprintMismatch, match=r"trained for fake-128 .*, not for other"):
        load_verifier(tmp_path / "v.json", fake_card("other"))


def test_one_has_as_many_components_as_its_model(tmp_path: Path) -> None:
    path, narrow = tmp_path / "v.json", dataclasses.replace(CARD, dimension=3)
    made = unit(form="components", weights=(-1.0, -2.0, -3.0))
    save_verifier(path, made)
    assert load_verifier(path, narrow) == made
    with pytest.raises(ModelError, match="not a verifier"):
        load_verifier(path, CARD)


@pytest.mark.parametrize(
    "change",
    [
        {"form": "components"},
        {"form": ["x"]},
        {"weights": []},
        {"weights": ["x"]},
        {"weights": [math.nan]},
        {"bias": None},
        {"extra": 1},
        {"needed": math.inf},
    ],
    ids=str,
)
def test_what_is_no_verifier_is_refused_in_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "v.json"
    path.write_text(json.dumps(dataclasses.asdict(unit()) | change))
    with pytest.raises(ModelError, match="not a verifier"):
        load_verifier(path, CARD)
    path.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ModelError, match="not a verifier"):
        load_verifier(path, CARD)
    with pytest.raises(ModelError, match="No such file"):
        load_verifier(tmp_path / "none.json", CARD)


def test_judging_takes_the_likeliest_pair() -> None:
    a = np.stack([embedding(1, 0), embedding(0, 0)])
    judged = unit().judge(a, embedding(0, 2)[None])
    squared = 2 - 2 * math.cos(0.1)
    assert judged.same
    assert judged.probability == pytest.approx(probability(3 - 10 * squared))
    assert judged.needed == 0.5


# the commands


def run(*arguments: object, model: str = "fake-128") -> Result:
    settings = Settings(detector=FakeDetector(), encoder=FakeEncoder(fake_card(model)))
    return CliRunner().invoke(cli, [*map(str, arguments)], obj=settings)


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    return tmp_path / "none.db"


def test_verify_lets_a_verifier_decide(tmp_path: Path, nowhere: Path) -> None:
    """12 steps are 0.35 squared L2: one person by the threshold of 0.5, two by the unit."""
    photos = (
        paint(tmp_path / "a.png", PaintedFace(0)),
        paint(tmp_path / "b.png", PaintedFace(0, 12)),
    )
    save_verifier(tmp_path / "v.json", unit())
    arguments = ["verify", *photos, "--db", nowhere]
    assert run(*arguments).exit_code == 0
    result = run(*arguments, "--verifier", tmp_path / "v.json")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:2] == [
        "different people: probability 0.379, 0.500 needed, if half of the pairs compared are of "
        "one person",
        "squared L2 0.349 (threshold 0.5)",
    ]
    fields = json.loads(run(*arguments, "--verifier", tmp_path / "v.json", "--json").stdout)
    assert fields["same"] is False
    assert fields["verifier"]["probability"] == pytest.approx(0.379, abs=1e-3)
    refused = run(*arguments, "--verifier", tmp_path / "v.json", model="other-128")
    assert refused.exit_code == 2
    assert "trained for fake-128" in refused.stderr


@pytest.mark.slow
def test_train_verifier_on_a_folder(tmp_path: Path, nowhere: Path) -> None:
    """Fourteen painted people; neighbours in one plane are 30 steps apart."""
    for place in range(32):
        for turn in range(2):
            face = PaintedFace(place % 16, 30 * (place // 16) + 4 * turn)
            paint(tmp_path / "people" / f"p{place}" / f"{turn}.png", face)
    out = tmp_path / "v.json"
    arguments = ["train-verifier", tmp_path / "people", "--out", out, "--far", "0.07"]
    arguments += ["--form", "squared-l2", "--library", tmp_path / "photos.db", "--db", nowhere]
    made = json.loads(run(*arguments, "--json").stdout)
    assert (made["kind"], made["better"]) == ("verifier", False)
    assert (made["people"], made["genuine_pairs"], made["impostor_pairs"]) == (16, 16, 480)
    assert load_verifier(out, CARD).form == "squared-l2"
    text = run(*arguments).stdout
    assert "16 people never trained on, 16 genuine and 480 impostor pairs" in text
    assert "not shown to be better than the threshold alone" in text
    lost = run(*arguments[:2], "--out", tmp_path / "nowhere" / "v.json")
    assert (lost.exit_code, lost.stderr.count("\n")) == (2, 1)
    assert "there is no folder" in lost.stderr
    few = run(*arguments[:4], "--far", "1e-4", "--library", tmp_path / "photos.db")
    assert few.exit_code == 2
    assert isinstance(few.exception, SystemExit)
    assert "the half held back: FMR 1e-4 needs 300,000 pairs of strangers" in few.stderr
