"""Tasks: how they are asked for, what is read of their tables, and the models made of slices."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from drawn import TWELVE, Shop, draw_shop, ended, facecli, refusal, train
from torch.nn.functional import normalize as unit

from facecli.datasets import PhotoSet, read_photo_set
from facecli.errors import FacecliError, TrainingError
from facecli.models import encoders
from facecli.models.block_trunks import ROWS
from facecli.models.networks import FaceNetwork, build
from facecli.training.aims import Aims
from facecli.training.config import TrainingConfig
from facecli.training.derived import shortened, slice_of, sliced
from facecli.training.outcome import HeldOutTask, parts_of, retrieval_measures
from facecli.training.tasks import (
    Task,
    TaskLabels,
    check_labels,
    check_tasks,
    parse_task,
    read_task,
)
from facecli.types import FloatArray, IntArray

A, B = Task("a", Path("a.csv"), 0, 9), Task("b", Path("b.csv"), 10, 19)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return draw_shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def photos(shop: Shop) -> PhotoSet:
    return read_photo_set(shop.pictures)


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Task]:
    """Return a task of a table with this text."""

    def write(text: str) -> Task:
        (tmp_path / "t.csv").write_text(text)
        return Task("t", tmp_path / "t.csv", 0, 9)

    return write


def names(photos: PhotoSet) -> list[str]:
    return list(photos.people)


# what is asked for


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("a=a.csv:0-9", A),
        ("lens-colour=x=y:1.csv:3-5", Task("lens-colour", Path("x=y:1.csv"), 3, 5)),
    ],
)
def test_a_task_is_read(text: str, task: Task) -> None:
    assert parse_task(text) == task
    assert task.numbers == slice(task.first, task.last + 1)
    assert task.size == task.last - task.first + 1


@pytest.mark.parametrize(
    "text",
    ["", "a", "a=a.csv", "a=a.csv:", "a=a.csv:1", "a=a.csv:9-0", "a=:0-9", "=a.csv:0-9",
     "a/b=a.csv:0-9", "a=a.csv:-1-9", "a=a.csv:0-9999999", "a=a.csv:0.5-9", "a b=a.csv:0-9"],
)  # fmt: skip
def test_any_other_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(TrainingError, match=r"a task is NAME=FILE.csv:FIRST-LAST, such as"):
        parse_task(text)


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ((A, dataclasses.replace(B, name="a")), "task a: given twice"),
        ((B, dataclasses.replace(A, last=10)), "tasks a and b share numbers"),
        ((A, dataclasses.replace(B, last=20)), "numbers 0 to 19, and it wants 10 to 20"),
        ((dataclasses.replace(A, last=0), B), "task a: a slice needs at least two numbers"),
    ],
)
def test_slices_that_do_not_fit_are_refused(tasks: tuple[Task, ...], said: str) -> None:
    check_tasks((A, B), 20)
    with pytest.raises(TrainingError, match=said):
        check_tasks(tasks, 20)


# tables


def test_labels_of_classes_hold_for_all_their_pictures(
    photos: PhotoSet, table: Callable[[str], Task]
) -> None:
    """Spellings of one name are one; what has no label, or an empty one, is -1, and counted."""
    one, two, three = names(photos)[:3]
    found = read_task(
        table(f"person,label\n{one.upper()},x\n{two},y\n{three},\nnobody,z\n{one},x\n"), photos
    )
    assert found.names == ("x", "y")
    assert found.labels[:12].tolist() == [0] * 4 + [1] * 4 + [-1] * 4
    assert (found.labels[8:] == -1).all()
    assert found.said == "task t: 40 of 48 photos have no label, 1 of its names fit no photo"


def test_labels_of_pictures_go_by_path(photos: PhotoSet, table: Callable[[str], Task]) -> None:
    first, second = photos.paths[:2]
    found = read_task(table(f"path,label\n{first},x\n{second},y\n"), photos)
    assert found.labels[:3].tolist() == [0, 1, -1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("person,label\n{one},x\n{two},y\n{one},z\n", "line 4: .* has two labels, x and z"),
        ("person,label\nnobody,x\nno one,y\n", "names no person of"),
        ("path,label\nnowhere.png,x\n", "names no path of"),
        ("person,label\n{one},x\n{two},x\n", "task t needs at least two different labels"),
        ("person,label\n{one},\n{two},\n", "names no person of"),
        ("person,label\n,x\n{two},y\n", "line 2: no person"),
        ("name,label\n{one},x\n", "it needs a column person, or a column path"),
        ("person,colour\n{one},x\n", "needs the columns label"),
        ("", "needs the columns label"),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    photos: PhotoSet, table: Callable[[str], Task], text: str, said: str
) -> None:
    one, two = names(photos)[:2]
    with pytest.raises(FacecliError, match=said):
        read_task(table(text.format(one=one, two=two)), photos)


def test_one_label_to_learn_from_is_too_few() -> None:
    labels = TaskLabels(A, np.array([0, 0, -1, 1]), ("x", "y"))
    check_labels(labels, np.arange(4))
    with pytest.raises(TrainingError, match="task a needs at least two different labels among"):
        check_labels(labels, np.arange(3))


# losses on slices


def test_the_loss_of_a_slice_sees_that_slice_alone_at_unit_length() -> None:
    labels = TaskLabels(B, np.array([0, 1, -1, 0, 1, 0]), ("x", "y"))
    torch.manual_seed(0)
    aims = Aims(TrainingConfig(loss="softmax", dimension=20), np.arange(6), [labels])
    rows = unit(torch.randn(6, 20)).requires_grad_()
    loss = aims.of_slices(rows, torch.arange(6))
    loss.backward()  # type: ignore[no-untyped-call]
    assert rows.grad is not None
    assert (rows.grad[:, :10] == 0).all()
    assert (rows.grad[2] == 0).all(), "it has no label"
    assert (rows.grad[[0, 1, 3, 4, 5], 10:] != 0).any(dim=1).all()
    part = unit(rows.detach()[:, 10:])
    wanted = aims.of_tasks[0](part, torch.tensor([0, 1, -1, 0, 1, 0])).loss
    torch.testing.assert_close(loss.detach(), wanted)


# the models made of slices


def a_network(dimension: int = 20) -> FaceNetwork:
    torch.manual_seed(1)
    network = build(ROWS["small-conv"].architecture("small-conv", dimension)).eval()
    network.shift += 0.1
    return network


def embedded(network: FaceNetwork, count: int = 30) -> FloatArray:
    random = torch.Generator().manual_seed(2)
    chips = torch.randint(0, 256, (count, 3, 64, 64), generator=random).float()
    chips *= torch.rand(count, 3, 1, 1, generator=random)
    with torch.inference_mode():
        result: FloatArray = network(chips).numpy()
    return result


def without_shift(network: FaceNetwork) -> FaceNetwork:
    network.shift.zero_()
    return network


def test_a_slice_embeds_as_slicing_the_whole_does() -> None:
    """It has no shift of its own yet, and leaves the network it came from alone."""
    network = a_network()
    before = embedded(network)
    made = sliced(network, B.numbers)
    np.testing.assert_array_equal(embedded(network), before)
    whole = embedded(without_shift(network))
    np.testing.assert_allclose(embedded(made), slice_of(whole, B.numbers), atol=1e-6)
    assert made.head.out_features == 10
    assert not made.shift.any()


def test_the_shorter_embedding_keeps_angles_as_well_as_any_can() -> None:
    """Eckart and Young: what is lost of the products is what the singular values after it hold."""
    network = without_shift(a_network())
    rows = embedded(network).astype(np.float64)
    made = shortened(network, embedded(network), 5)
    with torch.inference_mode():
        kept = made.head.weight.double() @ torch.linalg.pinv(network.head.weight.double())
    products = rows @ kept.numpy().T
    lost = np.linalg.norm(rows @ rows.T - products @ products.T)
    values = np.linalg.svd(rows, compute_uv=False)
    assert lost == pytest.approx(np.sqrt((values[5:] ** 4).sum()), rel=1e-3)
    short = products / np.linalg.norm(products, axis=1, keepdims=True)
    np.testing.assert_allclose(embedded(made), short, atol=1e-4)


def test_all_directions_keep_all_angles() -> None:
    network = without_shift(a_network())
    rows, same = embedded(network), embedded(shortened(network, embedded(network), 20))
    np.testing.assert_allclose(same @ same.T, rows @ rows.T, atol=1e-5)


def few_parts(dimension: int, tasks: tuple[HeldOutTask, ...]) -> list[tuple[str, int, bool]]:
    network = without_shift(a_network(dimension))
    rows = embedded(network)
    found = parts_of(
        network,
        before=rows,
        labels=np.arange(30) // 3,
        tasks=tasks,
        trained_on=lambda: rows,
        see=lambda one: embedded(one)[None],
    )
    return [(one.task, one.network.head.out_features, bool(one.longer)) for one in found]


def test_only_a_long_embedding_with_tasks_is_shortened() -> None:
    labels: IntArray = np.arange(30) % 3
    task = HeldOutTask("a", A.numbers, labels)
    assert few_parts(130, ()) == [("", 130, False)]
    assert few_parts(130, (task,)) == [("", 128, True), ("a", 10, False)]
    assert few_parts(128, (task,)) == [("", 128, False), ("a", 10, False)]


def test_neighbours_of_a_task_are_of_other_classes() -> None:
    """Two classes share a label: their pictures lie together, and no class finds itself."""
    rows = np.repeat(np.eye(4, dtype=np.float32), 2, axis=0)
    classes, labels = np.repeat(np.arange(4), 2), np.repeat([0, 0, 1, 1], 2)
    assert retrieval_measures(rows, labels)["Recall@1"] == 1
    assert retrieval_measures(rows, labels, apart=classes)["Recall@1"] < 1
    assert retrieval_measures(rows[:1], labels[:1]) == {}


# runs


@pytest.mark.slow
class TestRun:
    def test_each_task_gives_a_model_of_its_own(self, shop: Shop, tmp_path: Path) -> None:
        """With its name, fingerprint, threshold and odds; the whole is shortened to 128."""
        out = tmp_path / "m.safetensors"
        (tmp_path / "c.toml").write_text("validation_share = 0.7\n")  # odds need 300 pairs
        more = ("--config", tmp_path / "c.toml", "--loss", "arcface", "--json")
        tasks = ("--task", f"colour={shop.colour}:0-127", "--task", f"shape={shop.shape}:128-191")
        found = ended(train(shop.pictures, out, *tasks, *more))
        paths = [out, *(Path(one["path"]) for one in found["slices"])]
        assert [path.name for path in paths] == [
            "m.safetensors",
            "m-colour.safetensors",
            "m-shape.safetensors",
        ]
        cards = [encoders.load_encoder(str(path)).card for path in paths]
        assert [card.name for card in cards] == ["m", "m-colour", "m-shape"]
        assert [card.dimension for card in cards] == [128, 128, 64]
        assert len({card.fingerprint for card in cards}) == 3
        assert len({card.threshold for card in cards}) == 3
        assert all(card.subject == "picture" for card in cards)
        pairs = [card.impostors["pairs"] for card in cards]
        assert pairs[0] == 32 * 31 / 2 - 8 * 6
        assert 300 <= pairs[1] < pairs[0], "some products share a colour"
        assert cards[0].metrics["retrieval"].keys() >= {"before", "after", "of all 512 numbers"}
        assert "without the pictures of the same class" in json.dumps(cards[1].metrics)

    def test_a_model_of_a_task_is_a_slice_of_the_whole(self, shop: Shop, tmp_path: Path) -> None:
        """With 128 numbers in all nothing is shortened, and few pairs leave the whole in place."""
        out, config = tmp_path / "m.safetensors", tmp_path / "c.toml"
        config.write_text("dimension = 128\n")
        ended(
            train(
                shop.pictures, out, "--config", config, "--task", f"c={shop.colour}:3-40", "--json"
            )
        )
        chips = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3), np.uint8)
        whole, part = (
            encoders.load_encoder(str(path)).embed(chips)
            for path in (out, tmp_path / "m-c.safetensors")
        )
        np.testing.assert_allclose(part, slice_of(whole, slice(3, 41)), atol=1e-3)

    def test_labels_may_be_missing(self, shop: Shop, tmp_path: Path) -> None:
        """What has none is left out of the task, also among the held-out classes."""
        lines = shop.colour.read_text().splitlines()
        (tmp_path / "some.csv").write_text("\n".join(lines[:6]))
        out = tmp_path / "m.safetensors"
        result = train(shop.pictures, out, "--task", f"c={tmp_path / 'some.csv'}:0-127", "--json")
        found = ended(result)
        assert "task c: 28 of 48 photos have no label" in result.stderr
        held = found["slices"][0]["card"]["metrics"]["validation"]
        assert 0 < held["photos"] < 12

    def test_held_out_classes_of_one_label_cost_no_model(self, shop: Shop, tmp_path: Path) -> None:
        """Nothing tells then where strangers are, and the card says so."""
        out = tmp_path / "m.safetensors"
        assert train(shop.pictures, out).exit_code == 0
        split = read_photo_set(tmp_path / "m.run" / "split.csv")
        held = {split.people[label] for label in split.labels[split.validation]}
        rows = [f"{one.name},{'x' if one.name in held else number}" for number, one in
                enumerate(TWELVE)]  # fmt: skip
        (tmp_path / "c.csv").write_text("\n".join(["person,label", *rows]))
        other = tmp_path / "other.safetensors"
        found = ended(
            train(shop.pictures, other, "--task", f"c={tmp_path / 'c.csv'}:0-9", "--json")
        )
        card = found["slices"][0]["card"]
        assert card["threshold"] == 1.1
        assert card["threshold_source"].startswith("a guess: there are 0 impostor pairs")

    def test_two_labels_that_are_both_held_out_are_refused(
        self, shop: Shop, tmp_path: Path
    ) -> None:
        names = itertools.islice(TWELVE, 2)
        (tmp_path / "c.csv").write_text(
            "\n".join(["person,label", *(f"{one.name},{one.lens}{one.frame}" for one in names)])
        )
        photos = read_photo_set(shop.pictures)
        known = [
            one for one in read_task(Task("c", tmp_path / "c.csv", 0, 9), photos).labels if one >= 0
        ]
        assert len(set(known)) == 2
        result = train(
            shop.pictures, tmp_path / "m.safetensors", "--task", f"c={tmp_path / 'c.csv'}:0-9"
        )
        assert "at least two different labels among the photos to learn from" in refusal(result)
        assert not (tmp_path / "m.safetensors").exists()

    def test_own_validation_data_have_no_labels(self, shop: Shop, tmp_path: Path) -> None:
        words = ("--task", f"c={shop.colour}:0-9", "--validation", shop.pictures)
        result = train(shop.pictures, tmp_path / "m.safetensors", *words)
        assert refusal(result).endswith(
            "--task needs validation classes of DATA: leave out --validation"
        )

    def test_bad_tasks_are_refused_in_a_line_before_anything_is_written(
        self, shop: Shop, tmp_path: Path
    ) -> None:
        for text in (f"c={shop.colour}:500-600", f"c={shop.colour}:9-", "c=/nowhere.csv:0-9",
                     f"c={shop.pictures}:0-9", f"c={shop.picture(0)}:0-9"):  # fmt: skip
            refusal(train(shop.pictures, tmp_path / "m.safetensors", "--task", text))
        assert not list(tmp_path.iterdir())

    def test_a_model_of_a_task_is_used_as_any_other(self, shop: Shop, tmp_path: Path) -> None:
        out = tmp_path / "m.safetensors"
        ended(train(shop.pictures, out, "--task", f"c={shop.colour}:0-9", "--json"))
        model = ("--model", tmp_path / "m-c.safetensors")
        assert facecli("verify", shop.picture(0), shop.picture(0), *model).exit_code == 0
