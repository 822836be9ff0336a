"""The whole page as a module's tests share it: whatever the one before has done, it is put back to how it opens."""

import contextlib
import time

from playwright.sync_api import TimeoutError

from explorer.session.scenes import ModelChoice, scene_of
from explorer.ui.examples import example_files

CLOSE_ALL = "document.querySelectorAll('[data-testid=toast-close]').forEach((button) => button.click())"


def at_home(page):
    """The Attention tab, with the first example, the bundled model at its own size, and nothing said."""
    page.wait_for_selector("#scene-bar [data-state=ready]", state="attached")  # of a model without a head it is empty
    page.locator("#tab-attention-button").click()
    page.wait_for_selector("#attention [data-state=ready]")
    page.mouse.move(1, 1)
    without_messages(page)
    example = example_files()[0]
    home = scene_of(ModelChoice(), str(example))
    if page.locator("#size input").input_value() != "native":
        seen_anew(page, lambda: resize(page, "native"))
    if not seq(page).startswith(home.model_key):
        seen_anew(page, lambda: load_own(page, "bundled"))
    if not page.locator(f"#picture img[src*='{example.name}']").count():
        page.locator("#examples button.gallery-item").first.click()
        page.locator(f"#picture img[src*='{example.name}']").wait_for()
    wait_for(page, home.key)
    page.evaluate("scrollTo(0, 0)")
    return page


def without_messages(page):
    page.evaluate(CLOSE_ALL)
    page.locator("[data-testid=toast-text]").first.wait_for(state="detached")


def seq(page):
    """Which model and picture the prediction is of."""
    return page.locator("#scene-bar .scene-bar").get_attribute("data-seq")


def wait_for_new(page, before):
    page.wait_for_function("b => document.querySelector('#scene-bar .scene-bar')?.dataset.seq !== b", arg=before)
    return seq(page)


def wait_for(page, wanted):
    page.wait_for_function("w => document.querySelector('#scene-bar .scene-bar')?.dataset.seq === w", arg=wanted)


def seen_anew(page, act):
    """Do something and wait for the prediction that comes of it."""
    before = seq(page)
    act()
    return wait_for_new(page, before)


def resize(page, size):
    page.locator("#size input").fill(size)
    page.locator("#size input").press("Enter")


def unfold(page, part, first):
    """Open an accordion that holds `first`. Gradio makes its boxes only now, and gives them their first values a task
    after they are in sight: what is typed between the two, as no person can, would be gone."""
    page.locator(f"{part} button").first.click()
    page.locator(first).first.wait_for()
    a_frame_later(page)


def a_frame_later(page):
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")


def own(page):
    """The part for a model of one's own, open and empty."""
    if not page.locator("#own-load").is_visible():
        unfold(page, "#own", "#own-load")
    page.locator("#own-path textarea, #own-path input").fill("")
    if page.locator("#own-files button[aria-label='Clear']").count():
        page.locator("#own-files button[aria-label='Clear']").click()
        page.locator("#own-files input[type=file]").wait_for(state="attached")
        a_frame_later(page)


def upload_own(page, *files):
    """Put files into the box for a model of one's own. On a busy machine one in some dozens of times Gradio's box takes
    no notice of the files that playwright sets; why is not known. Then once more."""
    own(page)
    for patience in (10_000, 10_000, 40_000):
        page.locator("#own-files input[type=file]").set_input_files(files)
        with contextlib.suppress(TimeoutError):
            return page.locator("#own-files button[aria-label='Clear']").wait_for(timeout=patience)
    raise AssertionError("the files were not taken")


def load_own(page, path):
    """Choose a model by its path."""
    own(page)
    page.locator("#own-path textarea, #own-path input").fill(str(path))
    page.locator("#own-load").click()


def slow_down(monkeypatch, owner, name, seconds):
    """Let a function of a module or class take that much longer, until the test ends."""
    function = getattr(owner, name)

    def slow(*arguments):
        time.sleep(seconds)
        return function(*arguments)

    monkeypatch.setattr(owner, name, slow)


def soon_after(page):
    """As soon as a person can do the next thing. Requests that a browser sends within milliseconds of one another, over
    different connections, can reach a busy server in any order."""
    page.wait_for_timeout(250)


def schemes(page):
    """Both colour schemes, one after the other, with the page in it."""
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function("d => document.body.classList.contains('dark') === d", arg=scheme == "dark")
        yield scheme
