"""Make the pages of verification: a folder of people, and listed pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from facecli.evaluation.folders import FolderResult
from facecli.evaluation.lfw import ASSUMPTION, BASELINES, LfwResult
from facecli.evaluation.rates import Val, bound
from facecli.evaluation.retrieval import RetrievalResult
from facecli.evaluation.samples import Samples
from facecli.evaluation.subgroups import VAL_SHOWN, Subgroups
from facecli.metrics import ListedPairs
from facecli.metrics.support import rate_name
from facecli.report import plots
from facecli.report.page import FacePair, FacePairs, Number, Numbers, Page, Section, Table
from facecli.report.wording import Facts, failures, found, rate, share, share_or_bound, span, within
from facecli.types import PixelArray

ChipsOf = Callable[[Sequence[tuple[str, int]]], list[PixelArray]]
"""Returns the chips of faces; a face is the SHA-256 of its photo and its number in it."""

ALL = "all"


def folders_page(
    result: FolderResult,
    samples: Samples,
    *,
    chips: ChipsOf,
    facts: Facts,
    retrieval: RetrievalResult,
    subgroups: Sequence[Subgroups] = (),
) -> Page:
    """Return the page of a folder of people, with the pairs that should be looked at."""
    curves = {ALL: result.curve}
    for split in subgroups:
        curves |= {one.name: one.result.curve for one in split.groups if one.result is not None}
    return Page(
        title="How well people are told apart",
        facts=(("photos", f"{result.photos:,} of {result.people:,} people"), *facts),
        sections=[
            Numbers("In short", (*_headline(result.val), *_at_threshold(result))),
            plots.roc(curves, threshold=result.threshold),
            plots.det(curves, threshold=result.threshold),
            plots.histograms(result.histogram, threshold=result.threshold),
            _val_table(result.val),
            _retrieval_table(retrieval),
            *(section for split in subgroups for section in _subgroup_tables(split)),
            FacePairs(
                "Most similar pairs of different people",
                _pairs(result.hardest_impostor, samples, chips),
                note="The impostor pairs with the smallest squared L2. Check first if one person "
                "has two names.",
            ),
            FacePairs(
                "Least similar pairs of one person",
                _pairs(result.hardest_genuine, samples, chips),
                note="The genuine pairs with the largest squared L2. Check for wrong names.",
            ),
            *failures(samples.failures),
        ],
    )


def lfw_page(result: LfwResult, *, facts: Facts) -> Page:
    """Return the page of listed pairs, with the figures that others report."""
    rows = [(f"this model, at threshold {result.threshold:.4g}", f"{result.accuracy:.2%}")]
    if result.folds is None:
        headline = Number("accuracy at the threshold in force", f"{result.accuracy:.2%}")
        best = f"this model, at threshold {result.best_threshold:.4g} chosen on these pairs"
        rows.append((best, f"{result.best_accuracy:.2%}"))
    else:
        folds = result.folds
        value = f"{folds.mean:.2%} ± {folds.standard_error:.2%}"
        headline = Number(
            "accuracy", value, f"{len(folds.accuracies)} folds, threshold from the others"
        )
        rows.insert(0, ("this model, threshold from the other folds", value))
        rows += [(name, f"{accuracy:.2%}") for name, accuracy in BASELINES]
    return Page(
        title="How well listed pairs are told apart",
        facts=(("pairs", f"{result.genuine:,} genuine, {result.impostor:,} impostor"), *facts),
        sections=[
            Numbers(
                "In short",
                (
                    headline,
                    Number("equal error rate", share(result.eer), within(result.eer_interval)),
                    Number("area under the ROC", f"{result.auc:.4f}"),
                    *_headline(result.val),
                    Number("pairs lost", f"{result.lost:,}", ASSUMPTION),
                ),
            ),
            plots.roc({ALL: result.curve}, threshold=result.threshold),
            plots.histograms(result.histogram, threshold=result.threshold),
            Table(
                "Accuracy compared with others",
                ("network", "accuracy"),
                tuple(rows),
                note="Others as they report it, with their own detectors and alignments.",
            ),
            _val_table(result.val),
            *failures(result.failures),
        ],
    )


def _headline(points: Sequence[Val]) -> list[Number]:
    """Return VAL at the two smallest FARs that the pairs support."""
    supported = [one for one in points if one.val is not None][-2:]
    return [
        Number(f"VAL at FAR {rate_name(one.far)}", share(one.val), within(one.interval))
        for one in supported
    ]


def _at_threshold(result: FolderResult) -> tuple[Number, ...]:
    where = f"at threshold {result.threshold:.4g}"
    return (
        Number(f"false matches {where}", rate(result.fmr), within(result.fmr.interval)),
        Number(f"false non-matches {where}", rate(result.fnmr), within(result.fnmr.interval)),
        Number(
            "equal error rate",
            share_or_bound(None if result.eer_reason else result.eer, result.eer_interval),
            within(result.eer_interval, result.eer_reason),
        ),
        Number(
            "found at rank 1",
            found(result.missed),
            within(result.missed.right_interval, "one photo a person enrolled"),
        ),
    )


def _val_table(points: Iterable[Val]) -> Table:
    rows = tuple(
        (
            rate_name(one.far),
            _val(one),
            span(one.interval),
            "" if one.threshold is None else f"{one.threshold:.4f}",
        )
        for one in points
    )
    return Table(
        "Genuine pairs accepted at a false accept rate",
        ("FAR", "VAL", "95 % interval", "threshold, squared L2"),
        rows,
        note="A rate needs 30 expected errors or more; otherwise its bound is shown.",
    )


def _val(point: Val) -> str:
    """Return VAL, or its bound and why there is no more."""
    if not (reason := point.reason()):
        return share(point.val)
    known = bound(point.interval)
    return f"{known} ({reason})" if known else reason


EXPLAINED = {
    "MAP@R": "as R-precision, and the first places count more",
    "R-precision": "share of the person's own among the R nearest, R being how many there are",
    "NMI": "agreement of people and as many k-means clusters",
}
"""What each measure of retrieval says; Recall@K is explained by its K."""


def _retrieval_table(found: RetrievalResult) -> Table:
    """Return Recall@K, MAP@R, R-precision and NMI, each with what it says."""
    rows = [(name, share(one.value), span(one.interval)) for name, one in found.named().items()]
    rows.append(("NMI", found.nmi_reason if found.nmi is None else share(found.nmi), ""))
    said = EXPLAINED | {
        f"Recall@{k}": f"photos with one of their own person among the nearest {k}"
        for k in found.recall
    }
    return Table(
        "What is nearest to each photo",
        ("measure", "mean", "95 % interval", "what it says"),
        tuple((*cells, said[cells[0]]) for cells in rows),
        note=f"{found.queries:,} photos of {found.people:,} people with two or more ask, each "
        f"among {found.photos - 1:,} others. Compare models on the same photos only: the more "
        "people, the lower are all but NMI, which is high by chance where people have few photos.",
    )


def _subgroup_tables(split: Subgroups) -> list[Section]:
    rows = []
    for group in split.groups:
        if group.result is None:
            rows.append((group.name, f"{group.photos:,}", group.reason, "", ""))
            continue
        fmr, fnmr = group.result.fmr, group.result.fnmr
        (point,) = [one for one in group.result.val if one.far == VAL_SHOWN]
        val = bound(point.interval) or point.reason() if point.val is None else share(point.val)
        rows.append((group.name, f"{group.photos:,}", rate(fmr), rate(fnmr), val))
    column = split.split.column
    tables: list[Section] = [
        Table(
            f"By {column}",
            (column, "photos", "FMR", "FNMR", f"VAL at FAR {rate_name(VAL_SHOWN)}"),
            tuple(rows),
            note="At the threshold in force. Each group is measured on its own pairs.",
        )
    ]
    if split.differences:
        tables.append(
            Table(
                f"Differences by {column}",
                ("group", "rate", "compared with", "difference", "95 % interval"),
                tuple(
                    (
                        one.group,
                        one.measure,
                        one.reference,
                        share(one.interval.estimate, sign="+"),
                        span(one.interval),
                    )
                    for one in split.differences
                ),
                note="An interval that contains 0 shows no difference.",
            )
        )
    return tables


def _pairs(listed: ListedPairs, samples: Samples, chips: ChipsOf) -> tuple[FacePair, ...]:
    """Return the pairs with their chips, which are read all at once."""
    sides = [(int(a), int(b)) for a, b in zip(listed.first, listed.second, strict=True)]
    rows = sorted({row for pair in sides for row in pair})
    found = chips([(samples.sha256s[row], samples.faces[row]) for row in rows])
    chip = dict(zip(rows, found, strict=True))
    return tuple(
        FacePair(
            chips=(chip[a], chip[b]),
            people=(samples.people[a], samples.people[b]),
            photos=(samples.paths[a], samples.paths[b]),
            squared_l2=float(squared),
        )
        for (a, b), squared in zip(sides, listed.squared, strict=True)
    )
