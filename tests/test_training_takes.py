"""Takes and probes of photos, the maps that are stored of them, and a run that learns from them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from synthetic import person_chips, write_people
from torch import nn

from facecli.cli import cli
from facecli.errors import FacecliError, TrainingError
from facecli.models import checkpoints, sface
from facecli.models.networks import FaceNetwork, SFaceLayer, SFaceTrunk, build
from facecli.models.sface_import import ARCHITECTURE
from facecli.training import features
from facecli.training.batches import TakeBatches, TakeData, batch_loss
from facecli.training.config import TrainingConfig
from facecli.training.features import Job, cut_of, load_features
from facecli.training.outlines import read_outlines
from facecli.training.probes import PROBES, count_errors, measure_probes, probe
from facecli.training.start import blend
from facecli.training.takes import KINDS, inside, make_takes
from facecli.training.taking import embed_maps
from facecli.types import FloatArray, ModelCard, PixelArray
from facecli.vectors.distances import normalize

CPU = torch.device("cpu")
CONFIG = TrainingConfig(
    takes=("clean", "blur", "mask"), border=4, people=3, photos=2, steps=4, anchor_weight=1.0
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_sface(seed: int = 0) -> FaceNetwork:
    """Return a network whose trunk is a row of three layers, for chips of 24 pixels."""
    torch.manual_seed(seed)
    trunk = SFaceTrunk.__new__(SFaceTrunk)
    nn.Module.__init__(trunk)
    shapes = ((3, 8, 2), (8, 16, 2), (16, 16, 2))
    trunk.layers = nn.Sequential(
        *(
            SFaceLayer(sface.Layer(before, after, kernel=3, stride=stride, depthwise=False))
            for before, after, stride in shapes
        )
    )
    network = build(ARCHITECTURE)
    network.trunk = trunk
    network.head = nn.Linear(16 * 9, 128)
    return network


def a_job(chips: PixelArray, *, config: TrainingConfig = CONFIG, cut: int = 2) -> Job:
    return Job(chips, np.arange(len(chips)), None, config, cut, "photos")


def front(network: FaceNetwork) -> features.Run:
    return lambda pixels: features.Front(network, 2)(pixels).detach()


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_the_photo_and_repeats_itself(kind: str) -> None:
    chips = torch.from_numpy(person_chips(4, 1, size=144)[0]).permute(0, 3, 1, 2).float()
    one, same = (make_takes(chips, kind, seeded(), border=16) for _ in range(2))
    assert one.shape == (4, 3, 112, 112)
    assert one.dtype == torch.uint8
    assert torch.equal(one, same)
    cut = chips[..., 16:-16, 16:-16].to(torch.uint8)
    assert torch.equal(one, cut) == (kind == "clean")


def test_padding_is_filled_anew_and_the_photo_is_kept() -> None:
    chips = torch.full((6, 3, 40, 40), 200.0)
    outlines = torch.tensor(
        [[[10, 10], [30, 10], [30, 30], [10, 30]]] * 5 + [[[torch.nan] * 2] * 4]
    )
    photo = inside(outlines, 40)
    assert photo[0].sum() == 21**2
    assert photo[5].all()
    takes = [make_takes(chips, "clean", seeded(seed), border=0, photo=photo) for seed in (1, 2)]
    for one in takes:
        assert (one[:5, :, 10:31, 10:31] == 200).all()
    assert not torch.equal(takes[0][:5, :, :8], takes[1][:5, :, :8])


def test_outlines_are_read_by_file_and_bad_ones_are_named(tmp_path: Path) -> None:
    table = tmp_path / "outlines.csv"
    table.write_text("file,x0,y0,x1,y1,x2,y2,x3,y3\na/1.jpg,1,2,9,2,9,8,1,8\n")
    read = read_outlines(table, ("b/1.jpg", "a/1.jpg"))
    assert np.isnan(read[0]).all()
    assert read[1].tolist() == [[1, 2], [9, 2], [9, 8], [1, 8]]
    with pytest.raises(TrainingError, match="none of its files"):
        read_outlines(table, ("c.jpg",))
    table.write_text("file,x0,y0,x1,y1,x2,y2,x3,y3\na/1.jpg,1,2,9,2,9,8,1,nan\n")
    with pytest.raises(TrainingError, match="line 2: corners must be numbers"):
        read_outlines(table, ("a/1.jpg",))
    table.write_text("file,x0\n")
    with pytest.raises(FacecliError, match="needs the columns"):
        read_outlines(table, ("a/1.jpg",))


def test_the_front_ends_before_the_first_layer_that_learns() -> None:
    network = small_sface()
    assert cut_of(network, ()) == 0
    assert cut_of(network, ("trunk.layers.0.", "trunk.layers.2.")) == 1
    assert cut_of(network, ("trunk",)) == 3
    with pytest.raises(TrainingError, match="can be cut"):
        cut_of(build({**ARCHITECTURE, "network": "resnet29", "taps": {"5": 1}}), ())


def test_stored_maps_continue_as_the_whole_network(tmp_path: Path) -> None:
    network, (chips, _) = small_sface(), person_chips(5, 1, size=32)
    job = a_job(chips)
    maps = load_features(job, tmp_path, lambda: front(network), on_photo=lambda: None)
    assert maps.shape == (5, 3, 16, 6, 6)
    takes = job.takes(np.arange(5))
    for kind in range(3):
        with torch.inference_mode():
            whole = network(takes[:, kind].float()).numpy()
        assert np.abs(embed_maps(network, maps[:, kind], 2) - whole).max() < 2e-3


def test_maps_are_computed_once_and_continued_where_they_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "BLOCK", 2)
    network, (chips, _) = small_sface(), person_chips(5, 1, size=32)
    job, path = a_job(chips), tmp_path / "features.npy"
    made: list[int] = []

    def counted() -> features.Run:
        made.append(1)
        return front(network)

    seen: list[int] = []
    whole = load_features(job, tmp_path, counted, on_photo=lambda: seen.append(1)).copy()
    assert len(seen) == 5
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    again = load_features(job, tmp_path, counted, on_photo=lambda: None)
    assert np.array_equal(whole, again)
    assert len(made) == 2
    load_features(job, tmp_path, counted, on_photo=lambda: None)
    assert len(made) == 2, "nothing was missing"
    other = a_job(chips, config=replace(CONFIG, seed=9))
    assert not np.array_equal(load_features(other, tmp_path, counted, on_photo=lambda: None), whole)


def take_data(people: int = 6) -> TakeData:
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(people), 2)
    maps = random.normal(size=(len(labels), 3, 16, 6, 6)).astype(np.float16)
    return TakeData(maps, labels, unit(len(labels)), 2)


def unit(rows: int, seed: int = 0) -> FloatArray:
    return normalize(np.random.default_rng(seed).normal(size=(rows, 128)).astype(np.float32))


def test_a_batch_has_a_clean_take_of_everybody_and_equal_kinds_besides() -> None:
    data = take_data()
    batch = TakeBatches(data, CONFIG, CPU).batch(7)
    assert batch.clean is not None
    assert batch.clean.tolist() == [True, False] * 3
    assert len(set(batch.labels.tolist())) == 3
    kinds = {
        kind
        for row, maps in zip(batch.rows[1::2].tolist(), batch.chips[1::2], strict=True)
        for kind in range(3)
        if np.array_equal(data.maps[row, kind], maps.numpy().astype(np.float16))
    }
    assert len(kinds) == 1
    assert 0 not in kinds


def test_the_anchor_holds_clean_takes_alone() -> None:
    batch = TakeBatches(take_data(), CONFIG, CPU).batch(0)
    assert batch.targets is not None
    assert batch.clean is not None
    plain = replace(CONFIG, anchor_weight=0.0, triplet_weight=0.0, target_weight=0.0)
    held = replace(plain, anchor_weight=2.0)
    moved = batch.targets.clone()
    moved[~batch.clean] *= -1
    assert batch_loss(moved, batch, held)["loss"] == 0
    assert float(batch_loss(-moved, batch, held)["loss"]) == pytest.approx(8.0)
    assert batch_loss(-moved, batch, plain)["loss"] == 0


def test_a_blend_lies_between_start_and_result() -> None:
    start, trained = small_sface(0), small_sface(1)
    wanted = 0.75 * start.head.weight + 0.25 * trained.head.weight
    blend(trained, start, 0.25)
    assert torch.allclose(trained.head.weight, wanted, atol=1e-6)


@pytest.mark.parametrize("name", PROBES)
def test_probes_change_a_chip_and_repeat_themselves(name: str) -> None:
    chips, _ = person_chips(2, 1, size=112)
    assert np.array_equal(probe(chips, name), probe(chips, name))
    assert not np.array_equal(probe(chips, name), chips)


def test_errors_of_probes_are_counted_against_other_photos() -> None:
    """Each person has two photos; one probe of person 0 looks like person 1."""
    axes = np.eye(128, dtype=np.float32)
    clean, labels = axes[[0, 0, 1, 1]], np.array([0, 0, 1, 1])
    probes = axes[[1, 0, 1, 1]]
    counts = count_errors(clean, probes, labels, rows=np.arange(4), threshold=1.0)
    assert counts.rejected.tolist() == [1, 0]
    assert counts.genuine.tolist() == [2, 2]
    assert counts.strangers == 2 / 8
    assert counts.alike == 4 / 8


def test_a_model_that_ignores_covers_gains_on_all_probes() -> None:
    chips, labels = person_chips(12, 2, size=112)
    clean = unit(12)[labels]
    known = {chip.tobytes(): row for row, chip in enumerate(chips)}

    def embed(some: PixelArray) -> tuple[FloatArray, FloatArray]:
        rows = [known.get(chip.tobytes(), -1) for chip in some]
        return (clean if rows[0] == 0 else unit(24, 5)), clean

    for hardship in measure_probes(chips, labels, embed):
        assert hardship.fnmr[1] == 0
        assert hardship.gain.low > 0.5
        assert hardship.on_card()["FNMR after"] == 0


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"takes": ("blur",)}, "must be clean"),
        ({"takes": ("clean", "fog")}, "'fog' is none of"),
        ({"takes": ("clean", "blur"), "photos": 2, "batch_norm": True}, "no batch_norm"),
        ({"blend": 1.5}, "blend between"),
    ],
)
def test_settings_that_no_run_can_use_are_refused(values: dict[str, object], reason: str) -> None:
    with pytest.raises(TrainingError, match=reason):
        TrainingConfig(**values)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_run_on_takes_writes_a_model_near_its_start(tmp_path: Path) -> None:
    """The whole command: one photo a person is enough, and the threshold stays where it was."""
    torch.manual_seed(0)
    network = build(ARCHITECTURE)
    weights = {name: value.numpy() for name, value in network.state_dict().items()}
    card = ModelCard("start", "", ARCHITECTURE, sface.SFACE_GEOMETRY, 128, 1.1, "", "", "")
    checkpoints.save(tmp_path / "start.safetensors", weights, card)
    people = write_people(tmp_path / "people", 6, 1, size=144)
    others = write_people(tmp_path / "others", 4, 2, size=112, seed=1)
    config = tmp_path / "config.toml"
    frozen = json.dumps([f"trunk.layers.{place}." for place in range(25)])
    config.write_text(
        f'init = "{tmp_path / "start.safetensors"}"\ntakes = ["clean", "blur", "mask"]\n'
        f"border = 16\nfrozen = {frozen}\nsteps = 2\npeople = 4\nphotos = 3\n"
        "anchor_weight = 1.0\ntarget_weight = 0.0\ncalibrate = false\nblend = 0.5\n"
    )
    out = tmp_path / "out.safetensors"
    words = ["train", people, "--chips", "--config", config, "--out", out]
    words += ["--validation", others, "--validation-chips"]
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    made = checkpoints.read_card(out)
    assert made.threshold == 1.1
    assert "chosen beforehand" in made.threshold_source
    assert set(made.metrics["probes"]) == set(PROBES)
    kept, now = (checkpoints.load(one)[0] for one in (tmp_path / "start.safetensors", out))
    changed = {name for name in kept if not np.array_equal(kept[name], now[name])}
    assert "head.weight" in changed
    assert not any(name.startswith("trunk.layers.24.") for name in changed)
    assert not now["shift"].any()
