"""Scripts of components: fetched once, by addresses that name their content, and nothing else by the same way."""

import re

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from explorer.viewer.kit.component import HERE, Component, read
from explorer.viewer.kit.served import FOLDER, ROUTES, served
from explorer.viewer.plot.plot import PlotlyView
from explorer.viewer.scores.scores import ScoreTable


@pytest.fixture(scope="module")
def client():
    return TestClient(Starlette(routes=ROUTES))


def addresses(component: Component) -> list[str]:
    return re.findall(rf"{FOLDER}/[\w.-]+", component.js_on_load)


def test_a_component_stands_in_the_page_as_two_addresses():
    table = ScoreTable()
    assert len(table.js_on_load) < 600
    assert not table.html_template and not table.css_template
    base, own = addresses(table)
    assert addresses(PlotlyView())[0] == base  # all share it
    assert addresses(ScoreTable())[1] == own


def test_a_script_is_served_with_its_type_and_for_good(client):
    for address in addresses(ScoreTable()):
        answer = client.get(f"/{address}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
    own = client.get(f"/{addresses(ScoreTable())[1]}").text
    assert all(read(file) in own for file in ScoreTable.files("scripts"))
    assert read(HERE / "base.js") not in own


def test_another_text_has_another_address(client):
    first, second = served("part", "export default 1;"), served("part", "export default 2;")
    assert first != second
    assert [client.get(f"/{address}").text for address in (first, second)] == ["export default 1;", "export default 2;"]


@pytest.mark.parametrize(
    "path", ["base.js", "component.py", "../base.js", "%2e%2e/base.js", "..%2fcomponent.py", "%2fetc%2fpasswd", ""]
)
def test_nothing_else_of_the_folder_is_served(client, path):
    assert client.get(f"/{FOLDER}/{path}").status_code in (404, 405)
    assert client.post(f"/{FOLDER}/{path}").status_code in (404, 405)


def test_events_of_a_script_can_be_listened_to():
    """Gradio looks for their names in `js_on_load`, where the script itself no longer stands."""

    class Switch(ScoreTable):
        def constants(self):
            return 'const turn = () => trigger("turned", {});'

    with gr.Blocks(analytics_enabled=False):
        switch = Switch()
        assert callable(switch.turned)
        with pytest.raises(AttributeError):
            switch.thrown  # noqa: B018
