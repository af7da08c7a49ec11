"""`facecli train-verifier`: train a logistic verifier, which replaces the threshold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from facecli.cli.options import NETWORKS, Range, library_options, options_for
from facecli.cli.output import bad, emit, good, shown, table
from facecli.cli.settings import Settings, pass_settings
from facecli.errors import FacecliError
from facecli.records import calibration as records

if TYPE_CHECKING:
    from facecli.calibration.comparing import VerifierComparison


@click.command("train-verifier")
@click.argument("data", metavar="DIR", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.json",
    help="Where to write the verifier.",
)
@click.option(
    "--far",
    type=Range(0.0, 0.1, min_open=True),
    default=1e-3,
    show_default=True,
    metavar="RATE",
    help="The false accept rate at which the verifier decides and is compared.",
)
@click.option(
    "--form",
    type=click.Choice(["components", "squared-l2"]),
    default="components",
    show_default=True,
    help="The input of the verifier: |f(a) - f(b)| for each number, or the squared L2.",
)
@library_options
@options_for(*NETWORKS)
@pass_settings
def train_verifier(settings: Settings, data: Path, out: Path, far: float, form: str) -> None:
    """Train a logistic verifier on the difference of two embeddings.

    DIR contains a folder of photos for each person. Half of the people are held back. On them, the
    verifier is compared with the plain threshold, and its decision limit is set. Use it with
    verify --verifier FILE.json. It works only with the model it was trained with. Exit codes: 2 if
    a photo could not be read; the others are used.
    """
    from facecli.calibration.training import train_verifier as train
    from facecli.calibration.verifier import save_verifier
    from facecli.cli.samples import read_samples

    if not out.parent.is_dir():
        raise FacecliError(f"{out}: there is no folder {out.parent}")
    samples = read_samples(settings, data)
    verifier, comparison = train(
        samples.embeddings,
        list(samples.people),
        far=far,
        form=form,
        card=settings.card(),
        source=str(data),
    )
    save_verifier(out, verifier)
    emit(records.verifier(out, form, comparison), _described(out, comparison))
    if samples.unreadable:
        click.get_current_context().exit(2)


def _described(out: Path, comparison: VerifierComparison) -> str:
    rows = [
        (name, f"{val.estimate:.4f}", f"{val.low:.4f} to {val.high:.4f}")
        for name, val in (
            ("threshold", comparison.threshold),
            ("verifier", comparison.verifier),
        )
    ]
    paint = good if comparison.better else bad
    return "\n".join(
        [
            f"{shown(out)}: {comparison.people:,} people never trained on, "
            f"{comparison.genuine_pairs:,} genuine and {comparison.impostor_pairs:,} impostor "
            "pairs",
            table(("decided by", f"VAL at FAR {comparison.far:g}", "95 % interval"), rows),
            paint(comparison.verdict),
        ]
    )
