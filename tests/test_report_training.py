"""The pages of a training run and of a comparison: what was measured is shown, the rest is not."""

from __future__ import annotations

import re
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from browsing import PHONE, opened, overflow
from markup import Structure

from facecli.metrics import AllPairs, Comparisons, Interval
from facecli.report import Figure, Page, Shots, curves, projection, render, write_html
from facecli.report.compared_losses import compared_page
from facecli.report.training import training_page
from facecli.text import shown
from facecli.training.compared import ComparedLoss, ComparedLosses
from facecli.training.glasses import PRODUCTS, draw_product
from facecli.training.story import (
    Accuracy,
    AnglesAt,
    ComparedPairs,
    Measures,
    Moment,
    Neighbour,
    Query,
    RunStory,
    Series,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HOSTILE = "</style><script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7*7 }} \u202e\x1b"
STEPS = np.arange(10, 401, 10)
CLASSES = 45


def series(start: float, end: float, *, noise: float = 0.0, seed: int = 0) -> Series:
    """Return a number that falls or rises, quickly at first."""
    course = end + (start - end) * np.exp(-STEPS / 80)
    return Series(STEPS, course + np.random.default_rng(seed).normal(0, noise, len(STEPS)))


def angles() -> tuple[AnglesAt, ...]:
    random = np.random.default_rng(3)
    middle = 33 + 57 * np.exp(-STEPS / 90)
    return tuple(
        AnglesAt(int(step), random.normal(centre, 2 + (90 - centre) / 8, 96).clip(1, 179))
        for step, centre in zip(STEPS, middle, strict=True)
    )


def moment(step: int, spread: float, *, classes: int = 14) -> Moment:
    random = np.random.default_rng(step)
    labels = np.repeat(np.arange(classes), 20)
    centres = np.random.default_rng(9).normal(size=(classes, 16))
    rows = centres[labels] + random.normal(0, spread, (len(labels), 16))
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return Moment(step, unit, labels, np.arange(len(labels)) % 20 >= 10)


def pairs(genuine: float, impostor: float) -> AllPairs:
    random = np.random.default_rng(1)
    near = random.normal(genuine, 0.2, 800).clip(0, 4).astype(np.float32)
    far = random.normal(impostor, 0.25, 9000).clip(0, 4)
    return AllPairs(near, np.zeros(800, np.int64), Comparisons.of(far))


def query(number: int, name: str = "") -> Query:
    def chip(product: int, picture: int) -> Any:
        random = np.random.default_rng((7, product, picture))
        return draw_product(PRODUCTS[product], random, worn=True)

    near = [(number, 1), (number, 2), (number + 1, 0), (number, 3), (number + 12, 0), (number, 4)]
    answers = tuple(
        Neighbour(
            chip(product, picture),
            name or PRODUCTS[product].name,
            0.1 + 0.11 * place,
            product == number,
        )
        for place, (product, picture) in enumerate(near)
    )
    return Query(chip(number, 0), name or PRODUCTS[number].name, answers)


def story(name: str = "") -> RunStory:
    """Return a run with all its parts; every text in it is `name` if that is given."""
    rows = (("R@1", "0.731"), ("MAP@R", "0.354"), ("threshold", "0.731"))
    return RunStory(
        title=name or "Training of glasses",
        facts=(
            (name or "loss", name or "arcface, margin 28.6°, scale 30"),
            ("data", "900 pictures of 45 classes, 15 classes held out"),
        ),
        loss=series(18, 2.2, noise=0.3),
        learning_rate=Series(STEPS, 1e-3 * (1 + np.cos(np.pi * STEPS / 400)) / 2),
        synthetic=series(0, 0.46, noise=0.01),
        angles=angles(),
        accuracy=Accuracy(CLASSES, series(0.03, 0.97, noise=0.01), series(-0.3, 0.7, noise=0.01)),
        moments=(moment(0, 3.0), moment(200, 1.0), moment(400, 0.4)),
        before=ComparedPairs(name or "small-conv, untrained", pairs(0.5, 0.8), 0.21),
        after=ComparedPairs(name or "glasses", pairs(0.4, 1.9), 0.731),
        queries=tuple(query(number, name) for number in (1, 8, 17, 26, 31, 40, 44)),
        measures=(
            Measures(
                name or "Measures",
                (name or "measure", name or "test classes"),
                tuple((name or one, name or two) for one, two in rows),
                note=name,
            ),
        ),
    )


def headings(page: Page) -> list[str]:
    return [section.heading for section in page.sections]


EVERYTHING = [
    "At the end of training",
    "Measures",
    "Loss",
    "Learning rate",
    "Share of synthetic points among the hardest",
    "Angle to the class centre",
    "Distribution of the angle",
    "Accuracy in training",
    "Validation pairs before training: small-conv, untrained",
    "Validation pairs after training: glasses",
    "Map of embeddings at step 0",
    "Map of embeddings at step 200",
    "Map of embeddings at step 400",
    "Nearest neighbours of validation pictures",
]


@pytest.fixture(scope="module")
def full() -> Page:
    return training_page(story())


@pytest.fixture(scope="module")
def alts(full: Page) -> dict[str, str]:
    return {one.heading: one.alt for one in full.sections if isinstance(one, Figure)}


def test_all_that_was_measured_is_shown(full: Page) -> None:
    assert headings(full) == EVERYTHING


def test_plots_tell_their_numbers_in_words(alts: dict[str, str]) -> None:
    assert "0.0001" not in alts["Learning rate"]
    assert re.search(r"^Loss over training: [\d.]+ at step 10, .* at step 400\.$", alts["Loss"])
    assert re.search(r"step 10: median 8\d", alts["Angle to the class centre"])
    assert re.search(r"step 400: median 3\d", alts["Angle to the class centre"])
    assert "step 210, mean" in alts["Distribution of the angle"]
    assert "Chance is 2.22%" in alts["Accuracy in training"]
    assert "threshold 0.731" in alts["Validation pairs after training: glasses"]
    assert "240 embeddings of 12 classes, 120 of them synthetic" in alts[EVERYTHING[-2]]


def test_the_note_says_that_below_chance_is_normal_with_a_margin_only() -> None:
    accuracy = Accuracy(4, series(0.3, 0.9), series(0.0, 0.8))
    assert "normal early in training" in curves.accuracy(accuracy).note
    plain = curves.accuracy(replace(accuracy, with_margin=None))
    assert plain.note == ""
    assert "Chance is 25.00%" in plain.alt
    assert "with margin" not in plain.alt


def test_the_histograms_of_pairs_have_one_scale(full: Page) -> None:
    figures = [one for one in full.sections if isinstance(one, Figure)]
    drawn = [one.svg for one in figures if one.heading.startswith("Validation pairs")]
    ticks = [re.findall(r">(\d\.\d)</text>", svg) for svg in drawn]
    assert ticks[0] == ticks[1] != []


def test_neighbours_are_told_apart_without_colour(full: Page) -> None:
    (section,) = (one for one in full.sections if isinstance(one, Shots))
    assert len(section.rows) == 6
    assert {len(row) for row in section.rows} == {6}
    found = Structure(render(full))
    assert sum("✓ same class" in text for text in found.texts) == 6 * 3
    assert sum("✗ other class" in text for text in found.texts) == 6 * 2
    assert sum(value == "right" for value in found.values) == 6 * 3
    assert sum(value.startswith("data:image/jpeg") for value in found.values) == 36


@pytest.mark.parametrize("part", [one.name for one in fields(RunStory)[2:]])
def test_a_part_that_was_not_measured_is_left_out(part: str) -> None:
    """Without the maps, which take a second."""
    whole = replace(story(), moments=())
    empty: Any = () if isinstance(getattr(whole, part), tuple) else None
    page = training_page(replace(whole, **{part: empty}))
    left = set(headings(training_page(whole))) - set(headings(page))
    assert (part == "moments") == (not left)
    assert Structure(render(page)).tags


def test_a_run_of_which_nothing_is_known_is_a_page() -> None:
    page = training_page(RunStory(title="Nothing"))
    assert page.sections == []
    assert "<h1>Nothing</h1>" in render(page)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_count_as_not_measured(value: float) -> None:
    lost = Series(STEPS, np.full(len(STEPS), value))
    page = training_page(
        RunStory(
            title="Broken",
            loss=lost,
            synthetic=lost,
            accuracy=Accuracy(3, lost, lost),
            angles=(AnglesAt(0, np.full(5, value)), AnglesAt(5, np.empty(0))),
            moments=(Moment(0, np.full((9, 4), value, np.float32), *labels(9)),),
        )
    )
    assert page.sections == []
    some = replace(lost, values=np.where(STEPS > 200, 1.0, value))
    (figure,) = training_page(RunStory(title="Late", loss=some)).sections
    assert isinstance(figure, Figure)
    assert "1 at step 210" in figure.alt


def labels(rows: int) -> tuple[Any, Any]:
    return np.arange(rows) % 3, np.zeros(rows, bool)


@pytest.mark.parametrize("points", [1, 2, 3, 5, 13, 40])
@pytest.mark.parametrize("spread", [0.0, 1e-9, 1e-7, 1e-5, 1.0])
@pytest.mark.filterwarnings("error")
def test_a_map_of_few_or_collapsed_points_is_drawn_or_left_out(points: int, spread: float) -> None:
    rows = np.ones((points, 8)) + spread * np.random.default_rng(2).normal(size=(points, 8))
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    found = curves.maps([Moment(7, unit, *labels(points))])
    assert len(found) == (points >= 3)
    assert all("nan" not in figure.svg for figure in found)


def test_a_single_step_is_a_dot(alts: dict[str, str]) -> None:
    one = Series(np.array([1]), np.array([2.0]))
    figure = curves.curve(one, "Loss")
    assert "<use" in figure.svg
    figure = curves.angle_quantiles([AnglesAt(3, np.array([80.0]))])
    assert figure.alt.count("step 3") == 1


def test_lengths_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="differ"):
        Series(STEPS, np.zeros(3))
    with pytest.raises(ValueError, match="each embedding"):
        Moment(0, np.zeros((3, 2), np.float32), np.zeros(2, np.int64), np.zeros(3, bool))


def test_without_matplotlib_the_rest_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    page = training_page(story())
    assert headings(page) == [*EVERYTHING[:2], "No plots", EVERYTHING[-1]]
    assert "pip install &#39;facecli[report]&#39;" in render(page)
    assert "No plots" in headings(compared_page(comparison()))
    assert "No plots" not in headings(training_page(RunStory(title="Nothing to draw")))


def test_without_scikit_learn_the_map_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (curves, projection):
        monkeypatch.setattr(module, "has_tsne", lambda: False)
    (figure,) = curves.maps([moment(0, 1.0)])
    assert "Two principal components. t-SNE needs scikit-learn" in figure.note


@pytest.mark.parametrize(
    "make", [lambda name: training_page(story(name)), lambda name: compared_page(comparison(name))]
)
def test_hostile_names_stay_text(make: Any) -> None:
    html = render(make(HOSTILE))
    found = Structure(html)
    assert {"script"} & {tag for tag, _ in found.tags} == set()
    assert not any("onerror" in names for _, names in found.tags)
    assert any(shown(HOSTILE) in text for text in found.texts)
    assert "\u202e" not in html
    assert "\x1b" not in html


def test_pages_fetch_nothing_and_have_no_identifier_twice(full: Page) -> None:
    for html in (render(full), render(compared_page(comparison()))):
        assert "default-src 'none'" in html
        bare = re.sub(r"base64,[\w+/=]+", "", html)
        addresses = set(re.findall(r"(?:https?:)?//[\w.-]+[\w/.-]*", bare))
        assert addresses <= {"http://www.w3.org/2000/svg"}
        identifiers = re.findall(r'\bid="([^"]+)"', html)
        assert len(identifiers) == len(set(identifiers))


def around(estimate: float, width: float = 0.02) -> Interval:
    return Interval(estimate, estimate - width, estimate + width)


LOSSES = ("symm-npair", "triplet", "arcface", "pooling only", "softmax", "no training")


def comparison(name: str = "") -> ComparedLosses:
    """Return a comparison with all verdicts; every text in it is `name` if that is given."""
    measured = (0.413, 0.402, 0.379, 0.403, 0.405, 0.331)
    rows = tuple(
        ComparedLoss(
            name=name or loss,
            settings=name or "margin 0.2, scale 16, rate 1e-3",
            fold_map_at_r=None if loss in ("pooling only", "no training") else around(one + 0.01),
            map_at_r=around(one),
            recall_at_1=around(0.9),
            r_precision=around(one + 0.1),
            nmi=0.7,
            val=None if loss == "softmax" else around(0.44),
            difference=None if loss == "triplet" else around(one - 0.402, 0.008),
            seconds=1234.4,
        )
        for loss, one in zip(LOSSES, measured, strict=True)
    )
    protocol = (
        ("data", "81 classes: 60 in 4 folds, 21 test classes"),
        ("trials", "8 for each loss"),
        ("steps", "400"),
    )
    return ComparedLosses(name or "Losses compared", name or "triplet", rows, protocol)


def test_verdicts_follow_the_interval_of_the_difference() -> None:
    verdicts = {row.name: row.verdict for row in comparison().rows}
    assert verdicts == {
        "symm-npair": "better",
        "triplet": "",
        "arcface": "worse",
        "pooling only": "no difference shown",
        "softmax": "no difference shown",
        "no training": "worse",
    }


def test_the_comparison_is_in_the_order_of_the_test_and_says_what_is_not_shown() -> None:
    page = compared_page(comparison())
    results, measured, differences, others, settings, how = page.sections
    rows = results.rows  # type: ignore[union-attr]
    assert [row[0] for row in rows] == [
        "symm-npair",
        "softmax",
        "pooling only",
        "triplet",
        "arcface",
        "no training",
    ]
    assert rows[0][1:] == (
        "0.413",
        "0.393 to 0.433",
        "+0.011",
        "+0.003 to +0.019",
        "better",
        "0.423",
    )
    assert rows[3][3:] == ("–", "", "reference", "0.412")
    assert rows[5][-1] == "–"
    assert others.rows[1][-2] == "–"  # type: ignore[union-attr]
    assert settings.rows[0][-1] == "1,234"  # type: ignore[union-attr]
    assert isinstance(measured, Figure)
    assert "no training 0.331 (0.311 to 0.351)" in measured.alt
    assert isinstance(differences, Figure)
    assert "arcface -0.023 (-0.031 to -0.015), worse" in differences.alt
    assert how.heading == "How this was measured"


def test_a_comparison_without_rows_is_a_page() -> None:
    page = compared_page(ComparedLosses("Nothing yet", "triplet", ()))
    assert "Nothing yet" in render(page)


@pytest.mark.parametrize("width", [1200, PHONE])
def test_a_browser_shows_the_pages_without_complaint(
    chromium: Browser, tmp_path: Path, full: Page, width: int
) -> None:
    hostile = training_page(replace(story(HOSTILE.replace(" ", "_")), moments=()))
    for page in (full, hostile, compared_page(comparison())):
        write_html(render(page), tmp_path / "page.html")
        with opened(chromium, (tmp_path / "page.html").as_uri(), width=width) as tab:
            assert overflow(tab) == 0
            broken = "[...document.images].filter(one => !one.naturalWidth).length"
            assert tab.evaluate(broken) == 0
