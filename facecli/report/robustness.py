"""Make the page of robustness to altered photos."""

from __future__ import annotations

from collections.abc import Sequence

from facecli.evaluation.robustness import Robustness
from facecli.report import plots
from facecli.report.page import Page, Table, Text
from facecli.report.wording import Facts


def robustness_page(summary: Sequence[Robustness], *, threshold: float, facts: Facts) -> Page:
    """Return the page: how many altered photos still verify, as a plot and as a table."""
    rows = tuple(
        (
            line.alteration,
            f"{line.share:.1%}",
            f"{line.missed}",
            "–" if line.missed == line.photos else f"{line.median:.3f}",
        )
        for line in summary
    )
    said = (
        "Each photo was altered, searched for a face again, and compared with the original. It "
        f"still verifies if the squared L2 of the two is at most {threshold:.4g}. A photo in which "
        "no face is found does not verify."
    )
    return Page(
        title="How robust photos are to alterations",
        facts=(("photos", f"{summary[0].photos:,}"), *facts),
        sections=[
            Text("How this was measured", (said,)),
            plots.sweep(summary),
            Table(
                "Results by alteration",
                ("alteration", "still verifies", "no face found", "median squared L2"),
                rows,
                note="The median is over the photos in which a face was found.",
            ),
        ],
    )
