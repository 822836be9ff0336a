"""What `python -m benchmarks load` sends in a browser's place."""

import json

from benchmarks.load import _filling
from explorer.page.page import build_page


def test_a_new_picture_fills_the_bar_the_card_and_the_first_tab():
    page = build_page()
    file = {"path": "own.jpg"}
    sent = _filling(json.loads(json.dumps(page.get_config_file(), default=str)))(file)
    filled = {block.elem_id for body in sent for block in page.fns[body["fn_index"]].outputs}
    assert filled >= {"scene-bar", "model-card", "attention"}
    for body in sent:
        inputs = page.fns[body["fn_index"]].inputs
        assert [block.elem_id for block, value in zip(inputs, body["data"], strict=True) if value == file] == [
            "picture"
        ]
