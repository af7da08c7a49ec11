"""`facecli doctor`: is everything in order, and if not, what to do."""

from __future__ import annotations

import click

from facecli.cli.options import Settings, command_options, pass_settings
from facecli.cli.output import bad, emit, good, shown


@click.command()
@command_options
@pass_settings
@click.pass_context
def doctor(ctx: click.Context, settings: Settings) -> None:
    """Check the installation, the model and the database.

    Exits with 0 if all is in order and with 1 if something must be done, which it says.
    """
    from facecli.doctor import examine

    problems = 0
    for finding in examine(
        load_detector=settings.detector,
        load_encoder=settings.encoder,
        open_gallery=settings.gallery,
        database=settings.database,
    ):
        problems += not finding.healthy
        mark = good("ok     ") if finding.healthy else bad("PROBLEM")
        emit(
            {
                "kind": "finding",
                "topic": finding.topic,
                "healthy": finding.healthy,
                "text": finding.text,
            },
            f"{mark} {finding.topic}: {shown(finding.text)}",
        )
    emit(
        {"kind": "diagnosis", "problems": problems},
        f"{problems} problem{'' if problems == 1 else 's'}" if problems else "All in order.",
    )
    ctx.exit(1 if problems else 0)
