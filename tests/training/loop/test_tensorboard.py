"""Event files: by the real package where it is installed, by one that notes its calls where it is not."""

import sys
from types import ModuleType

import pytest
import torch

from training.config import ConfigError
from training.loop.tensorboard import FOLDER, Board, board
from training.loop.worker import work
from training.runs.metrics import MetricEvent
from training.runs.runs import Run


class Noting:
    """SummaryWriter's calls, in order."""

    def __init__(self, folder, purge_step=None):
        self.calls = [("open", folder, purge_step)]
        made.append(self)

    def add_scalar(self, name, value, step):
        self.calls.append((name, value, step))

    def flush(self):
        self.calls.append("flush")

    def close(self):
        self.calls.append("close")


made = []


@pytest.fixture
def noting(monkeypatch):
    module = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Noting
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    made.clear()
    return made


def events():
    return [
        MetricEvent(1, 0.1, 1.0, "train", {"loss": 2.0, "grad_norm": float("nan")}),
        MetricEvent(1, 0.1, 1.0, "val", {"accuracy": 0.5}),
    ]


def test_scalars_by_split_and_step(tmp_path, noting):
    one = Board(tmp_path)
    assert not noting, "nothing is written before the first event"
    one.add(events())
    one.add([MetricEvent(2, 0.2, 2.0, "train", {"loss": 1.0})])
    one.close()
    assert noting[0].calls == [
        ("open", str(tmp_path / FOLDER), 1),
        *[("train/loss", 2.0, 1), ("val/accuracy", 0.5, 1), "flush"],
        *[("train/loss", 1.0, 2), "flush", "close"],
    ]


def test_a_run_writes_them_and_a_resume_begins_where_it_was(tmp_path, noting, config):
    torch.manual_seed(0)
    settings = config.having(
        tensorboard=True, steps=4, log_every=1, width=16, depth=1, heads=2, patch_size=8, resolution=16, batch=16,
        eval_every=2, held_out=0.05,
    )  # fmt: skip
    run = Run.create(tmp_path / "run", settings)
    assert work(run) == 0
    (writer,) = noting
    assert [call[2] for call in writer.calls if call[0] == "train/loss"] == [1, 2, 3, 4]
    assert [call[2] for call in writer.calls if call[0] == "val/accuracy"] == [2, 4] and writer.calls[-1] == "close"
    assert run.read("machine.json")["versions"]["torch"] == torch.__version__


def test_without_the_package_it_is_said_before_anything_is_trained(tmp_path, monkeypatch, config):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # as if it were not there
    with pytest.raises(ConfigError, match="the package tensorboard is not installed here; run `python -m pip install"):
        board(tmp_path, config.having(tensorboard=True))
    assert board(tmp_path, config) is None
    run = Run.create(tmp_path / "run", config.having(tensorboard=True))
    assert work(run) == 1 and "events.jsonl is always written" in run.read("ended.json")["reason"]
    assert not (run.path / "events.jsonl").exists()


def test_the_real_package_reads_them_back(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for start in (1, 3):  # the second attempt measures step 3 again
        one = Board(tmp_path)
        one.add(MetricEvent(step, step / 10, step, "train", {"loss": start + step}) for step in range(start, start + 3))
        one.close()
    read = EventAccumulator(str(tmp_path / FOLDER))
    read.Reload()
    assert [(event.step, event.value) for event in read.Scalars("train/loss")] == [
        (1, 2),
        (2, 3),
        (3, 6),
        (4, 7),
        (5, 8),
    ]
