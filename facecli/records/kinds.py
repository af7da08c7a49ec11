"""Every kind of record with who writes it: the source of docs/json.md and the HTTP schemas."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

from facecli.records import albums, gate, pairs, program, recognition, searches, stored

KINDS: dict[type, str] = {
    recognition.VerificationRecord: "`verify`, `POST /verify`",
    recognition.IdentificationRecord: "`identify`, `POST /identify`",
    gate.GateEventRecord: "`identify --source`, `POST /gate`",
    gate.SightingRecord: "`POST /gate`",
    recognition.EnrollmentRecord: "`enroll`, `POST /enroll`",
    recognition.EnrollmentSummaryRecord: "`enroll`",
    recognition.EmbeddingRecord: "`embed`",
    recognition.EmbeddingsFileRecord: "`embed --out`",
    recognition.FailureRecord: "`embed`",
    stored.PersonRecord: "`people list`, `people show`, `GET /people`",
    stored.RenamedRecord: "`people rename`",
    stored.MergedRecord: "`people merge`",
    stored.ForgottenRecord: "`people forget`, `POST /forget`",
    albums.ClusteredFaceRecord: "`cluster`",
    albums.ClusteringRecord: "`cluster`",
    albums.ExportRecord: "`cluster --export`",
    albums.SidecarsRecord: "`cluster --xmp`",
    albums.ClusterCorrectionRecord: "`cluster name`, `merge`, `split`, `move`, `not-same`, `undo`",
    albums.CorrectionRecord: "`cluster log`",
    albums.ReviewRecord: "`cluster review`",
    stored.LibraryRecord: "`library info`",
    stored.PhotosForgottenRecord: "`library forget`, `library clear`",
    stored.DecisionRecord: "`log show`, `log export`",
    stored.LogVerificationRecord: "`log verify`",
    stored.LogPrunedRecord: "`log prune`",
    stored.CalibrationRecord: "`calibrate`",
    stored.CalibrationClearedRecord: "`calibrate --clear`",
    pairs.ErrorRatesRecord: "`evaluate folders`",
    pairs.ValAtFarRecord: "`evaluate folders`, `evaluate lfw`",
    pairs.HardestPairRecord: "`evaluate folders`",
    pairs.RateDifferenceRecord: "`evaluate folders --by`",
    pairs.LfwRecord: "`evaluate lfw`",
    searches.ClosedSetRecord: "`evaluate identification`",
    searches.OpenSetRecord: "`evaluate identification`",
    searches.FnirAtFpirRecord: "`evaluate identification`",
    searches.GallerySizeRecord: "`evaluate identification --gallery-size`",
    searches.ClusteringScoreRecord: "`evaluate clustering`",
    searches.RobustnessRecord: "`evaluate robustness`",
    pairs.VerifierRecord: "`train-verifier`",
    program.ModelRecord: "`models list`, `models info`",
    program.ModelImportedRecord: "`models import-dlib`",
    program.TrainingStepRecord: "`train`",
    program.TrainingRecord: "`train`",
    program.FindingRecord: "`doctor`",
    program.DiagnosisRecord: "`doctor`",
    program.StandingRecord: "`doctor gallery`",
    program.LookAlikesRecord: "`doctor gallery`",
    program.StrayRecord: "`doctor gallery`",
    program.GallerySurveyRecord: "`doctor gallery`",
    program.DemoStepRecord: "`demo`",
    program.DemoRecord: "`demo`",
    program.HealthRecord: "`GET /health`",
    program.ErrorRecord: "any request that is refused",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its type without annotations, what it means, and whether it is always there."""

    name: str
    type: Any
    meaning: str
    required: bool


@cache
def fields(record: type) -> tuple[Field, ...]:
    """Return the fields of a record's definition, in order."""
    return tuple(_fields(record))


def _fields(record: type) -> Iterator[Field]:
    hints = get_type_hints(record, include_extras=True)
    for name, hint in hints.items():
        required = get_origin(hint) is not NotRequired
        bare = hint if required else get_args(hint)[0]
        meanings = []
        while get_origin(bare) is Annotated:
            inner, *more = get_args(bare)
            meanings += more
            bare = inner
        yield Field(name, bare, "; ".join(meanings), required)


def kind_of(record: type) -> str:
    """Return the name of a kind, as its records say it."""
    (kind,) = (field for field in fields(record) if field.name == "kind")
    return str(get_args(kind.type)[0])


def is_record(hint: Any) -> bool:
    """Return whether a type is the definition of a record or of a part of one."""
    return hasattr(hint, "__required_keys__")


def options(hint: Any) -> tuple[Any, ...]:
    """Return the alternatives of a type: those of a union, or the type itself."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def type_name(hint: Any) -> str:
    """Return how JSON would call a type."""
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if len(options(hint)) > 1:
        return " or ".join(type_name(one) for one in options(hint))
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(f'"{one}"' for one in arguments)
    if origin is list:
        return f"array of {type_name(arguments[0])}"
    if origin is dict:
        return "object"
    names = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}
    return names.get(hint, "object" if is_record(hint) else "any")
