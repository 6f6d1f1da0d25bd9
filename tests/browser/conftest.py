"""A real Chromium. What it would load and what it complains about is written down."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from anneal_localcluster import apt

CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, installed where it is missing: playwright's own is not in any package registry."""
    if shutil.which(CHROMIUM) is None:
        apt.install(["chromium", "fonts-dejavu-core"])
    with sync_playwright() as playwright:
        # Root, as in a container, has no sandbox; the pages are our own files.
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@dataclass
class Look:
    """A page as one viewer sees it."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def noted(self, request: Request) -> None:
        self.requests.append(request.url)


def look(browser: Browser, path: Path, *, width: int, height: int, scheme: str) -> Look:
    """Open a file. `requests` then holds what it asked for besides itself."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light")
    seen = Look(context.new_page())
    seen.page.on("request", seen.noted)
    seen.page.on("console", lambda message: seen.complaints.append(message.text))
    seen.page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    seen.page.on("dialog", lambda dialog: seen.complaints.append(dialog.message))
    seen.page.goto(path.as_uri(), wait_until="load")
    seen.requests.remove(path.as_uri())
    return seen
