"""`python -m vit_model inspect`: the report, and one line with exit code 2 where there is nothing to report."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vit_model.__main__ import main
from vit_model.checkpoints.loading import inspect_model

VIT = {"intermediate_size": 48, "image_size": 32, "patch_size": 8}


def test_report_accounts_for_every_tensor(hugging_face, capsys):
    _, folder = hugging_face("ViTForMaskedImageModeling", "ViTConfig", **VIT, encoder_stride=8)
    assert main(["inspect", str(folder)]) == 0
    text = capsys.readouterr().out
    for words in (
        "Hugging Face ViT",
        "4x4 patches, 17 tokens",
        "image_size          32 x 32",
        "none: the model has no classifier",
        "tensors: 41, of which 38 used and 3 dropped",
        "blocks.0.attention.qkv.weight[query]",
        "dropped: stands for hidden patches in pretraining only",
    ):
        assert words in text
    inspection = inspect_model(folder)
    assert len(inspection.keys) == 41
    assert all(f"  {key} " in text for key in inspection.keys)


def test_every_parameter_has_a_source(timm_folder):
    _, folder = timm_folder()
    inspection = inspect_model(folder)
    assert set(inspection.keys.values()) == set(inspection.model.state_dict())


def test_options(timm_folder, capsys):
    _, folder = timm_folder()
    assert main(["inspect", str(folder), "--image-size", "48", "64", "--interpolation", "bilinear"]) == 0
    assert "6x8 patches, 49 tokens" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--image-size", "30"], ["--interpolation", "nearest"]])
def test_failure_is_one_line_and_exit_code_2(options, timm_folder, capsys):
    _, folder = timm_folder()
    assert main(["inspect", str(folder), *options]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ") and output.err.count("\n") == 1


def test_command_line(tmp_path):
    (tmp_path / "empty.safetensors").touch()
    command = [sys.executable, "-m", "vit_model", "inspect", str(tmp_path / "empty.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: empty.safetensors is empty (0 bytes); fetch it again\n"
