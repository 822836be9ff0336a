"""The loop on drawn shapes: the same curve however often it is interrupted, cut into parts, or short of memory."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.other_device import other_device
from training.config import RunConfig
from training.errors import TrainingError
from training.loop import checkpoint, loop
from training.loop.loop import train
from training.loop.step import take_step
from training.runs.metrics import fold, read_events

TINY = {
    "model": "new:scratch-vit4",
    "width": 16,
    "depth": 2,
    "heads": 2,
    "patch_size": 8,
    "head_init": "random",
    "optimizer": "adamw",
    "lr": 1e-3,
    "batch": 16,
    "steps": 8,
    "log_every": 1,
    "eval_every": 4,
    "held_out": 0.2,
    "warmup": 2,
    "clip": 1.0,
    "device": "cpu",
}
EVERYTHING = {
    "flip": True,
    "crop": "resized",
    "mixup": 0.4,
    "cutmix": 1.0,
    "randaugment": 1,
    "erasing": 0.2,
    "dropout": 0.1,
    "drop_path": 0.2,
    "ema": 0.9,
    "label_smoothing": 0.1,
}


class Folder:
    def __init__(self, path: Path):
        self.path, self.progress = path, []
        path.mkdir(exist_ok=True)

    def write_progress(self, progress):
        self.progress.append(progress)


@pytest.fixture(scope="module", autouse=True)
def pictures(tmp_path_factory):
    """96 pictures to train on and 30 to test with, of three classes that a colour tells apart."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for split, count in (("train", 32), ("test", 10)):
        for channel, name in enumerate(("red", "green", "blue")):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                values = random.integers(0, 160, (32, 32, 3), dtype=np.uint8)
                values[..., channel] += 40
                Image.fromarray(values).save(folder / split / name / f"{number}.png")
    TINY["data"] = str(folder)


def config(**more):
    return RunConfig(**(TINY | more))


def go(path, config, **choices):
    """(the curve on disk as {(split, step): values}, how it ended)"""
    folder, steps = Folder(path), train(Folder(path), config, **choices)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            end = stop.value
            break
    events, _ = read_events(folder.path / "events.jsonl")
    timed = ("images_per_second", "memory_bytes", "waiting")
    curve = {
        (event.split, event.step): {n: v for n, v in event.values.items() if n not in timed} for event in fold(events)
    }
    return curve, end


def after(count):
    """A `should_stop` that is true from its `count`-th asking on: before each step it is asked once."""
    asked = iter(range(10**6))
    return lambda: next(asked) >= count


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_run_leaves_its_curve_its_checkpoints_and_its_results(tmp_path):
    curve, end = go(tmp_path / "run", config())
    assert end == "finished"
    assert sorted(curve) == sorted([("train", step) for step in range(1, 9)] + [("val", 4), ("val", 8), ("test", 8)])
    assert {"loss", "lr", "grad_norm", "accuracy"} <= set(curve["train", 1])
    data = json.loads((tmp_path / "run/data.json").read_text())
    assert {name: part["count"] for name, part in data["parts"].items()} == {"train": 78, "val": 18, "test": 30}
    best = json.loads((tmp_path / "run/best.json").read_text())
    kept = checkpoint.complete(tmp_path / "run/checkpoints")
    assert set(kept) == {8, best["step"]}
    results = json.loads((tmp_path / "run/results/test.json").read_text())
    confusion = torch.tensor(results["confusion"])
    assert results["accuracy"] == pytest.approx(confusion.diagonal().sum() / confusion.sum())
    assert results["accuracy"] == pytest.approx(curve["test", 8]["accuracy"])


@pytest.mark.parametrize(
    "more", [{}, EVERYTHING, {"optimizer": "muon"}, {"optimizer": "sgd", "accumulation": 2}, {"log_every": 4}]
)
def test_a_stopped_run_goes_on_bit_for_bit(tmp_path, more):
    whole, _ = go(tmp_path / "whole", config(**more))
    path = tmp_path / "parts"
    for stop in (3, 2):  # stopped after 3 steps, then after 2 more
        _, end = go(path, config(**more), should_stop=after(stop))
        assert end == "stopped"
    parts, end = go(path, config(**more))
    assert end == "finished"
    assert parts == whole  # every loss, norm, rate and accuracy, to the last bit


@pytest.mark.other_device
@pytest.mark.parametrize(
    "more", [{}, EVERYTHING, {"optimizer": "muon", "accumulation": 2, "stages": ((16, 0.5),), "resolution": 32}]
)
def test_a_device_that_is_not_the_cpu_trains_and_resumes_to_the_same_numbers(tmp_path, capsys, more):
    here, _ = go(tmp_path / "here", config(**more))
    with other_device() as device:
        chosen = config(**more | {"device": str(device)})
        go(tmp_path / "there", chosen, should_stop=after(3))
        there, end = go(tmp_path / "there", chosen)
    assert end == "finished"
    assert "resumed at step 3" in capsys.readouterr().out
    assert there.keys() == here.keys()
    for event, values in here.items():
        assert there[event] == pytest.approx(values, rel=1e-3), event


def test_a_deadline_ends_a_slice_with_a_checkpoint(tmp_path):
    _, end = go(tmp_path / "run", config(), deadline=0.0)
    assert end == "stopped" and not checkpoint.complete(tmp_path / "run/checkpoints")  # nothing was done yet
    curve, end = go(tmp_path / "run", config())
    assert end == "finished" and ("train", 8) in curve


def test_stages_change_the_resolution_and_a_stop_within_one_changes_nothing(tmp_path):
    staged = config(resolution=32, stages=((16, 0.5),), model="new:scratch-vit4", crop="resized")
    whole, _ = go(tmp_path / "whole", staged)
    go(tmp_path / "parts", staged, should_stop=after(6))
    parts, _ = go(tmp_path / "parts", staged)
    assert parts == whole
    saved = json.loads((tmp_path / "whole/checkpoints/step-00000008/config.json").read_text())
    assert saved["image_size"] == 32


def test_the_checkpoint_opens_as_any_other_model_and_says_the_same(tmp_path):
    from training.data.datasets import open_dataset
    from vit_model import load_model

    go(tmp_path / "run", config(ema=0.5, eval_every=8))  # evaluated once, so its last checkpoint is its best
    model = load_model(tmp_path / "run/checkpoints/step-00000008")
    data = open_dataset(TINY["data"])
    assert model.labels == data.classes
    results = json.loads((tmp_path / "run/results/test.json").read_text())
    split = data.splits["test"]
    indices = range(len(split.labels))
    pixels = torch.cat([model.preprocess(split.read(index))[0] for index in indices])
    from safetensors.torch import load_file

    predicted = load_file(tmp_path / "run/results/test.safetensors")["predicted"][list(indices)]
    assert torch.equal(model(pixels).argmax(-1), predicted)
    assert results["step"] == 8


def test_too_little_memory_halves_the_parts_and_keeps_the_batch(tmp_path, monkeypatch, capsys):
    whole, _ = go(tmp_path / "whole", config(optimizer="sgd", lr=0.1))
    from vit_model import VisionTransformer

    plain = VisionTransformer.forward

    def short(self, pixels):
        if self.training and len(pixels) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return plain(self, pixels)

    monkeypatch.setattr(VisionTransformer, "forward", short)
    curve, end = go(tmp_path / "short", config(optimizer="sgd", lr=0.1))
    assert end == "finished"
    said = capsys.readouterr().out
    assert "8 pictures at once instead of 16" in said and "4 pictures at once instead of 8" in said
    for key, values in whole.items():
        assert curve[key]["loss"] == pytest.approx(values["loss"], rel=1e-4), key


def test_memory_that_never_suffices_is_a_plain_reason(tmp_path, monkeypatch):
    from vit_model import VisionTransformer

    def never(self, pixels):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(VisionTransformer, "forward", never)
    with pytest.raises(TrainingError, match="out of memory with 1 pictures at once; choose a smaller"):
        go(tmp_path / "run", config())


def test_a_loss_that_is_not_a_number_fails_and_keeps_what_was_before(tmp_path):
    with pytest.raises(TrainingError, match=r"the training loss became nan.*lower the learning rate"):
        go(tmp_path / "run", config(optimizer="sgd", lr=1000.0, clip=0.0, steps=60, eval_every=60, log_every=1))
    assert not checkpoint.complete(tmp_path / "run/checkpoints")


def test_weights_that_are_no_numbers_fail_and_keep_what_was_before(tmp_path):
    """A loss that is still a number can have a gradient that is none."""
    with pytest.raises(TrainingError, match=r"the weights became NaN or infinite before step.*lower the learning rate"):
        go(tmp_path / "run", config(optimizer="sgd", lr=1000.0, clip=0.0, steps=60, eval_every=1, log_every=60))
    kept = checkpoint.complete(tmp_path / "run/checkpoints")
    assert kept
    for folder in kept.values():
        from vit_model import load_model

        assert all(p.isfinite().all() for p in load_model(folder).parameters())


def test_other_runtime_errors_are_not_taken_for_a_lack_of_memory(tmp_path, monkeypatch):
    from vit_model import VisionTransformer

    def broken(self, pixels):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(VisionTransformer, "forward", broken)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        go(tmp_path / "run", config())


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"batch": 100_000}, "larger than the training set"),
        ({"precision": "fp16"}, "fp16 needs a CUDA GPU"),
        ({"device": "cuda"}, "no CUDA GPU"),
        ({"device": "toaster"}, "device must be"),
        ({"resolution": 33}, "not a multiple of the patch size"),
        ({"model": "new:huge"}, "no named size 'huge'"),
        ({"trainable": "9"}, "the model has 2 blocks, not 9"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_trained(tmp_path, more, words):
    if "device" in more and more["device"] == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has a CUDA GPU")
    with pytest.raises(ValueError, match=words):
        go(tmp_path / "run", config(**more))
    assert not (tmp_path / "run/events.jsonl").exists()


def test_a_checkpoint_of_another_model_is_not_resumed_in_silence(tmp_path):
    go(tmp_path / "run", config(), should_stop=after(3))
    with pytest.raises(TrainingError, match=r"does not fit its run\.json"):
        go(tmp_path / "run", config(width=32))


def test_a_damaged_last_checkpoint_is_passed_over_for_the_one_before(tmp_path, capsys):
    path = tmp_path / "run"
    go(path, config(keep_every=2), should_stop=after(4))
    last = checkpoint.complete(path / "checkpoints")[4]
    content = (last / "state.safetensors").read_bytes()
    (last / "state.safetensors").write_bytes(content[: len(content) // 2])
    _, end = go(path, config(keep_every=2))
    assert end == "finished"
    assert "step-00000004 cannot be resumed" in capsys.readouterr().out


def test_early_stopping_waits_for_its_patience(tmp_path):
    curve, end = go(tmp_path / "run", config(steps=400, lr=1e-12, eval_every=2, patience=3))
    assert end == "finished"
    assert (
        max(step for split, step in curve if split == "val") == 8
    )  # the first counts as better, then three that are not


def test_without_a_held_out_part_there_is_no_best_checkpoint(tmp_path):
    curve, _ = go(tmp_path / "run", config(held_out=0.0))
    assert not any(split == "val" for split, _ in curve) and ("test", 8) in curve
    assert not (tmp_path / "run/best.json").exists()
    assert set(checkpoint.complete(tmp_path / "run/checkpoints")) == {8}


def test_declared_marks_read_the_test_set_on_the_way(tmp_path):
    settings = config(steps=None, epochs=2, test_at=(1, 2), eval_every=0, held_out=0.0)
    curve, _ = go(tmp_path / "run", settings)
    steps = sorted(step for split, step in curve if split == "test")
    per_epoch = steps[0]
    assert steps == [per_epoch, 2 * per_epoch]


def test_a_resnet_trains_through_the_same_loop_and_stays_resumable(tmp_path):
    settings = config(model="resnet18", width=None, depth=None, heads=None, patch_size=None, resolution=32, steps=2)
    whole, _ = go(tmp_path / "whole", settings)
    go(tmp_path / "parts", settings, should_stop=after(1))
    parts, _ = go(tmp_path / "parts", settings)
    assert parts == whole
    saved = json.loads((tmp_path / "whole/checkpoints/step-00000002/config.json").read_text())
    assert saved["model_type"] == "resnet18"


def test_a_linear_probe_moves_the_head_alone(tmp_path):
    folder = Folder(tmp_path / "run")
    training = loop.open_training(folder, config(trainable="head"))
    before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
    training.begin()
    take_step(training, rate=0.1)
    moved = {name for name, tensor in training.model.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"head.weight", "head.bias"}


def test_a_head_without_bias_keeps_it_at_zero(tmp_path):
    training = loop.open_training(Folder(tmp_path / "run"), config(head_init="zero-no-bias"))
    training.begin()
    take_step(training, rate=0.1)
    assert not training.model.head.bias.any() and training.model.head.weight.any()


def test_a_budget_of_minutes_ends_by_time(tmp_path):
    curve, end = go(tmp_path / "run", config(steps=None, minutes=0.03))
    assert end == "finished"
    steps = [step for split, step in curve if split == "train"]
    assert steps and curve["train", max(steps)]["lr"] < 1e-3


def test_progress_says_what_is_to_come(tmp_path):
    folder = Folder(tmp_path / "run")
    for _ in train(folder, config()):
        pass
    assert {"loading", "evaluating", "testing", "saving", "finished"} <= {p["phase"] for p in folder.progress}
    last = folder.progress[-1]
    assert last["step"] == last["steps"] == 8 and math.isclose(last["seconds_left"], 0.0)


def test_the_best_has_a_checkpoint_though_few_are_written_and_it_reads_the_test_set(tmp_path):
    """Once the best step was only noted, and its checkpoint missing when the test set was to be read."""
    settings = config(steps=12, lr=0.3, optimizer="sgd", eval_every=2, checkpoint_every=100, warmup=0, clip=0.0, seed=1)
    go(tmp_path / "run", settings)
    best = json.loads((tmp_path / "run/best.json").read_text())["step"]
    results = json.loads((tmp_path / "run/results/test.json").read_text())
    assert best < 12 and results["checkpoint"] == best and results["step"] == 12
    assert set(checkpoint.complete(tmp_path / "run/checkpoints")) == {best, 12}
