"""The Figures tab without a browser: what a visitor of a public page may upload, and that reading it can be stopped."""

import io
import zipfile

import gradio as gr
import pytest
from PIL import Image

from explorer.session import ModelChoice, look
from explorer.tabs import figures
from explorer.tabs.examples import example_files
from explorer.tabs.progress import StoppedError
from training.archive_members import Limits
from training.picture_set import DataError


@pytest.fixture
def archive(tmp_path, monkeypatch):
    monkeypatch.setenv("VIT_EXPLORER_DATA", str(tmp_path / "data"))
    with zipfile.ZipFile(tmp_path / "three.zip", "w") as file:
        for colour in ("red", "green", "blue"):
            encoded = io.BytesIO()
            Image.new("RGB", (16, 16), colour).save(encoded, "PNG")
            file.writestr(f"{colour}.png", encoded.getvalue())
    return str(tmp_path / "three.zip")


@pytest.mark.parametrize("local", [True, False])
def test_an_archive_from_a_visitor_of_a_public_page_has_to_be_small(archive, monkeypatch, local):
    monkeypatch.setattr(figures, "VISITORS", Limits(members=2))
    with gr.Blocks(), gr.Tabs():
        tab = figures.build(local)
    scene = look(ModelChoice(), str(example_files()[0]))
    if local:
        *_, last = tab.show_later(scene, None, [archive], "")
        assert "3 pictures" in last[0]
        assert tab.arrays(scene, {}, [archive], "")[0]["rollouts"].shape[0] == 3
    else:
        with pytest.raises(DataError, match="at most 2 files are taken"):
            list(tab.show_later(scene, None, [archive], ""))
        with pytest.raises(DataError, match="at most 2 files are taken"):
            tab.arrays(scene, {}, [archive], "")


def test_reading_an_archive_is_told_and_can_be_stopped(archive, tmp_path):
    told = []

    def progress(done, total):
        told.append((done, total))
        raise StoppedError

    with pytest.raises(StoppedError):
        figures.Sources.of([archive], "", Limits(), progress)
    assert told == [(0, 0)]
    assert not list((tmp_path / "data").glob("*/pictures.bin"))
