"""What is said before a run, against what the run then does."""

import numpy as np
import pytest
import torch
from PIL import Image

from training.config import ConfigError, RunConfig
from training.loop.preflight import augmented_batch, preflight
from vit_model import VisionTransformer


def two_pictures(data):
    """One picture of each class, beside the others."""
    folder = data.parent / "two"
    for name in ("red", "green"):
        (folder / name).mkdir(parents=True)
        (folder / name / "0.png").write_bytes((data / name / "0.png").read_bytes())
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for channel, name in enumerate(("red", "green")):
        (folder / name).mkdir()
        for number in range(25):
            values = random.integers(0, 100, (16, 16, 3), dtype=np.uint8)
            values[..., channel] += 150
            Image.fromarray(values).save(folder / name / f"{number}.png")
    return folder


def config(data, **more):
    tiny = {"data": str(data), "model": "new:scratch-vit4", "width": 16, "depth": 2, "heads": 2, "resolution": 16}
    return RunConfig(**(tiny | {"epochs": 3, "batch": 8, "held_out": 0.2, "device": "cpu"} | more))


def test_counts_are_those_of_the_model_and_the_data(data):
    said = preflight(config(data))
    assert (said.pictures, said.held_out, said.classes, said.grid) == (40, 10, 2, (4, 4))
    assert said.steps == 3 * (40 // 8) and said.epochs == 3
    assert said.parameters == said.trainable_parameters > 5000
    assert said.images_per_second > 0 and said.seconds == pytest.approx(said.steps * 8 / said.images_per_second)
    assert said.batch_parts == 1 and said.peak_bytes > 0


def test_a_linear_probe_trains_the_head_alone(data):
    assert preflight(config(data, trainable="head")).trainable_parameters == 16 * 2 + 2


def test_a_batch_that_does_not_fit_is_proposed_in_parts(data, monkeypatch):
    plain = VisionTransformer.forward

    def short(self, pixels):
        if len(pixels) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(self, pixels)

    monkeypatch.setattr(VisionTransformer, "forward", short)
    assert preflight(config(data)).batch_parts == 4


def test_minutes_are_estimated_in_steps(data):
    said = preflight(config(data, epochs=None, minutes=1.0))
    assert said.steps is None and said.steps_in_budget > 0 and said.seconds == pytest.approx(60, rel=0.2)


def test_it_says_what_the_run_would_say(data):
    for accumulation, most in ((1, 40), (16, 32)):  # 40 could not be cut into 16 parts
        words = f"a batch of 64 is larger than the training set of 40 pictures; choose at most {most}$"
        with pytest.raises(ConfigError, match=words):
            preflight(config(data, batch=64, accumulation=accumulation))
        assert preflight(config(data, batch=most, accumulation=accumulation)).batch == most


def test_the_batch_is_shown_as_the_model_sees_it(data):
    shown, names, patch = augmented_batch(config(data, crop="none", flip=False), 4)
    assert shown.shape == (4, 16, 16, 3) and shown.dtype == np.uint8 and patch == (4, 4)
    for picture, name in zip(shown, names, strict=True):
        assert ("red", "green")[int(picture[..., 1].mean() > picture[..., 0].mean())] == name
    few, _, _ = augmented_batch(config(two_pictures(data), batch=64), 8)
    assert 1 <= len(few) <= 2
    mixed, names, _ = augmented_batch(config(data, mixup=5.0), 8)
    assert mixed.shape[0] == 8 and any("%" in name and " + " in name for name in names)
