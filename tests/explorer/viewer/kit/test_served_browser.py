"""Scripts of components in a real Chromium: once each, in the order of the page, behind a path, and what without."""

import gradio as gr
import pytest

from explorer.viewer.kit.component import Component
from explorer.viewer.kit.served import ROUTES, text_address
from explorer.viewer.scores.scores import ScoreTable, cell, scores_value

TABLE = scores_value(head=["score"], rows=[{"head": "one", "quiet": False, "cells": [cell("0.25", 0.5)]}])
OTHER = scores_value(head=["score"], rows=[{"head": "two", "quiet": False, "cells": [cell("0.75", 0.5)]}])


class Told(Component):
    """Says on `document` when it starts."""

    html, css, words = ScoreTable.files("html"), (), ScoreTable.files("words")

    @classmethod
    def addresses(cls):
        started = "export const mount = ({ props }) => (window.started ??= []).push(props.viewer);"
        kit, _, parts = super().addresses()
        return [kit, text_address(f"{cls.__name__}-script", f"{started} // {cls.__name__}"), parts]

    script = ScoreTable.files("script")


class Late(Told):
    pass


def build() -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as demo:
        Late(viewer="first")
        Told(viewer="second")
        ScoreTable(TABLE, elem_id="table")
        ScoreTable(OTHER, elem_id="again")
    return demo


@pytest.fixture(scope="module")
def url(serve):
    return serve(build())


def test_each_script_is_fetched_once_and_its_rules_stand_once(url, open_page):
    page = open_page(url)
    page.wait_for_selector("#again [data-state=ready]")
    scripts = [address.split("/vit-explorer/")[1] for address in page.asked if "/vit-explorer/" in address]
    assert len(scripts) == len(set(scripts))
    names = {script.rsplit("/", 1)[1] for script in scripts}
    assert names >= {"mount.js", "Late-script.js", "Told-script.js", "scores.js", "png.js", "ScoreTable.js"}
    assert len({script.split("/")[0] for script in scripts if "/viewer/" in script}) == 1
    ruled = """[...document.querySelectorAll("style")].filter((s) => s.textContent.includes('"ScoreTable"')).length"""
    assert page.evaluate(ruled) == 1


def test_two_of_a_kind_share_their_modules_and_no_state(url, open_page):
    page = open_page(url)
    page.wait_for_selector("#again [data-state=ready]")
    assert [page.locator(f"#{name} tbody th").inner_text() for name in ("table", "again")] == ["one", "two"]


def test_components_start_in_the_order_in_which_they_came_into_the_page(url, browser):
    """Whatever file comes first. Which of them Gradio puts into the page first is its own choice."""
    page, held = browser.new_page(), []
    page.route("**/Late-script.js", lambda route: held.append(route))  # Playwright marks its handlers
    with page.expect_response("**/ScoreTable.js"):
        page.goto(url)
    page.wait_for_timeout(300)
    before = page.evaluate("window.started ?? []")
    assert before in ([], ["second"])
    held[0].continue_()
    page.wait_for_function("window.started?.length === 2")
    assert page.evaluate("window.started") == [*before, *(name for name in ("first", "second") if name not in before)]
    page.close()


@pytest.mark.parametrize("failing", ["**/Late-script.js", "**/Late.js"])
def test_a_link_stands_where_a_script_cannot_be_had(url, browser, failing):
    """And those behind it start all the same."""
    page = browser.new_page()
    page.route(failing, lambda route: route.abort())
    page.goto(url)
    page.wait_for_selector("#again [data-state=ready]")
    assert page.evaluate("window.started") == ["second"]
    assert page.get_by_role("link", name="Reload").count() == 1
    page.close()


def test_a_page_of_an_earlier_version_offers_to_load_the_new_one(url, browser):
    """Its addresses answer 404 since the server was started again with other scripts."""
    page = browser.new_page()
    page.route(
        "**/viewer/kit/scripts/nodes.js", lambda route: route.fulfill(status=404, body="there is no such script")
    )
    page.goto(url)
    page.get_by_role("link", name="Reload").nth(3).wait_for()
    assert page.get_by_role("link", name="Reload").count() == 4
    page.close()


def test_an_event_that_python_does_not_know_is_an_error(url, open_page):
    page = open_page(url)
    page.wait_for_selector("#again [data-state=ready]")
    said = page.evaluate(
        """async (address) => {
          const { mountComponent } = await import(address);
          const parts = { name: "Mine", style: "", markup: "<p></p>", words: { en: {}, zh: {} } }, sent = [];
          const given = { element: document.createElement("div"), props: {}, trigger: (name) => sent.push(name) };
          const script = { mount: ({ trigger }) => { trigger("known"); trigger("unknown"); } };
          const about = { events: ["known"], constants: {} };
          try { mountComponent(script, parts, about, given); } catch (error) { return [sent, error.message]; }
        }""",
        f"{url}{ScoreTable.addresses()[0]}",
    )
    assert said == [["known"], 'Mine has no event "unknown": add it to its script_events']


def test_scripts_are_found_behind_a_path(browser):
    """As a proxy serves the page that takes /behind off every address."""
    demo = build()
    choices = {"quiet": True, "ssr_mode": False, "server_name": "127.0.0.1", "root_path": "/behind"}
    _, url, _ = demo.launch(prevent_thread_lock=True, app_kwargs={"routes": ROUTES}, **choices)
    page = browser.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/behind/**", lambda route: route.continue_(url=route.request.url.replace("/behind/", "/")))
    page.goto(f"{url.rstrip('/')}/behind/")
    page.wait_for_selector("#again [data-state=ready]")
    assert all("/behind/vit-explorer/" in address for address in asked if "/vit-explorer/" in address)
    assert any("/vit-explorer/" in address for address in asked)
    page.close()
    demo.close()
