"""The picture's own events in a real Chromium."""

import gradio as gr
import pytest

from explorer.ui.picture import Picture, changed_once

DONE = "#done textarea, #done input"


@pytest.fixture(scope="module")
def app(serve):
    """(address, the paths that were told, in order)."""
    told = []
    with gr.Blocks(analytics_enabled=False) as demo:
        picture = Picture(type="filepath", elem_id="picture")
        done = gr.Textbox(elem_id="done")

        def note(path):
            told.append(path)
            return str(len(told))

        changed_once(picture).change(note, picture, done, trigger_mode="always_last")
    return serve(demo), told


def test_each_picture_is_told_of_once_also_one_that_cannot_be_read(app, open_page):
    """gr.Image fires `change` twice for an upload: a refused picture's message came twice."""
    url, told = app
    page = open_page(url)
    page.wait_for_selector(DONE)  # the page comes in parts: what is told before this one is here is not shown
    for number, content in enumerate((b"no picture", b"another"), 1):
        bad = {"name": f"{number}.png", "mimeType": "image/png", "buffer": content}
        page.locator("#picture input[type=file]").first.set_input_files(bad)
        page.wait_for_function("([done, n]) => document.querySelector(done).value === n", arg=[DONE, str(number)])
        page.wait_for_timeout(800)  # a second one would come now
        assert len(told) == number
        page.locator("#picture").get_by_role("button").first.click()  # clears it
        page.wait_for_timeout(300)
        told[number:] = []
