"""Scripts of components in a real Chromium: once each, in the order of the page, behind a path, and what without."""

import gradio as gr
import pytest

from explorer.viewer.kit.component import Component
from explorer.viewer.kit.served import ROUTES
from explorer.viewer.scores.scores import ScoreTable, cell, scores_value

TABLE = scores_value(head=["score"], rows=[{"head": "one", "quiet": False, "cells": [cell("0.25", 0.5)]}])


class Told(Component):
    """Says on `document` when it starts."""

    html, css, scripts, words = ScoreTable.files("html"), (), (), ScoreTable.files("words")

    def constants(self):
        return "(window.started ??= []).push(props.viewer);"


class Late(Told):
    pass


def build() -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as demo:
        Late(viewer="first")
        Told(viewer="second")
        ScoreTable(TABLE, elem_id="table")
        ScoreTable(TABLE, elem_id="again")
    return demo


@pytest.fixture(scope="module")
def url(serve):
    return serve(build())


def test_each_script_is_fetched_once_and_its_rules_stand_once(url, open_page):
    page = open_page(url)
    page.wait_for_selector("#again [data-state=ready]")
    scripts = [address.rsplit("/", 1)[1] for address in page.asked if "/vit-explorer/" in address]
    assert sorted(name.split("-")[0] for name in scripts) == ["Late", "ScoreTable", "Told", "base"]
    ruled = """[...document.querySelectorAll("style")].filter((s) => s.textContent.includes('"ScoreTable"')).length"""
    assert page.evaluate(ruled) == 1


def test_components_start_in_the_order_in_which_they_came_into_the_page(url, browser):
    """Whatever file comes first. Which of them Gradio puts into the page first is its own choice."""
    page, held = browser.new_page(), []
    page.route("**/Late-*.js", lambda route: held.append(route))  # Playwright marks its handlers
    with page.expect_response("**/ScoreTable-*.js"):
        page.goto(url)
    page.wait_for_timeout(300)
    before = page.evaluate("window.started ?? []")
    assert before in ([], ["second"])
    held[0].continue_()
    page.wait_for_function("window.started?.length === 2")
    assert page.evaluate("window.started") == [*before, *(name for name in ("first", "second") if name not in before)]
    page.close()


def test_a_link_stands_where_a_script_cannot_be_had(url, browser):
    """And those behind it start all the same."""
    page = browser.new_page()
    page.route("**/Late-*.js", lambda route: route.abort())
    page.goto(url)
    page.wait_for_selector("#again [data-state=ready]")
    assert page.evaluate("window.started") == ["second"]
    assert page.get_by_role("link", name="Reload").count() == 1
    page.close()


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
