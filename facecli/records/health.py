"""Records of doctor, of demo, and of the service itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from facecli.records.fields import Count, WrittenBy

if TYPE_CHECKING:
    from pathlib import Path

    from facecli.doctor import Finding
    from facecli.training.glasses import Collection


class FindingRecord(TypedDict):
    """One thing that doctor checked."""

    kind: Annotated[Literal["finding"], WrittenBy(("facecli doctor",))]
    topic: Annotated[str, "what was checked"]
    healthy: Annotated[bool, "whether it is in order"]
    text: Annotated[str, "what was found, and what to do if it is not in order"]


class DiagnosisRecord(TypedDict):
    """The end of a check by doctor."""

    kind: Annotated[Literal["diagnosis"], WrittenBy(("facecli doctor",))]
    problems: Annotated[Count, "things that are not in order"]


def finding(found: Finding) -> FindingRecord:
    """Return the record of one thing that doctor checked."""
    return {
        "kind": "finding",
        "topic": found.topic,
        "healthy": found.healthy,
        "text": found.text,
    }


def diagnosis(problems: int) -> DiagnosisRecord:
    """Return the record of the end of a check by doctor."""
    return {"kind": "diagnosis", "problems": problems}


class DemoStepRecord(TypedDict):
    """One command that demo ran; its own records come before this one."""

    kind: Annotated[Literal["demo_step"], WrittenBy(("facecli demo",))]
    command: Annotated[str, "the command, as you would type it"]
    exit: Annotated[int, "its exit code"]
    right: Annotated[bool, "whether exit code and answers were right"]


class DemoRecord(TypedDict):
    """The end of the demo."""

    kind: Annotated[Literal["demo"], WrittenBy(("facecli demo",))]
    right: Annotated[bool, "whether every command gave the right answers"]
    folder: Annotated[str, "the folder with portraits, changed copies and gallery"]
    gallery: Annotated[str, "the gallery's file"]


def demo_step(command: str, code: int, *, right: bool) -> DemoStepRecord:
    """Return the record of one command that demo ran."""
    return {"kind": "demo_step", "command": command, "exit": code, "right": right}


def demo(folder: Path, gallery: Path, *, right: bool) -> DemoRecord:
    """Return the record of the end of the demo."""
    return {"kind": "demo", "right": right, "folder": str(folder), "gallery": str(gallery)}


class GlassesRecord(TypedDict):
    """Glasses were drawn to train on."""

    kind: Annotated[Literal["glasses"], WrittenBy(("facecli demo",))]
    folder: Annotated[str, "the folder with a folder of pictures for each product"]
    products: Annotated[Count, "how many products there are"]
    pictures: Annotated[Count, "how many pictures there are"]
    colour: Annotated[str, "the table of the lens colour of each product"]
    shape: Annotated[str, "the table of the frame shape of each product"]
    commands: Annotated[Sequence[str], "commands to go on with, as you would type them"]


def glasses(
    made: Collection, *, products: int, pictures: int, commands: Sequence[str]
) -> GlassesRecord:
    """Return the record of drawn glasses."""
    return {
        "kind": "glasses",
        "folder": str(made.pictures),
        "products": products,
        "pictures": pictures,
        "colour": str(made.colour),
        "shape": str(made.shape),
        "commands": list(commands),
    }


class HealthRecord(TypedDict):
    """Whether the service can answer."""

    kind: Annotated[Literal["health"], WrittenBy(("GET /health",))]
    healthy: Annotated[bool, "whether the gallery can be read"]
    version: Annotated[str, "version of facecli"]


class ErrorRecord(TypedDict):
    """The service refused a request, or could not answer it."""

    kind: Annotated[Literal["error"], WrittenBy(("every address of the service",))]
    reason: Annotated[str, "the reason, in one line"]


def health(version: str, *, healthy: bool) -> HealthRecord:
    """Return the record of whether the service can answer."""
    return {"kind": "health", "healthy": healthy, "version": version}


def error(reason: str) -> ErrorRecord:
    """Return the record of a request that was refused or could not be answered."""
    return {"kind": "error", "reason": reason}
