"""What pack.py writes, as the browser reads it."""

import base64

import numpy as np
import pytest

from explorer.viewer.kit.component import HERE
from explorer.viewer.kit.pack import compress, pack, unpack

READ = """async ([text, panels, rows, tokens, signed]) => {
  %s
  const buffer = await vit.gunzip(new Blob([vit.fromBase64(text)]).stream());
  const block = vit.readBlock(buffer, panels, rows, tokens), row = new Float32Array(tokens);
  const all = [];
  for (let panel = 0; panel < panels; panel++)
    for (let query = 0; query < rows; query++)
      all.push([...vit.readRow(block, panel, signed[panel], query, "to", row)]);
  return all;
}"""


@pytest.fixture(scope="module")
def read(browser):
    page = browser.new_page()
    script = READ % (HERE / "base.js").read_text("utf-8")
    yield lambda blob, *about: np.array(page.evaluate(script, [base64.b64encode(compress(blob)).decode(), *about]))
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
