"""Records of doctor gallery: the enrolled people, compared with each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal, TypedDict

from facecli.records.fields import (
    AsClose,
    Count,
    InForce,
    ModelName,
    SquaredL2,
    Threshold,
    Unit,
    WrittenBy,
    calibrated,
    strangers,
)

if TYPE_CHECKING:
    from facecli.calibration import Odds
    from facecli.calibration.operating import OperatingPoint
    from facecli.recognition.survey import Stray, Survey
    from facecli.types import ModelCard


class StandingRecord(TypedDict):
    """A person among the others."""

    kind: Annotated[Literal["standing"], WrittenBy(("facecli doctor gallery",))]
    person: Annotated[str, "the person's name"]
    templates: Annotated[Count, "templates of the model in use"]
    nearest: Annotated[
        str | None, "the other person with the nearest template; null if there is nobody else"
    ]
    squared_l2: Annotated[SquaredL2 | None, "to that template"]
    spread: Annotated[
        SquaredL2 | None,
        "from the template that is farthest from the person's others to the nearest of these; "
        "null with one template",
    ]


class LookAlikesRecord(TypedDict):
    """Two people with templates within the threshold."""

    kind: Annotated[Literal["look_alikes"], WrittenBy(("facecli doctor gallery",))]
    person: Annotated[str, "one person's name"]
    other: Annotated[str, "the other person's name"]
    squared_l2: Annotated[SquaredL2, "between their nearest templates"]


class StrayRecord(TypedDict):
    """A template that is not like the person's others: perhaps a photo of somebody else."""

    kind: Annotated[Literal["stray"], WrittenBy(("facecli doctor gallery",))]
    person: Annotated[str, "the person's name"]
    template: Annotated[int, "number of the template"]
    own_squared_l2: Annotated[SquaredL2, "to the person's nearest other template"]
    other: Annotated[str | None, "the other person with the nearest template"]
    squared_l2: Annotated[SquaredL2 | None, "to that template"]


def findings(found: Survey) -> list[StandingRecord | LookAlikesRecord | StrayRecord]:
    """Return the records of a survey but for the last one, the sum."""
    standings: list[StandingRecord] = [
        {
            "kind": "standing",
            "person": one.person,
            "templates": one.templates,
            "nearest": one.nearest,
            "squared_l2": one.squared_l2,
            "spread": one.spread,
        }
        for one in found.standings
    ]
    look_alikes: list[LookAlikesRecord] = [
        {
            "kind": "look_alikes",
            "person": one.person,
            "other": one.other,
            "squared_l2": one.squared_l2,
        }
        for one in found.look_alikes
    ]
    return [*standings, *look_alikes, *map(_stray, found.strays)]


def _stray(one: Stray) -> StrayRecord:
    return {
        "kind": "stray",
        "person": one.person,
        "template": one.template,
        "own_squared_l2": one.own_squared_l2,
        "other": one.other,
        "squared_l2": one.squared_l2,
    }


PerDay = Annotated[float, Unit("per day", 0)]


class FalseAccepts(TypedDict):
    """How many strangers per day would be taken for an enrolled person."""

    share: Annotated[PerDay | None, "the number; null if it is only known to be in the interval"]
    low: Annotated[PerDay, "lower end of the 95 % interval"]
    high: Annotated[PerDay, "upper end of the 95 % interval"]


class GallerySurveyRecord(TypedDict):
    """The sum of a check of the gallery."""

    kind: Annotated[Literal["gallery_survey"], WrittenBy(("facecli doctor gallery",))]
    people: Annotated[Count, "people with a template of the model in use"]
    templates: Annotated[Count, "templates of the model in use"]
    look_alikes: Annotated[Count, "pairs of people within the threshold"]
    strays: Annotated[Count, "templates that are not like the person's others"]
    second_photo: Annotated[
        Sequence[str], "people with one template, those most like somebody else first"
    ]
    probes_per_day: Annotated[Count, "strangers seen per day, as given by --probes-per-day"]
    false_accepts_per_day: Annotated[
        FalseAccepts | None, "how many of them would be taken for an enrolled person"
    ]
    threshold: Threshold
    calibrated: InForce
    strangers: Annotated[
        AsClose, "how many strangers come within the threshold of an enrolled person"
    ]
    model: ModelName


def gallery_survey(
    found: Survey,
    card: ModelCard,
    point: OperatingPoint,
    *,
    odds: Odds | None,
    probes: int,
) -> GallerySurveyRecord:
    """Return the sum of a survey; `odds` are those of a stranger against the whole gallery."""
    expected: FalseAccepts | None = None
    if odds is not None:
        share = None if odds.share is None else odds.share * probes
        expected = {"share": share, "low": odds.low * probes, "high": odds.high * probes}
    return {
        "kind": "gallery_survey",
        "people": len(found.standings),
        "templates": sum(one.templates for one in found.standings),
        "look_alikes": len(found.look_alikes),
        "strays": len(found.strays),
        "second_photo": found.second_photo,
        "probes_per_day": probes,
        "false_accepts_per_day": expected,
        "threshold": point.threshold,
        "calibrated": calibrated(point),
        "strangers": strangers(odds),
        "model": card.name,
    }
