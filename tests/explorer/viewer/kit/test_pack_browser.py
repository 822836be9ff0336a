"""What pack.py writes, as the browser reads it: fetched from the server, unpacked and decoded."""

import base64

import gradio as gr
import numpy as np
import pytest

from explorer.viewer.kit.component import MOUNT
from explorer.viewer.kit.pack import compress, pack, unpack
from explorer.viewer.kit.served import script_address

READ = """async ([folder, text, panels, rows, tokens, signed]) => {
  const { fromBase64, gunzip } = await import(`${folder}/fetching.js`);
  const { readBlock, readRow } = await import(`${folder}/blocks.js`);
  const buffer = await gunzip(new Blob([fromBase64(text)]).stream());
  const block = readBlock(buffer, panels, rows, tokens), row = new Float32Array(tokens);
  const all = [];
  for (let panel = 0; panel < panels; panel++)
    for (let query = 0; query < rows; query++)
      all.push([...readRow(block, panel, signed[panel], query, "to", row)]);
  return all;
}"""


@pytest.fixture(scope="module")
def read(browser, serve):
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Markdown("scripts")
    url, page = serve(demo), browser.new_page()
    page.goto(f"{url}theme.css")  # of the server, and nothing else on it
    folder = f"{url}{script_address(MOUNT)}".removesuffix("/mount.js")
    yield lambda blob, *about: np.array(
        page.evaluate(READ, [folder, base64.b64encode(compress(blob)).decode(), *about])
    )
    page.close()


@pytest.mark.parametrize("prediction", [0, 1, 2])
@pytest.mark.parametrize("rows", [1, 90])
def test_rows_are_what_python_unpacks(read, monkeypatch, prediction, rows):
    monkeypatch.setattr("explorer.viewer.kit.pack._predicted", lambda *_: (prediction, 1))
    noise = np.random.default_rng(0).normal(0, 2, (2, rows, 90)).astype(np.float32)
    signed = [False, True]
    blob = pack(np.stack([np.abs(noise[0]), noise[1]]), signed)
    found = read(blob, 2, rows, 90, signed).reshape(2, rows, 90)
    np.testing.assert_allclose(found, unpack(blob, rows, 90, signed), rtol=1e-5, atol=1e-7)


def test_chunks_of_several_threads_are_one_stream(read):
    values = np.random.default_rng(1).random((3, 400, 400), np.float32)
    blob = pack(values, [False] * 3)
    np.testing.assert_allclose(
        read(blob, 3, 400, 400, [False] * 3).reshape(values.shape), unpack(blob, 400, 400, [False] * 3), rtol=1e-5
    )
