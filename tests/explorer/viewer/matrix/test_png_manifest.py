"""A saved PNG says what it shows: JSON in an iTXt chunk, read back by Pillow, the picture itself untouched."""

import json
import struct
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from explorer.viewer import AttentionViewer, StackSource, ViewerStore, viewer_value
from explorer.viewer.scores.scores import ScoreTable, cell, scores_value

CAPTION = {"en": "tiny <b>model</b>, 32 × 24, dog.jpg", "zh": "小型 <b>模型</b>，32 × 24，狗.jpg"}


@pytest.fixture(scope="module")
def url(serve):
    store = ViewerStore()
    matrix = np.full((2, 2, 13, 13), 0.01, np.float32)
    matrix[1, 1, 3, 9] = 0.5  # layer 1, head 1: patch 2 looks at patch 8
    stack = StackSource(list(matrix), (3, 4), 1)
    rows = [{"head": "patch 3", "quiet": False, "cells": [cell("0.25", 0.5), cell({"en": "yes", "zh": "是"})]}]
    table = scores_value(
        head=["score", {"en": "right", "zh": "对"}],
        rows=rows,
        title={"en": "Scores", "zh": "分数"},
        caption="小模型",
        name="faith",
    )
    with gr.Blocks(analytics_enabled=False) as demo:
        AttentionViewer(
            viewer_value(stack, store, query=3, shown_panel=1, caption=CAPTION), store=store, elem_id="maps"
        )
        ScoreTable(table, elem_id="table")
    return serve(demo)


def saved(page, button):
    """The PNG behind a button: (its size, its manifest), every chunk's length and checksum verified."""
    with page.expect_download() as download:
        page.locator(button).click()
    data = Path(download.value.path()).read_bytes()
    kinds, at = [], 8
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(
            data[at + 4 : at + 8 + length]
        )
        kinds.append(kind)
        at += length + 12
    assert at == len(data) and kinds[:2] == [b"IHDR", b"iTXt"] and kinds[-1] == b"IEND"
    picture = Image.open(download.value.path())
    manifest = json.loads(picture.text["vit-explorer"])
    picture.load()
    age = datetime.now(UTC) - datetime.fromisoformat(manifest.pop("date"))
    assert abs(age) < timedelta(minutes=5)
    return picture.size, manifest


def test_a_map_says_layer_head_query_and_scale(open_page, url):
    page = open_page(url)
    page.wait_for_selector("#maps [data-state=ready]")
    size, manifest = saved(page, "#maps [data-part=save]")
    assert size == (960 + 48 + (round((720 - 72) / 4 * 4 / 3) + 24), 720 + 200)
    assert manifest | {"low": 0, "high": 0} == {
        "viewer": "maps",
        "title": "",
        "caption": CAPTION["en"],
        "reading": "Patch 2 (row 0, column 2) → strongest: patch 8, 50.0%",
        "layer": 1,
        "panel": 1,
        "panel_name": "Head 1",
        "grid": [3, 4],
        "query": 3,
        "query_name": "patch 2 (row 0, column 2)",
        "direction": "to",
        "scale": "map",
        "low": 0,
        "high": 0,
        "colours": "viridis",
        "opacity": 1,
        "fade": False,
        "smooth": False,
    }
    assert manifest["low"] == pytest.approx(0.01, abs=2e-3) and manifest["high"] == pytest.approx(0.5)


def test_a_table_says_its_numbers_in_the_language_of_the_page(open_page, url):
    page = open_page(url, locale="zh-CN")
    page.wait_for_selector("#table [data-state=ready]")
    page.wait_for_selector("#maps [data-state=ready]")
    size, manifest = saved(page, "#table .png")
    assert min(size) > 100
    assert manifest == {
        "viewer": "table",
        "title": "分数",
        "caption": "小模型",
        "corner": "",
        "columns": ["score", "对"],
        "rows": [{"head": "patch 3", "cells": ["0.25", "是"]}],
        "progress": "",
    }
    assert saved(page, "#maps [data-part=save]")[1]["caption"] == CAPTION["zh"]
