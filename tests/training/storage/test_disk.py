"""A full disk is named with its folder and bytes, and takes no checkpoint with it; the pre-flight says what is needed
for them."""

import errno
from types import SimpleNamespace

import pytest
import torch
from safetensors import SafetensorError

from tests.training.data.data_files import animals, write_folder
from training.config import RunConfig
from training.loop import checkpoint
from training.loop.checkpoint import checkpoint_bytes
from training.loop.loop import open_training, train
from training.loop.preflight import preflight
from training.loop.worker import reason_of
from training.publish.export import export
from training.runs import bounds
from training.runs.bounds import BoundError
from training.runs.run import Run
from training.storage import disk
from training.storage.disk import DiskFullError, check_room, naming_a_full_disk


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setenv("VIT_EXPLORER_DATA", str(tmp_path / "cache"))
    data = write_folder(tmp_path / "pets", animals(6))
    shape = {"model": "new:scratch-vit4", "width": 12, "depth": 1, "heads": 1, "resolution": 8}
    often = {"eval_every": 2, "checkpoint_every": 2, "held_out": 0.3, "optimizer": "adamw", "ema": 0.9}
    return RunConfig(data=str(data), steps=4, batch=4, lr=0.01, device="cpu", **shape, **often)


def full(monkeypatch, free=3_000_000):
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))


FAULTS = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_full_disk_is_named_with_its_folder_and_bytes(tmp_path, monkeypatch, fault):
    full(monkeypatch)
    with pytest.raises(DiskFullError) as caught, naming_a_full_disk(tmp_path, 5_000_000):
        raise fault
    assert (
        str(caught.value) == f"the disk is full: {tmp_path} needs 5.0 MB and has 3.0 MB free; make room and try again"
    )
    said = f"the disk is full; make room and resume the run from its last checkpoint: {tmp_path} needs 5.0 MB and has"
    assert reason_of(caught.value).startswith(said)
    assert reason_of(fault, tmp_path).endswith(f"checkpoint: {tmp_path} has 3.0 MB free")


def test_other_faults_keep_their_words(tmp_path):
    with pytest.raises(PermissionError), naming_a_full_disk(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")


def test_a_checkpoint_that_does_not_fit_is_not_begun(config, tmp_path, monkeypatch):
    run = Run.create(tmp_path / "run", config)
    run.begin(shared=True)
    with monkeypatch.context() as patch:
        full(patch, free=10)
        with pytest.raises(DiskFullError) as caught:
            list(train(run, config))
    assert f"{run.path / 'checkpoints'} needs" in str(caught.value) and "has 0.0 MB free" in str(caught.value)
    assert not list((run.path / "checkpoints").iterdir())
    assert [event.step for event in train(run, config) if event.split == "val"] == [2, 4], "with room it goes on"
    run.end("finished", goes_on=True)


@pytest.mark.parametrize("fault", FAULTS)
def test_half_a_checkpoint_does_not_keep_the_disk_full(config, tmp_path, monkeypatch, fault):
    def broken(tensors, path, **_):
        path.write_bytes(b"half")
        raise fault

    run = Run.create(tmp_path / "run", config)
    run.begin(shared=True)
    monkeypatch.setattr(checkpoint, "save_file", broken)
    with pytest.raises(DiskFullError, match=r"checkpoints has .* free"):
        list(train(run, config))
    assert not list((run.path / "checkpoints").iterdir())
    run.end("failed", goes_on=True)


def test_an_export_names_the_folder(config, tmp_path, monkeypatch):
    run = Run.create(tmp_path / "run", config)
    run.begin(shared=True)
    list(train(run, config))
    run.end("finished", goes_on=True)

    def broken(source, target):
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr("training.publish.export.shutil.copyfile", broken)
    with pytest.raises(DiskFullError, match=f"{tmp_path / 'out'} needs .* and has"):
        export(run, None, tmp_path / "out" / "model")
    assert not list((tmp_path / "out").iterdir())


def test_the_pre_flight_says_what_the_checkpoints_will_need(config, tmp_path):
    told = preflight(config)
    run = Run.create(tmp_path / "run", config)
    run.begin(shared=True)
    list(train(run, config))
    run.end("finished", goes_on=True)
    last = sum(file.stat().st_size for file in run.last.path.iterdir())
    assert 2 * last * 0.5 < told.disk_bytes < 3.5 * last, "the last twice, and the best"
    assert told.disk_free > 0
    kept = preflight(config.having(steps=40).having(keep_every=2))
    assert kept.disk_bytes - told.disk_bytes == 20 * sum(
        tensor.nbytes for tensor in open_training(run, config).eval_model.state_dict().values()
    )


def test_the_pre_flight_tells_a_visitor_of_the_bound(config, monkeypatch):
    monkeypatch.setattr(bounds, "VISITOR", bounds.Bounds(disk=1000))
    with pytest.raises(BoundError, match=r"disk is .* MB, and this host lets visitors have at most 0\.0 MB"):
        preflight(config, guest=True)
    assert preflight(config).disk_bytes > 1000


def test_room_is_looked_for_where_a_folder_will_be(tmp_path):
    check_room(tmp_path / "not" / "there" / "yet", 1)
    with pytest.raises(DiskFullError):
        check_room(tmp_path / "not" / "there" / "yet", 2**62)
    assert checkpoint_bytes(torch.nn.Linear(2, 3), {"a": torch.zeros(4)}) == 4 * (6 + 3 + 4)
