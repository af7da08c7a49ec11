"""The settings of a training run: one frozen record, and how it is read from TOML."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facecli.errors import TrainingError
from facecli.models import DIMENSION
from facecli.models.checkpoints import LARGEST_SIZE
from facecli.training.augmentation import Augmentation
from facecli.training.defaults import defaults_for
from facecli.training.losses import TRIPLET_MINING
from facecli.training.objectives import check_objective
from facecli.training.takes import KINDS


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """All settings of a run, stored with its result. Two runs with the same ones are equal.

    `init` names the model to start from. With `average`, the trunk starts from the mean of its
    weights and those of the models listed (Wortsman et al. 2022, "Model soups"). `taps` maps the
    stages that feed the head to the side that each is pooled to; `deeper` maps stages to the number
    of blocks added (both for ResNet-29 only; empty means as in `init`).

    A head that does not fit is solved in closed form: `ridge` is the strength of the ridge
    regression. `whitening`, 0 to 1, is how much the spread of the embeddings is made equal in all
    directions. With `steps` 0 this start is the result. `teacher` names a second model to imitate,
    beside the network that gave the targets, by a joined head; it needs `steps` 0. Its squared L2
    counts `teacher_weight`² times.

    With `takes`, such as clean, blur and mask, each photo is learned from in these forms. They are
    made once, and what the frozen part of the trunk makes of them is stored. All kinds are in
    `training/takes.py`; the first must be clean. Chips have `border` more pixels on each side than
    the network sees, for takes that are shifted. A batch then has `photos` takes of each of
    `people` people: a clean one, and others of the same kinds for everybody. Unless other targets
    are given, they are the embeddings of the clean takes by `init`.

    A batch has `photos` photos of each of `people` people, and `others` photos of anybody. If there
    are fewer takes than `photos`, each photo is in a random take. `dimension` is the length of an
    embedding. `loss` is a name in `training/objectives.py`, and `options` are its options; those of
    triplet are `margin`, in squared L2, and `mining`. What a loss learns itself, such as proxies
    and centres, has a rate of its own: `class_rate` times that of the head. The whole loss is
    `triplet_weight` × that loss, however it is named, + `target_weight` ×
    (1 − cosine to the target) + `relation_weight` × relational distillation + `contrast_weight` ×
    cross entropy of finding the right target + `anchor_weight` × mean squared L2 of clean takes to
    their targets. Triplets leave out pairs whose targets contradict
    their labels: genuine pairs whose targets are more than `doubt[1]` squared L2 apart, and
    impostor pairs whose targets are less than `doubt[0]` apart.

    `learning_rate` is that of the head; the trunk's is `trunk_rate` times as large. It rises for
    `warm_up` steps, then falls along a cosine to a hundredth. Parameters whose name starts with one
    of `frozen`, such as `trunk.stem`, do not change, and for the first `head_steps` steps only the
    head changes. `clip` is the largest norm of a gradient. `batch_norm` normalises the trunk during
    training. The weights that are saved are a moving average, and `ema` is its decay per step. The
    state is saved every `validate_every` steps. `validation_share` of the people are held out.
    At `threshold`, in squared L2, the false match rate is to be `threshold_fmr`. Without
    `calibrate` embeddings are not moved for that, and the card says which rate it has. `blend` is
    the share of the trained weights in the result; the rest are those of the start (Wortsman et al.
    2022, "Robust fine-tuning of zero-shot models").
    """

    init: str = "dlib-128"
    average: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    border: int = 0
    taps: dict[str, int] = field(default_factory=dict)
    deeper: dict[str, int] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()
    head_steps: int = 0
    steps: int = 2000
    dimension: int = DIMENSION
    loss: str = "triplet"
    options: dict[str, float] = field(default_factory=dict)
    class_rate: float = 1.0
    people: int = 24
    photos: int = 4
    others: int = 0
    mining: str = "semi-hard"
    margin: float = 0.2
    triplet_weight: float = 1.0
    target_weight: float = 1.0
    relation_weight: float = 0.0
    contrast_weight: float = 0.0
    anchor_weight: float = 0.0
    doubt: tuple[float, float] = (0.4, 1.6)
    learning_rate: float = 1e-4
    trunk_rate: float = 1.0
    weight_decay: float = 1e-4
    warm_up: int = 100
    clip: float = 1.0
    ema: float = 0.999
    ridge: float = 1.0
    whitening: float = 0.0
    teacher: str = ""
    teacher_weight: float = 1.0
    batch_norm: bool = False
    blend: float = 1.0
    calibrate: bool = True
    validation_share: float = 0.1
    threshold_fmr: float = 1e-4
    threshold: float = 1.1
    seed: int = 1
    precision: str = "bf16"
    validate_every: int = 500
    augmentation: Augmentation = field(default_factory=Augmentation)

    def on_card(self) -> dict[str, Any]:
        """Return the settings for the card, with the names of models instead of their paths."""
        models = {
            "init": Path(self.init).name,
            "average": [Path(one).name for one in self.average],
            "teacher": Path(self.teacher).name,
        }
        return dataclasses.asdict(self) | models

    def __post_init__(self) -> None:
        """Raise TrainingError for values that no run can use."""
        if self.steps < 0 or self.validate_every < 1:
            raise TrainingError("steps must be at least 0, and validate_every at least 1")
        if self.people + self.others < 2:
            raise TrainingError("a batch needs at least two photos: people × photos + others")
        if self.people and self.photos < 2:
            raise TrainingError("photos must be at least 2, or there are no genuine pairs")
        if self.takes and self.takes[0] != "clean":
            raise TrainingError("the first of takes must be clean")
        if unknown := set(self.takes) - KINDS.keys():
            raise TrainingError(f"takes: {unknown.pop()!r} is none of {', '.join(KINDS)}")
        if self.takes and (self.batch_norm or self.people < 2):
            raise TrainingError("takes need at least two people in a batch, and no batch_norm")
        if self.border < 0 or not 0 <= self.blend <= 1:
            raise TrainingError("border must be at least 0, and blend between 0 and 1")
        if self.mining not in TRIPLET_MINING:
            raise TrainingError(f"mining is one of {', '.join(TRIPLET_MINING)}")
        if not 2 <= self.dimension <= LARGEST_SIZE or self.class_rate <= 0:
            raise TrainingError("dimension is 2 to 4096, and class_rate above 0")
        check_objective(self.loss, self.options)
        if self.loss == "triplet" and self.options:
            raise TrainingError("the loss triplet has no options: set margin and mining themselves")
        if self.precision not in ("bf16", "float32"):
            raise TrainingError("precision is bf16 or float32")
        if not 0 < self.validation_share < 1 or not 0 < self.threshold_fmr < 1:
            raise TrainingError("validation_share and threshold_fmr lie between 0 and 1")
        if self.learning_rate <= 0 or not 0 <= self.ema < 1:
            raise TrainingError("learning_rate must be above 0, and ema in [0, 1)")
        if self.teacher and self.steps:
            raise TrainingError("a teacher needs steps = 0: its head is solved, not trained")
        if not 0 <= self.whitening <= 1 or self.teacher_weight <= 0:
            raise TrainingError("whitening lies between 0 and 1, and teacher_weight above 0")
        if self.clip <= 0 or self.ridge <= 0 or not 0 < self.threshold < 4:
            raise TrainingError("clip and ridge must be above 0, and threshold between 0 and 4")


def read_config(
    path: Path | None, overrides: dict[str, Any], *, whole: bool = False, tasks: bool = False
) -> TrainingConfig:
    """Read a TOML file, if there is one, and override it; raise TrainingError for bad values.

    What neither says depends on whether the run is on `whole` pictures, on its trunk and on whether
    it has `tasks`.
    """
    return completed({**(read_toml(path) if path else {}), **overrides}, whole=whole, tasks=tasks)


def completed(given: dict[str, Any], *, whole: bool, tasks: bool) -> TrainingConfig:
    """Return the config of given settings, and of the defaults for the others."""
    init = given.get("init")
    usual = defaults_for(whole=whole, init=init if isinstance(init, str) else None, tasks=tasks)
    both = usual | given
    amounts = usual.get("augmentation", {}), given.get("augmentation", {})
    if all(isinstance(one, dict) for one in amounts):
        both["augmentation"] = amounts[0] | amounts[1]
        if not whole and "light" in amounts[1]:
            # In runs on faces, colour always changed as much as light does.
            both["augmentation"].setdefault("saturation", amounts[1]["light"])
    return config_from_dict(both)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raise TrainingError if that fails."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # deep nesting is the last
        raise TrainingError(f"{path}: cannot be read as TOML: {error}") from error


def config_from_dict(values: dict[str, Any]) -> TrainingConfig:
    """Build a config from plain values; raise TrainingError for unknown names and wrong types."""
    amounts = values.get("augmentation", {})
    if not isinstance(amounts, dict):
        raise TrainingError("augmentation must be a table")
    plain = {name: value for name, value in values.items() if name != "augmentation"}
    augmentation = Augmentation(**_typed(amounts, Augmentation(), "augmentation."))
    return TrainingConfig(**_typed(plain, TrainingConfig(), ""), augmentation=augmentation)


def _typed(values: dict[str, Any], defaults: Any, prefix: str) -> dict[str, Any]:
    """Return the values in the types of the defaults; raise TrainingError if that fails."""
    known = {item.name for item in dataclasses.fields(defaults)}
    unknown = [prefix + name for name in values if name not in known]
    if unknown:
        raise TrainingError(f"unknown setting: {', '.join(unknown)}")
    result = {}
    for name, value in values.items():
        default = getattr(defaults, name)
        fitting = _as(value, default)
        if fitting is None:
            raise TrainingError(
                f"{prefix}{name}: {value!r} does not fit; an example is {default!r}"
            )
        result[name] = fitting
    return result


def _as(value: Any, default: Any) -> Any:
    """Return a value in the type of its default, or None if it has another type."""
    if isinstance(default, float) and type(value) in (int, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(default, dict) and isinstance(value, dict):
        numbers = all(type(one) in (int, float) and math.isfinite(one) for one in value.values())
        return dict(value) if numbers else None
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        if default and len(value) != len(default):
            return None
        items = [_as(item, default[0] if default else "") for item in value]
        return None if None in items else tuple(items)
    return value if type(value) is type(default) else None
