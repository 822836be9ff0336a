"""A real Chromium for the tests of canvas components, and pages that may neither fail nor talk to anyone else."""

import os
import shutil
from pathlib import Path

import pytest

from tests.own_process import MARK, pytest_pyfunc_call, pytest_runtest_logreport

__all__ = ["pytest_pyfunc_call", "pytest_runtest_logreport"]  # hooks of this folder, too

# Tests run on the CPU, and so do the processes that they start: those in tests/gpu say themselves where they run.
os.environ["VIT_EXPLORER_DEVICE"] = "cpu"
if os.environ.get("VIT_EXPLORER_TESTS_FAKE_CUDA"):  # as on a machine with a GPU, where there is none
    from tests.fake_cuda import pretend

    pretend()

# Where tests run side by side, each process has its share of the cores, and a range of ports for its servers.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):  # not set where the processes are started from: they would inherit
    os.environ["GRADIO_SERVER_PORT"] = str(7860 + 100 * int(worker.removeprefix("gw")))
if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "0")):
    os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // workers, 1)))

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Each window would open two pages of Chromium's own, with 400 requests, for an address bar that nobody sees.
    "--disable-features=WebUIOmniboxPopup,WebUIOmniboxAimPopup",
]
# Before a page's own scripts, but not when it is loaded again: a visitor of whom the browser remembers nothing.
FORGET = "if (!sessionStorage.getItem('met')) { localStorage.clear(); sessionStorage.setItem('met', 'yes'); }"
PLAIN = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB"}
FAILED = pytest.StashKey[bool]()


def pytest_configure(config):
    config.addinivalue_line("markers", f"{MARK}: on the stand-in device, in a process of its own")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items):
    """Mark what needs a browser, for `-m browser` and `-m "not browser"`. On a busy machine one can be late for once:
    CI gives these tests a second try, and says so in full."""
    for item in items:
        if "browser" in item.fixturenames:
            item.add_marker(pytest.mark.browser)
            if os.environ.get("VIT_EXPLORER_REQUIRE_BROWSER"):
                item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"first try of {report.nodeid}")
        terminalreporter.write_line(report.longreprtext)


@pytest.fixture(scope="session")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    named = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    with api.sync_playwright() as playwright:
        paths = [Path(path) for path in [*named, playwright.chromium.executable_path] if path]
        found = next((path for path in paths if path.exists()), None)
        if found is None:
            missing = "no Chromium on this machine: install one, or run `playwright install chromium`"
            if os.environ.get("VIT_EXPLORER_REQUIRE_BROWSER"):  # as CI does
                pytest.fail(missing)
            pytest.skip(missing)
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


class Watched:
    """Opens pages and notes every uncaught error, and every request that leaves the server."""

    def __init__(self, browser):
        self.browser, self.faults, self.contexts, self.pages = browser, [], {}, []

    def __call__(self, url, **choices):
        """A page at `url`, of a new visitor. `choices` are a browser context's; pages with the same choices share its
        cache, so that the second opens quickly. `page.asked` lists the page's requests."""
        choices = PLAIN | choices
        key = repr(sorted(choices.items()))
        if key not in self.contexts:
            self.contexts[key] = self.browser.new_context(**choices)
        self.contexts[key].clear_cookies()
        page = self.contexts[key].new_page()
        page.add_init_script(FORGET)
        self.pages.append(page)
        page.asked, home = [], "/".join(url.split("/")[:3])

        def note(request):
            page.asked.append(request.url)
            if not request.url.startswith((home, "data:", "blob:")):
                self.faults.append(f"request left the server: {request.url}")

        page.on("request", note)
        page.on("pageerror", lambda error: self.faults.append(f"page error: {error}"))
        page.set_default_timeout(40_000)
        page.goto(url)
        return page


@pytest.fixture(scope="session")
def watched(browser):
    watched = Watched(browser)
    yield watched
    for context in watched.contexts.values():
        context.close()


@pytest.fixture
def open_page(watched):
    """open_page(url, **context choices) -> page. Fails the test on what `Watched` noted. Pages are closed afterwards,
    since each holds one of the six connections that a browser opens to a server."""
    shared = len(watched.pages)  # pages of wider fixtures stay open
    yield watched
    while len(watched.pages) > shared:
        watched.pages.pop().close()
    faults, watched.faults = watched.faults, []
    assert not faults, "\n".join(faults)


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """serve(demo) -> address, on loopback until the module's tests are done. What is built meanwhile keeps its files in
    a folder of their own."""
    from explorer.viewer.kit.served import ROUTES  # with Gradio, which a bare machine for training lacks

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        demos = []

        def launch(demo):
            demos.append(demo)
            choices = {"quiet": True, "ssr_mode": False, "server_name": "127.0.0.1", "app_kwargs": {"routes": ROUTES}}
            return demo.launch(prevent_thread_lock=True, **choices)[1]

        yield launch
        for demo in demos:
            demo.close()


@pytest.fixture(scope="module")
def kept():
    """The pages of `kept_page`, by address and choices."""
    kept = {}
    yield kept
    for page in kept.values():
        page.close()


@pytest.fixture
def kept_page(watched, open_page, kept, request):
    """kept_page(url, **context choices) -> page, as `open_page`, but one that a module's tests share: opening one takes
    seconds. So they set what they need themselves. A test that fails may leave anything: the next gets a new page."""

    def page_at(url, **choices):
        key = url, repr(sorted((PLAIN | choices).items()))
        if key not in kept:
            kept[key] = watched(url, **choices)
            watched.pages.remove(kept[key])  # the others `open_page` closes
        return kept[key]

    yield page_at
    if request.node.stash.get(FAILED, False):
        while kept:
            kept.popitem()[1].close()
