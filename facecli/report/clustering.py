"""Make the page of how well clustering finds people."""

from __future__ import annotations

from collections.abc import Sequence

from facecli.evaluation.clustering import ClusteringResult
from facecli.report.page import Number, Numbers, Page, Table
from facecli.report.wording import Facts, failures, share
from facecli.types import Failure


def clustering_page(result: ClusteringResult, *, lost: Sequence[Failure], facts: Facts) -> Page:
    """Return the page: how well clusters agree with folders of people."""
    scores = (("pairwise", result.pairwise), ("BCubed", result.bcubed))
    return Page(
        title="How well clustering finds people",
        facts=(("photos", f"{result.photos:,}"), *facts),
        sections=[
            Numbers(
                "In short",
                (
                    Number("BCubed F", f"{result.bcubed.f:.4f}", "1 is perfect"),
                    Number("people found", f"{result.found:,}", f"there are {result.people:,}"),
                    Number("threshold", f"{result.threshold:.4g}", "squared L2"),
                    Number("person not known", f"{result.unnamed:,}", "photos, not scored"),
                ),
            ),
            Table(
                "Agreement with the folders",
                ("", "precision", "recall", "F"),
                tuple(
                    (name, share(score.precision), share(score.recall), share(score.f))
                    for name, score in scores
                ),
                note="Pairwise scores are over pairs of photos, BCubed scores over photos.",
            ),
            *failures(lost),
        ],
    )
