"""The Figures tab without a browser: what a visitor of a public page may upload, and that reading it can be stopped."""

import io
import json
import zipfile

import gradio as gr
import pytest
from PIL import Image

from explorer.page import picture_folders
from explorer.page.picture_folders import PictureFolders
from explorer.session.scenes import ModelChoice, scene_of
from explorer.tabs.figures import tab as figures
from explorer.ui import words as text
from explorer.ui.events.progress import StoppedError
from explorer.ui.examples import example_files
from training.data.archive_members import Limits
from training.data.picture_set import DataError


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
    monkeypatch.setattr(picture_folders, "VISITORS", Limits(members=2))
    with gr.Blocks(), gr.Tabs():
        tab = figures.build(local, PictureFolders(local))
    scene = scene_of(ModelChoice(), str(example_files()[0]))
    if local:
        *_, last = tab.show_later(scene, None, [archive], "")
        assert "3 in all" in last[0]
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
        figures.Sources.of([archive], "", PictureFolders(True), progress)
    assert told == [(0, 0)]
    assert not list((tmp_path / "data").glob("*/pictures.bin"))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_where_no_file_can_be_read_the_picture_in_sight_is_shown_and_said(tmp_path, monkeypatch, language):
    monkeypatch.setattr(text, "language_of", lambda request: language)
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with gr.Blocks(), gr.Tabs():
        tab = figures.build(False, PictureFolders(False))
    scene = scene_of(ModelChoice(), str(example_files()[0]))
    *_, (said, sheet, _, _) = tab.show_later(scene, None, [str(tmp_path / "broken.jpg")], "")
    assert "broken.jpg" in said
    assert {"en": "The figures are of the picture in sight.", "zh": "以下各图基于当前图片"}[language] in said
    assert not any(wrong in said for wrong in ("Over your", "Left out", "你上传的 1"))
    manifest = json.loads(Image.open(sheet).text["vit-explorer"])
    assert manifest["choices"]["pictures_sha256"] == [scene.picture_hash]
    assert "broken" not in json.dumps(manifest)
