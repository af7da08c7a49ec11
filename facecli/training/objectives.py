"""The losses by name. To add one, write a function or a class and give it a row in `OBJECTIVES`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from facecli.errors import TrainingError, check_extra
from facecli.text import shown
from facecli.training import class_losses, metric_losses, pair_losses
from facecli.training.loss_kinds import (
    ObjectiveKind,
    Option,
    Setting,
    on_classes,
    on_pairs,
    on_rows,
)
from facecli.training.losses import TRIPLET_MINING
from facecli.training.objective import Objective, PlainObjective


def make_objective(
    name: str,
    *,
    classes: int,
    dimension: int,
    options: Mapping[str, float] | None = None,
    mining: str = "semi-hard",
) -> Objective:
    """Return a loss by its name, for labels from 0 to `classes` − 1 and `dimension` numbers.

    `options` replaces defaults. `mining` is for triplet alone. What the loss learns starts at
    random, by PyTorch's own generator. Raises TrainingError for a name, an option or a value that
    there is not, and MissingExtra if pytorch-metric-learning is needed and absent.
    """
    kind = check_objective(name, options or {})
    if classes < 1 or dimension < 1:
        raise TrainingError(f"the loss {name} needs at least one class and one dimension")
    if mining not in TRIPLET_MINING:
        known = ", ".join(TRIPLET_MINING)
        raise TrainingError(f"there is no mining {shown(mining)!r}; there are {known}")
    chosen = {**kind.defaults_for(classes), **(options or {})}
    return kind.make(Setting(classes, dimension, chosen, mining))


def check_objective(name: str, given: Mapping[str, float]) -> ObjectiveKind:
    """Return the loss of a name; raise TrainingError as `make_objective` does, or MissingExtra."""
    if name not in OBJECTIVES:
        raise TrainingError(f"there is no loss {shown(name)!r}; there are {', '.join(OBJECTIVES)}")
    kind = OBJECTIVES[name]
    _check_options(kind, given)
    if kind.library:
        check_extra("pytorch_metric_learning", "metric", f"the loss {name}")
    return kind


def _check_options(kind: ObjectiveKind, given: Mapping[str, float]) -> None:
    """Raise TrainingError for an option that the loss does not have, or an impossible value."""
    for name, value in given.items():
        if name not in kind.options:
            known = ", ".join(kind.options)
            raise TrainingError(
                f"the loss {kind.name} has no option {shown(name)!r}; it has {known}"
            )
        option = kind.options[name]
        if not option.allows(value):
            number = "a whole number" if option.whole else "a number"
            raise TrainingError(
                f"the option {name} of the loss {kind.name} must be {number} from {option.least:g} "
                f"to {option.most:g}, not {shown(value)}"
            )


def _triplet(one: Setting) -> Objective:
    function = partial(pair_losses.triplet, margin=one.options["margin"], mining=one.mining)
    return PlainObjective(function)


SCALE = Option(16, 1, 512, "what cosines are multiplied by before the softmax")
TRIPLET_MARGIN = Option(0.2, 0, 4, "how much farther negatives shall be, in squared L2")
LIFTED_MARGIN = Option(1, 0, 2, "how far away negatives shall be, in L2, not squared")
ANGLE = Option(45, 1, 80, "the largest angle at the negative, in degrees")
SYNTHETIC = Option(1, 0, 1, "1 with synthetic points, 0 for pooling only", whole=True)
SYNTHESIS = "Gu and Ko, AAAI 2020, section 3"

_KINDS = (
    ObjectiveKind(
        "softmax",
        "sorts into the classes of the training data by a linear layer",
        "Goodfellow et al., Deep Learning, 2016, section 6.2.2.3",
        {"scale": SCALE},
        on_classes(class_losses.Softmax),
        centres=True,
    ),
    ObjectiveKind(
        "norm-softmax",
        "the same by the cosine to a learned direction of each class",
        "Zhai and Wu, BMVC 2019, normalised softmax loss",
        {"temperature": Option(0.05, 0.002, 1, "what cosines are divided by")},
        on_classes(metric_losses.norm_softmax),
        library=True,
        centres=True,
    ),
    ObjectiveKind(
        "center",
        "softmax, and a pull towards a learned centre of each class",
        "Wen et al., ECCV 2016, section 3.2",
        {
            "scale": SCALE,
            # The paper's .003 is for rows of any length; at a length of 10 it pulls like .3 here.
            "pull": Option(0.3, 0, 100, "how strong the pull is"),
        },
        on_classes(class_losses.Center),
        centres=True,
    ),
    ObjectiveKind(
        "arcface",
        "sorts by cosine, with the own angle enlarged by a margin",
        "Deng et al., CVPR 2019, section 2.1",
        {
            "margin": Option(28.6, 0, 90, "what the own angle is enlarged by, in degrees"),
            # 64 is the paper's. With fewer classes it learns many times slower than 30.
            "scale": Option(30, 1, 512, "what cosines are multiplied by", many=64),
        },
        on_classes(class_losses.ArcFace),
        centres=True,
    ),
    ObjectiveKind(
        "contrastive",
        "draws pairs of a class together, and others apart up to a margin",
        "Hadsell et al., CVPR 2006, section 2.1",
        {
            "positive_margin": Option(0, 0, 4, "squared L2 at which genuine pairs are near enough"),
            "negative_margin": Option(1, 0, 4, "squared L2 at which impostor pairs are far enough"),
        },
        lambda one: metric_losses.contrastive(**one.options),
        library=True,
    ),
    ObjectiveKind(
        "triplet",
        "wants each other class farther away than the own, by a margin",
        "Schroff et al., CVPR 2015, section 3.1",
        {"margin": TRIPLET_MARGIN},
        _triplet,
    ),
    ObjectiveKind(
        "n-pair",
        "picks the own partner out of those of all other classes",
        "Sohn, NIPS 2016, section 3.2",
        {"scale": SCALE},
        on_pairs(pair_losses.n_pair),
    ),
    ObjectiveKind(
        "lifted",
        "weighs all negatives of both rows of each pair, the nearest most",
        "Oh Song et al., CVPR 2016, section 4",
        {"margin": LIFTED_MARGIN},
        on_rows(pair_losses.lifted),
    ),
    ObjectiveKind(
        "multi-similarity",
        "weighs pairs by how alike they are, themselves and beside others",
        "Wang et al., CVPR 2019, section 4.2",
        {
            "alpha": Option(2, 0.01, 1000, "how sharply genuine pairs are weighed"),
            "beta": Option(50, 0.01, 1000, "how sharply impostor pairs are weighed"),
            "base": Option(1, -1, 1, "the cosine about which pairs are weighed"),
        },
        lambda one: metric_losses.multi_similarity(**one.options),
        library=True,
    ),
    ObjectiveKind(
        "angular",
        "limits the angle at the negative of the triangle with each pair",
        "Wang et al., ICCV 2017, section 3.2",
        {"angle": ANGLE},
        on_pairs(pair_losses.angular),
    ),
    ObjectiveKind(
        "proxy-nca",
        "picks the own class by squared L2 to a learned proxy of each",
        "Movshovitz-Attias et al., ICCV 2017, Proxy-NCA",
        # Beyond 16 the probability of a row's own class can be 0 in float32.
        {"scale": Option(8, 0.5, 16, "what squared L2 is multiplied by before the softmax")},
        on_classes(metric_losses.proxy_nca),
        library=True,
        centres=True,
    ),
    ObjectiveKind(
        "proxy-anchor",
        "each class's learned proxy weighs all rows, the hardest most",
        "Kim et al., CVPR 2020, section 3.2",
        {
            "alpha": Option(32, 0.1, 512, "how sharply rows are weighed"),
            "margin": Option(0.1, 0, 1, "the cosine that own rows shall exceed"),
        },
        on_classes(metric_losses.proxy_anchor),
        library=True,
        centres=True,
    ),
    ObjectiveKind(
        "soft-triple",
        "sorts by the cosine to several learned centres of each class",
        "Qian et al., ICCV 2019, section 3",
        {
            "centres": Option(10, 1, 100, "how many centres a class has", whole=True),
            "scale": Option(20, 1, 512, "what cosines are multiplied by before the softmax"),
            "gamma": Option(0.1, 0.01, 10, "how softly a row chooses among the centres"),
            "margin": Option(0.01, 0, 1, "what the own cosine is lessened by"),
        },
        on_classes(metric_losses.soft_triple),
        library=True,
        centres=True,
    ),
    ObjectiveKind(
        "symm-triplet",
        "triplet with the hardest negatives of original and reflected points",
        SYNTHESIS,
        {"margin": TRIPLET_MARGIN, "synthetic": SYNTHETIC},
        on_pairs(pair_losses.symm_triplet),
    ),
    ObjectiveKind(
        "symm-npair",
        "n-pair with the hardest negatives of original and reflected points",
        SYNTHESIS,
        {"scale": SCALE, "synthetic": SYNTHETIC},
        on_pairs(pair_losses.symm_n_pair),
    ),
    ObjectiveKind(
        "symm-angular",
        "angular with the hardest negatives of original and reflected points",
        SYNTHESIS,
        {"angle": ANGLE, "synthetic": SYNTHETIC},
        on_pairs(pair_losses.symm_angular),
    ),
    ObjectiveKind(
        "symm-lifted",
        "lifted with the hardest negatives of original and reflected points",
        SYNTHESIS,
        {"margin": LIFTED_MARGIN, "synthetic": SYNTHETIC},
        on_pairs(pair_losses.symm_lifted),
    ),
)

OBJECTIVES: dict[str, ObjectiveKind] = {kind.name: kind for kind in _KINDS}
"""All losses by name."""
