"""A real Chromium, and the built book served over HTTP and opened from disk."""

import functools
import os
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tools import notebooks

HTML = notebooks.ROOT / "_build" / "html"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # networking off, but for us
]


def chromium_path() -> str | None:
    """Return the browser named in CHROMIUM, or the first known name on the PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def pytest_sessionstart(session):
    """End with one sentence where the tests have nothing to open or to open it with."""
    if not (HTML / "index.html").exists():
        pytest.exit("There is no built book to check: run `make book` first.", returncode=2)
    if not chromium_path():
        pytest.exit(
            "No Chromium was found: on Debian or Ubuntu `apt-get install chromium` installs one; "
            "elsewhere name yours in the environment variable CHROMIUM.",
            returncode=2,
        )


@pytest.fixture(scope="session")
def browser():
    """The system's Chromium, driven by Playwright, with all other hosts out of reach."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        yield running
        running.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


def _serve(folder: Path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="session")
def bases():
    """Where the book is found: its address from disk and over HTTP."""
    server = _serve(HTML)
    yield {"file": HTML.as_uri(), "http": f"http://127.0.0.1:{server.server_port}"}
    server.shutdown()
    server.server_close()
