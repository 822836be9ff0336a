"""Scripts of components: fetched once, by addresses that name their content, and nothing else by the same way."""

import re
from html.parser import HTMLParser
from pathlib import Path

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import app
from explorer.viewer.kit.component import HERE, MOUNT, Component, read
from explorer.viewer.kit.served import FOLDER, ROUTES, imported_scripts, preload_html, script_address, text_address
from explorer.viewer.plot.plot import PlotlyView
from explorer.viewer.scores.scores import ScoreTable

EXPLORER = Path(app.__file__).parent / "explorer"


@pytest.fixture(scope="module")
def client():
    return TestClient(Starlette(routes=ROUTES))


@pytest.fixture(scope="module")
def kinds():
    """Every kind of component that the page has."""
    components = [part for part in app.demo.blocks.values() if isinstance(part, Component)]
    kinds = {type(part) for part in components}
    assert len(kinds) > 15
    return sorted(kinds, key=lambda kind: kind.__name__)


def test_a_component_stands_in_the_page_as_addresses():
    table = ScoreTable()
    assert len(table.js_on_load) < 900
    assert not table.html_template and not table.css_template
    assert all(address in table.js_on_load for address in ScoreTable.addresses())
    assert PlotlyView.addresses()[0] == ScoreTable.addresses()[0]  # all share the kit


def test_a_script_is_served_with_its_type_and_for_good(client):
    for address in ScoreTable.addresses():
        answer = client.get(f"/{address}")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
    kit, script, parts = (client.get(f"/{address}").text for address in ScoreTable.addresses())
    assert kit == read(MOUNT)
    assert script == read(*ScoreTable.files("script"))
    assert parts.startswith("export const parts = {") and "<table" in parts and read(HERE / "base.css")[:40] in parts


def test_the_import_of_every_script_leads_to_a_script_that_is_served(client):
    scripts = sorted(EXPLORER.rglob("*.js"))
    assert len(scripts) > 40
    addresses = {script_address(script) for script in scripts}
    assert len({address.split("/")[1] for address in addresses}) == 1, (
        "one hash, or imports between them would not hold"
    )
    for script in scripts:
        assert client.get(f"/{script_address(script)}").text == script.read_text("utf-8")
        assert {script_address(each) for each in imported_scripts(script)} <= addresses


def test_what_is_preloaded_is_a_module_and_all_that_it_imports():
    html = preload_html([script_address(EXPLORER / "page" / "header.js")], ScoreTable.addresses())
    first = re.findall(r'<link rel="modulepreload" href="(vit-explorer/[^"]+)">', html)
    then = re.findall(r'"(vit-explorer/[^"]+)"', html.partition("<script>")[2])
    assert [link.rsplit("/", 1)[1] for link in first] == ["header.js", "words.js"]
    assert len(first + then) == len({*first, *then}) and set(ScoreTable.addresses()) <= {*then}
    own = {"scores.js", "png.js", "ScoreTable.js"}
    assert {link.rsplit("/", 1)[1] for link in then} == own | {
        "mount.js",
        "nodes.js",
        "saving.js",
        "heatmap.js",
        "colours.js",
    }


def test_another_text_has_another_address(client):
    first, second = text_address("part", "export default 1;"), text_address("part", "export default 2;")
    assert first != second
    assert [client.get(f"/{address}").text for address in (first, second)] == ["export default 1;", "export default 2;"]


def test_a_file_that_is_no_script_of_the_explorer_gets_no_address(tmp_path):
    (tmp_path / "mine.js").write_text("export default 1;")
    for file in (tmp_path / "mine.js", HERE / "component.py", HERE / "missing.js"):
        with pytest.raises(ValueError, match=f"{file.name} is no script of the explorer"):
            script_address(file)


def test_a_checkout_that_is_reached_by_way_of_a_link_has_the_same_addresses(tmp_path):
    (tmp_path / "linked").symlink_to(EXPLORER)
    linked = tmp_path / "linked" / MOUNT.relative_to(EXPLORER)
    assert script_address(linked) == script_address(MOUNT)
    assert imported_scripts(linked) == imported_scripts(MOUNT)


@pytest.mark.parametrize(
    "path",
    [
        "mount.js",
        "viewer/kit/scripts/mount.js",
        "0123456789abcdef/viewer/kit/scripts/mount.js",  # of an earlier version
        "component.py",
        "{version}/viewer/kit/component.py",
        "{version}/package.json",
        "../mount.js",
        "%2e%2e/mount.js",
        "..%2fcomponent.py",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "",
    ],
)
def test_nothing_else_of_the_folder_is_served(client, path):
    path = path.format(version=script_address(MOUNT).split("/")[1])
    assert client.get(f"/{FOLDER}/{path}").status_code in (404, 405)
    assert client.post(f"/{FOLDER}/{path}").status_code in (404, 405)


def test_events_of_a_script_can_be_listened_to():
    """Gradio looks for their names in `js_on_load`, where the script itself no longer stands."""

    class Switch(ScoreTable):
        script_events = ("turned",)

    with gr.Blocks(analytics_enabled=False):
        switch = Switch()
        assert callable(switch.turned)
        with pytest.raises(AttributeError):
            switch.thrown  # noqa: B018


def test_the_events_of_a_component_are_those_that_its_scripts_trigger(kinds):
    for kind in kinds:
        (script,) = kind.files("script")
        texts = "".join(map(read, imported_scripts(script)))
        assert set(kind.script_events) == set(re.findall(r'trigger\("(\w+)"', texts)), kind.__name__


def test_every_script_mounts_and_every_markup_has_one_outermost_element(kinds):
    for kind in kinds:
        assert re.search(r"^export function mount\(\{", read(*kind.files("script")), re.MULTILINE), kind.__name__
        outermost = Outermost()
        outermost.feed(read(*kind.files("html")))
        assert outermost.count == 1, kind.__name__


class Outermost(HTMLParser):
    """Counts the elements that lie in no other."""

    VOID = ("br", "hr", "img", "input", "link", "meta")
    count = depth = 0

    def handle_starttag(self, tag, attrs):
        self.count += self.depth == 0
        self.depth += tag not in self.VOID

    def handle_endtag(self, tag):
        self.depth -= tag not in self.VOID
