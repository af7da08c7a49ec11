"""All definitions of records."""

from __future__ import annotations

from typing import get_args

from facecli.records.albums import (
    ClusterCorrectionRecord,
    ClusteredFaceRecord,
    ClusteringRecord,
    CorrectionRecord,
    ExportRecord,
    LibraryRecord,
    PhotosForgottenRecord,
    ReviewRecord,
    SidecarsRecord,
)
from facecli.records.calibration import CalibrationClearedRecord, CalibrationRecord, VerifierRecord
from facecli.records.comparison import LossesComparedRecord
from facecli.records.configuration import ConfigurationFileRecord, SettingRecord
from facecli.records.copies import BackupRecord, RestoredRecord
from facecli.records.embedding import EmbeddingRecord, EmbeddingsFileRecord, FailureRecord
from facecli.records.enrollment import EnrollmentRecord, EnrollmentSummaryRecord
from facecli.records.gate import (
    DecisionRecord,
    GateEventRecord,
    LogPrunedRecord,
    LogVerificationRecord,
    SightingRecord,
)
from facecli.records.health import (
    DemoRecord,
    DemoStepRecord,
    DiagnosisRecord,
    ErrorRecord,
    FindingRecord,
    GlassesRecord,
    HealthRecord,
)
from facecli.records.lfw import LfwRecord
from facecli.records.models import (
    DetectorImportedRecord,
    ListedModelRecord,
    ModelExportedRecord,
    ModelImportedRecord,
    ModelRecord,
    TrainingRecord,
    TrainingStepRecord,
)
from facecli.records.pairs import (
    ErrorRatesRecord,
    GroupRatesRecord,
    HardestPairRecord,
    RateDifferenceRecord,
    UnratedGroupRecord,
    ValAtFarRecord,
)
from facecli.records.people import (
    ExternalIdRecord,
    ForgottenRecord,
    MergedRecord,
    PeopleFolderRecord,
    PersonInFullRecord,
    PersonOfFolderRecord,
    PersonRecord,
    RenamedRecord,
)
from facecli.records.recognition import IdentificationRecord, VerificationRecord
from facecli.records.retrieval import RetrievalRecord
from facecli.records.scores import ClusteringScoreRecord, RobustnessRecord
from facecli.records.searches import (
    ClosedSetRecord,
    FnirAtFpirRecord,
    GallerySizeRecord,
    OpenSetRecord,
)
from facecli.records.survey import (
    GallerySurveyRecord,
    LookAlikesRecord,
    StandingRecord,
    StrayRecord,
)
from facecli.records.transfer import (
    PeopleCopiedRecord,
    PeopleExportedRecord,
    PeopleImportRecord,
    PersonImportRecord,
)

Record = (
    EnrollmentRecord
    | EnrollmentSummaryRecord
    | VerificationRecord
    | IdentificationRecord
    | GateEventRecord
    | SightingRecord
    | DecisionRecord
    | LogVerificationRecord
    | LogPrunedRecord
    | PersonRecord
    | PersonInFullRecord
    | RenamedRecord
    | MergedRecord
    | ExternalIdRecord
    | PersonOfFolderRecord
    | PeopleFolderRecord
    | ForgottenRecord
    | PeopleExportedRecord
    | PersonImportRecord
    | PeopleImportRecord
    | PeopleCopiedRecord
    | BackupRecord
    | RestoredRecord
    | StandingRecord
    | LookAlikesRecord
    | StrayRecord
    | GallerySurveyRecord
    | ClusteredFaceRecord
    | ClusteringRecord
    | ExportRecord
    | SidecarsRecord
    | ClusterCorrectionRecord
    | CorrectionRecord
    | ReviewRecord
    | LibraryRecord
    | PhotosForgottenRecord
    | EmbeddingRecord
    | FailureRecord
    | EmbeddingsFileRecord
    | CalibrationRecord
    | CalibrationClearedRecord
    | VerifierRecord
    | ErrorRatesRecord
    | GroupRatesRecord
    | UnratedGroupRecord
    | ValAtFarRecord
    | HardestPairRecord
    | RateDifferenceRecord
    | RetrievalRecord
    | LfwRecord
    | ClosedSetRecord
    | OpenSetRecord
    | FnirAtFpirRecord
    | GallerySizeRecord
    | ClusteringScoreRecord
    | RobustnessRecord
    | ListedModelRecord
    | ModelRecord
    | ModelImportedRecord
    | ModelExportedRecord
    | DetectorImportedRecord
    | TrainingStepRecord
    | TrainingRecord
    | LossesComparedRecord
    | FindingRecord
    | DiagnosisRecord
    | DemoStepRecord
    | DemoRecord
    | GlassesRecord
    | ConfigurationFileRecord
    | SettingRecord
    | HealthRecord
    | ErrorRecord
)
"""Any record, in the order of the documentation."""

DEFINITIONS: tuple[type, ...] = get_args(Record)
