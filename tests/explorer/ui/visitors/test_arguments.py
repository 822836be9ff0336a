"""Texts of named endpoints: parsed, or refused in words."""

import pytest

from explorer.ui.visitors.arguments import json_object


@pytest.mark.parametrize(("text", "found"), [("", {}), (None, {}), ('{"layer": 3}', {"layer": 3})])
def test_json_object(text, found):
    assert json_object("viewer_state", text) == found


@pytest.mark.parametrize("text", ["{", "[1]", "null", "3", '"text"', "[" * 100_000, '{"a":' * 100_000])
def test_no_json_object(text):
    with pytest.raises(ValueError, match=r"^viewer_state must be a JSON object, got .{0,300}$"):
        json_object("viewer_state", text)
