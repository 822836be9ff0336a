"""Pixels of a split: the same whether resident, decoded by threads, or by processes."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from tests.training.data.data_files import animals, write_folder
from training.data.datasets import DataError, open_dataset
from training.data.loader import Pictures, default_budget
from training.data.picture_set import Split
from vit_model.picture import PictureError


def small(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.resize((5, 4)))


def as_it_is(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture)


@dataclass(frozen=True)
class NumberStore:
    """Picture `row` is 4 x 5 pixels of `row`; those in `gone` cannot be read, those in `large` are larger."""

    gone: tuple[int, ...] = ()
    large: tuple[int, ...] = ()

    def read(self, row):
        if row in self.gone:
            raise PictureError("the file cannot be read: No such file or directory")
        return Image.new("RGB", (6 if row in self.large else 5, 4), (row, row, row))


def numbers(count=40, **faults):
    names = tuple(f"n/{n}.png" for n in range(count))
    return Split(np.arange(count) % 3, names, NumberStore(**faults), np.arange(count))


def prepared(split, indices=None, workers=0, budget_bytes=0, make=as_it_is, **more):
    indices = np.arange(len(split)) if indices is None else indices
    return Pictures.prepare(split, indices, make, "cpu", workers=workers, budget_bytes=budget_bytes, **more)


PLAN = [torch.tensor([3, 1, 2]), torch.tensor([0]), torch.tensor([7, 7, 5, 4])]
BIG = 10**9


def values(batches):
    return [batch[:, 0, 0, 0].tolist() for batch in batches]


@pytest.mark.parametrize(("budget", "resident"), [(BIG, True), (0, False)])
def test_pixels_are_what_make_makes(tmp_path, budget, resident):
    folder = write_folder(tmp_path / "pets", animals(4))
    split = open_dataset(str(folder), cache=tmp_path / "cache").splits["train"]
    pictures = prepared(split, np.array([6, 1, 3]), budget_bytes=budget, make=small)
    assert pictures.resident is resident
    assert len(pictures) == 3
    assert pictures.labels.tolist() == [1, 0, 0]
    pixels = pictures.fetch(torch.tensor([2, 0]))
    assert pixels.dtype == torch.uint8
    assert pixels.shape == (2, 3, 4, 5)
    assert np.array_equal(pixels[0].permute(1, 2, 0).numpy(), small(split.read(3)))
    assert np.array_equal(pixels[1].permute(1, 2, 0).numpy(), small(split.read(6)))


def test_the_budget_decides():
    split = numbers(10)
    assert prepared(split, budget_bytes=10 * 4 * 5 * 3).resident
    assert not prepared(split, budget_bytes=10 * 4 * 5 * 3 - 1).resident
    assert prepared(split, budget_bytes=None).resident
    assert default_budget(torch.device("cpu")) > 0


@pytest.mark.parametrize("budget", [0, BIG])
def test_the_order_is_that_of_the_plan(budget):
    pictures = prepared(numbers(), np.arange(39, -1, -1), budget_bytes=budget)
    assert values(pictures.ahead(PLAN)) == [[36, 38, 37], [39], [32, 32, 34, 35]]
    assert values(pictures.ahead(iter([]))) == []


@pytest.mark.parametrize("budget", [0, BIG])
def test_an_endless_plan_that_is_left(budget):
    pictures = prepared(numbers(), budget_bytes=budget)

    def endless():
        while True:
            yield torch.arange(4)

    batches = pictures.ahead(endless())
    assert values([next(batches), next(batches)]) == [[0, 1, 2, 3]] * 2
    batches.close()
    assert values(pictures.ahead(PLAN[:1])) == [[3, 1, 2]]


def test_batches_are_asked_for_ahead_but_not_all_at_once():
    asked = []

    def plan():
        for number in range(30):
            asked.append(number)
            yield torch.tensor([number])

    batches = prepared(numbers()).ahead(plan())
    next(batches)
    assert 2 <= len(asked) <= 4
    batches.close()


def test_processes_give_the_same_pixels_in_the_same_order_and_leave_chance_alone():
    split = numbers()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    pictures = prepared(split, workers=2)
    whole = [torch.randperm(40, generator=torch.Generator().manual_seed(n))[:7] for n in range(12)]
    with_threads = prepared(split)
    assert torch.equal(state, torch.get_rng_state())
    for plan in (whole, PLAN):  # the processes stay from one plan to the next
        by_processes = list(pictures.ahead(plan))
        assert values(by_processes) == values(with_threads.ahead(plan)) == [positions.tolist() for positions in plan]
    left = pictures.ahead(whole)
    next(left)
    left.close()
    assert values(pictures.ahead(PLAN)) == [positions.tolist() for positions in PLAN]
    assert torch.equal(state, torch.get_rng_state())
    assert pictures.waited_seconds > 0
    resident = prepared(split, workers=1, budget_bytes=BIG)
    assert resident.resident
    assert values(resident.ahead(PLAN)) == [positions.tolist() for positions in PLAN]


def test_progress_while_it_becomes_resident():
    seen = []
    Pictures.prepare(
        numbers(200), range(200), as_it_is, "cpu", budget_bytes=BIG, progress=lambda *report: seen.append(report)
    )
    assert seen[-1] == (200, 200, "decoding pictures")


def test_no_pictures_at_all():
    pictures = prepared(numbers(), np.arange(0), budget_bytes=None)
    assert len(pictures) == 0
    assert pictures.resident
    assert list(pictures.ahead([])) == []


GONE = "n/7.png: the file cannot be read: No such file or directory; the data changed since they were checked: "


def test_a_picture_that_has_gone():
    split = numbers(gone=(7,))
    with pytest.raises(DataError, match=GONE):
        prepared(split, budget_bytes=BIG)
    pictures = prepared(split)
    with pytest.raises(DataError, match=GONE):
        list(pictures.ahead(PLAN))
    with pytest.raises(DataError, match=GONE):
        pictures.fetch(torch.tensor([7]))
    with pytest.raises(DataError, match=GONE):
        prepared(numbers(gone=(7,)), np.array([7, 8]))


def test_a_picture_that_has_gone_from_the_processes():
    with pytest.raises(DataError) as caught:
        list(prepared(numbers(gone=(7,)), workers=1).ahead(PLAN))
    assert str(caught.value).startswith(GONE)
    assert "Traceback" not in str(caught.value)
    assert caught.value.code == "data_changed_since" and caught.value.details["reason"].code == "picture_named"


def test_pictures_of_several_sizes():
    with pytest.raises(DataError, match=r"n/7.png: expected 4 x 5 pixels like the first picture, got 4 x 6"):
        prepared(numbers(large=(7,)), budget_bytes=BIG)


def test_waiting_is_counted():
    pictures = prepared(numbers())
    assert pictures.waited_seconds == 0
    pictures.fetch(torch.tensor([0]))
    after_one = pictures.waited_seconds
    assert after_one > 0
    list(pictures.ahead(PLAN))
    assert pictures.waited_seconds > after_one
