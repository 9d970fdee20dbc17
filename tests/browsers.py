"""A real Chromium and a real server, for `test_page_*.py`: what the page does is seen by who uses it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HERE = Path(__file__).resolve().parent
SHOTS = HERE.parent / ".screenshots"
"""Where `look` leaves pictures; git ignores it."""
STARTS = 30.0
"""Seconds in which a server or Chromium has to be there."""
TOKENS = {"ann": "token-of-ann-0123456789", "bob": "token-of-bob-0123456789"}


def chromium() -> str:
    """The path of Debian's Chromium, or of the one that `TERZETTO_CHROMIUM` names; never a skip."""
    path = os.environ.get("TERZETTO_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.fail(
            "the page is tested in Chromium: `apt-get install chromium`, or say where it is by TERZETTO_CHROMIUM"
        )
    return path


@contextmanager
def open_browser() -> Iterator["Browser"]:
    """Chromium, without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        sandbox = [] if os.getuid() else ["--no-sandbox"]
        browser = playwright.chromium.launch(executable_path=chromium(), args=sandbox, timeout=STARTS * 1000)
        try:
            yield browser
        finally:
            browser.close()


class Server:
    """`page_child.py` in a process of its own, at one port for all its lives."""

    def __init__(self, folder: Path, *, tokens: bool = False, runs: int = 0) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self._store = f"sqlite:{folder / 'runs.db'}"
        self._tokens = [f"{secret}={who}" for who, secret in TOKENS.items()] if tokens else []
        self._runs = runs
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        words = [
            sys.executable,
            str(HERE / "page_child.py"),
            self._store,
            str(self.port),
            str(self._runs),
            *self._tokens,
        ]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline().strip() == self.url

    def kill(self) -> None:
        """As `kill -9` does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.communicate()
            self._process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serving(folder: Path, **options: int) -> Iterator[Server]:
    """A server that is there, and is not any more afterwards."""
    server = Server(folder, **options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class Tab:
    """One page in a browser of its own, which tells what it has complained of."""

    def __init__(self, browser: "Browser", server: Server, *, wide: int = 1280, scheme: str = "light") -> None:
        self.url = server.url
        self.context = browser.new_context(
            viewport={"width": wide, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
        )
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.wrong: list[str] = []
        self.page.on("console", lambda said: said.type in ("error", "warning") and self.wrong.append(said.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda asked: asked.url.startswith(server.url) or self.wrong.append(asked.url))

    def go(self, address: str = "runs") -> "Page":
        self.page.goto(f"{self.url}#/{address}")
        return self.page

    def submit(self, run_id: str, graph: str = "article", **fields: object) -> None:
        """By the form, as a person does."""
        page = self.go()
        page.get_by_role("button", name="New run").click()
        page.locator("dialog").get_by_label("Graph", exact=True).select_option(graph)
        page.get_by_label("Run", exact=True).fill(run_id)
        for name, value in fields.items():
            page.locator("dialog").get_by_label(name, exact=True).fill(str(value))
        page.get_by_role("button", name="Submit").click()
        page.get_by_text(f"{run_id} is submitted").wait_for()

    def wait_status(self, words: str, seconds: float = 10) -> None:
        """Until the run that is shown has this status."""
        status = self.page.get_by_role("status", name="Status of the run")
        status.get_by_text(words, exact=True).wait_for(timeout=seconds * 1000)

    def look(self, name: str) -> None:
        """Leave a picture for people."""
        SHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SHOTS / f"{name}.png")

    def close(self) -> None:
        self.context.close()


def fails_to_connect(text: str) -> bool:
    """What Chromium itself says of a server that is away, which nobody can keep it from."""
    return "ERR_CONNECTION" in text or "WebSocket connection" in text
