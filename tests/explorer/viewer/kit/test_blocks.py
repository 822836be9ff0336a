"""blocks.json, from which the tests of the scripts learn what pack.py writes, is what it writes today.

`python -m tests.explorer.viewer.kit.test_blocks` writes it anew.
"""

import base64
import json
from pathlib import Path
from unittest.mock import patch

import numpy as np

from explorer.viewer.kit.pack import compress, pack, unpack

FILE = Path(__file__).with_name("blocks.json")


def blocks() -> list[dict]:
    """Small blocks of every prediction, signed and not, and one of a single row a panel."""
    made, rng = [], np.random.default_rng(0)
    steep = np.linspace(0.1, 1, 12, dtype=np.float32) ** 2
    for name, values, signed, prediction in [
        ("noise", np.abs(rng.normal(0, 2, (2, 12, 12))).astype(np.float32), [False, False], 0),
        ("equal rows", np.stack([np.stack([steep[rng.permutation(12)]] * 12)]), [False], 1),
        ("smooth rows", np.stack([np.stack([steep] * 12)]), [False], 2),
        (
            "signed beside unsigned",
            rng.normal(0, 3, (2, 12, 12)).astype(np.float32) ** [[[2]], [[1]]],
            [False, True],
            2,
        ),
        ("one row", rng.normal(0, 3, (2, 1, 12)).astype(np.float32), [True, True], 0),
        ("zeros", np.zeros((1, 3, 4), np.float32), [False], 1),
    ]:
        panels, rows, tokens = values.shape
        with patch("explorer.viewer.kit.pack._predicted", lambda *_, chosen=prediction: (chosen, 1)):
            blob = pack(values, signed)
        made.append(
            {
                "name": name,
                "shape": [panels, rows, tokens],
                "signed": signed,
                "prediction": blob[-1],
                "bytes": base64.b64encode(blob).decode(),
                "gzip": base64.b64encode(compress(blob)).decode(),
                "values": unpack(blob, rows, tokens, signed).astype(float).ravel().tolist(),
            }
        )
    return made


def test_the_blocks_that_scripts_are_tested_with_are_those_of_today():
    kept, made = json.loads(FILE.read_text("utf-8")), blocks()
    assert {block["prediction"] for block in made} == {0, 1, 2}
    for old, new in zip(kept, made, strict=True):
        assert old["bytes"] == new["bytes"], f"{new['name']}: run this file as a module, then the tests of the scripts"
        np.testing.assert_allclose(old["values"], new["values"], rtol=1e-6)
        assert {key: old[key] for key in ("name", "shape", "signed", "prediction")} == {
            key: new[key] for key in ("name", "shape", "signed", "prediction")
        }


if __name__ == "__main__":
    FILE.write_text(json.dumps(blocks(), indent=1) + "\n", "utf-8")
