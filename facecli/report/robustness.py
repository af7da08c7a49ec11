"""What photos may suffer as a page."""

from __future__ import annotations

from collections.abc import Sequence

from facecli.evaluation.robustness import Robustness
from facecli.report import plots
from facecli.report.page import Page, Table, Text
from facecli.report.wording import Facts


def robustness_page(summary: Sequence[Robustness], *, threshold: float, facts: Facts) -> Page:
    """Return what photos survive: the plot, and the table it was drawn from."""
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
        "Each photo was altered, searched for its face again and compared with itself as it was. "
        f"It still verifies if the two are at most {threshold:.4g} apart in squared L2; a face "
        "that was no longer found counts as a failure."
    )
    return Page(
        title="What photos may suffer",
        facts=(("photos", f"{summary[0].photos:,}"), *facts),
        sections=[
            Text("How this was measured", (said,)),
            plots.sweep(summary),
            Table(
                "Alteration by alteration",
                ("alteration", "still verifies", "faces lost", "median squared L2"),
                rows,
                note="The median counts the photos in which a face was found again.",
            ),
        ],
    )
