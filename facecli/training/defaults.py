"""What a run uses where neither the config file nor the command line says otherwise."""

from __future__ import annotations

from typing import Any

from facecli.models import DIMENSION
from facecli.models.block_trunks import ROWS

BARE = "efficientnet-lite0"
"""The trunk for whole pictures if none is named."""

SEVERAL_TASKS = 4 * DIMENSION
"""Length of an embedding with tasks: room for the classes and three tasks."""

PICTURES: dict[str, Any] = {
    "init": BARE,
    "target_weight": 0.0,
    "validation_share": 0.25,
    "learning_rate": 1e-3,
    "trunk_rate": 0.1,
    "warm_up": 20,
    "clip": 5.0,
    "ema": 0.99,
    "weight_decay": 1e-3,
    "steps": 400,
    "precision": "float32",
    # The colour of a thing may be what it is known by, and nothing is drawn over it.
    "augmentation": {
        "grey": 0.0,
        "tint": 0.0,
        "saturation": 0.1,
        "glasses": 0.0,
        "jpeg": 0.0,
        "low_resolution": 0.0,
        "blur": 0.05,
        "rotation": 8.0,
        "scale": 0.1,
        "shift": 6.0,
    },
}
"""Runs on whole pictures."""

TRUNKS: dict[str, dict[str, Any]] = {
    # From scratch, every layer learns.
    "small-conv": {"batch_norm": True, "trunk_rate": 1.0},
    # A few thousand photos teach the last blocks; the others would take hours on a CPU. What those
    # make of each photo and of a shifted, mirrored copy of it is computed once.
    BARE: {
        "steps": 150,
        "trunk_rate": 0.3,
        "takes": ["clean", "shifted"],
        "frozen": [f"trunk.layers.{place}." for place in range(len(ROWS[BARE].blocks) - 2)],
    },
}
"""Runs from a bare trunk, beside what holds for whole pictures."""


def defaults_for(*, whole: bool, init: str | None, tasks: bool) -> dict[str, Any]:
    """Return the settings of a run on `whole` pictures, from a model or trunk `init`.

    Those of a run on faces are all in `TrainingConfig`.
    """
    found = PICTURES if whole else {}
    found = found | TRUNKS.get(init or found.get("init", ""), {})
    return found | ({"dimension": SEVERAL_TASKS} if tasks else {})
