"""The run report in Chromium, as on a desk and on a phone, by day and by night."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from anneal_trainer.run_report import render
from tests.browser.conftest import Look, look
from tests.unit.trainer.reports import good_report, hostile_report

pytestmark = pytest.mark.browser

DESK, PHONE = (1280, 900), (360, 740)
CONTRAST = Path(__file__).with_name("contrast.js").read_text()
SHOTS = Path(__file__).parents[2] / "build" / "browser"


@pytest.fixture(params=[(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")],
                ids=["desk-light", "desk-dark", "phone-light", "phone-dark"])
def seen(request: pytest.FixtureRequest, browser: Browser, tmp_path: Path) -> Iterator[Look]:
    """The report of a good run; what it looked like stays in build/browser."""
    (width, height), scheme = request.param
    path = tmp_path / "report.html"
    path.write_bytes(render(good_report()))
    found = look(browser, path, width=width, height=height, scheme=scheme)
    SHOTS.mkdir(parents=True, exist_ok=True)
    found.page.screenshot(path=SHOTS / f"report-{request.node.callspec.id}.png", full_page=True)
    yield found
    found.page.context.close()


def overflow(seen: Look) -> int:
    """Pixels by which the page is wider than its window."""
    return int(seen.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_it_is_quiet_asks_for_nothing_and_fits(seen: Look) -> None:
    assert seen.complaints == []
    assert seen.requests == []
    assert overflow(seen) <= 0


def test_every_text_can_be_read(seen: Look) -> None:
    assert seen.page.evaluate(CONTRAST) == []
    for text in seen.page.locator("svg.curve text:visible").all():
        box = text.bounding_box()
        assert box is not None
        assert box["height"] >= 8  # pixels on the screen, however far the drawing was scaled down


def test_labels_of_the_curve_do_not_overlap(seen: Look) -> None:
    boxes = [box for text in seen.page.locator("svg.curve text:visible").all() if (box := text.bounding_box())]
    for index, one in enumerate(boxes):
        for other in boxes[index + 1:]:
            apart = (one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
                     or one["y"] + one["height"] <= other["y"] + 2 or other["y"] + other["height"] <= one["y"] + 2)
            assert apart, (one, other)


def test_labels_of_a_long_run_do_not_overlap_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    report, path = good_report(), tmp_path / "report.html"
    late = [one.model_copy(update={"step": 100_000 + one.step * 900}) for one in report.progress]
    path.write_bytes(render(replace(report, progress=late)))
    test_labels_of_the_curve_do_not_overlap(look(browser, path, width=PHONE[0], height=PHONE[1], scheme="light"))


def test_the_filter_shows_only_what_it_says_and_works_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(render(good_report()))
    seen = look(browser, path, width=1280, height=900, scheme="light")
    shown = seen.page.locator("article:visible")
    assert shown.count() == 5
    seen.page.get_by_label("Got better 2").check(force=True)
    assert shown.count() == 2
    assert {each.get_attribute("class") for each in shown.all()} == {"better"}
    seen.page.get_by_label("Got better 2").press("ArrowLeft")
    assert {each.get_attribute("class") for each in shown.all()} == {"worse"}


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_hostile_texts_do_nothing(browser: Browser, tmp_path: Path, size: tuple[int, int]) -> None:
    report, path = hostile_report(), tmp_path / "report.html"
    path.write_bytes(render(report))
    seen = look(browser, path, width=size[0], height=size[1], scheme="light")
    assert seen.requests == []
    assert seen.complaints == []
    assert seen.page.title() != "owned"
    assert seen.page.locator("script, iframe, img, link, base").count() == 0
    assert overflow(seen) <= 0
    said = [text for each in seen.page.locator(".side.base .said").all() if (text := each.text_content())]
    assert said[:len(report.answers) - 2] == [one.base for one in report.answers[:-2]]


def test_what_escaping_would_miss_the_policy_stops(browser: Browser, tmp_path: Path) -> None:
    """The page's second lock: the same page with its escaping undone still loads and runs nothing."""
    text = render(replace(hostile_report(), answers=[])).decode()
    path = tmp_path / "report.html"
    path.write_text(text.replace("</main>", '<script>document.title="owned"</script><img src="http://127.0.0.1:9/x">'
                                            "</main>"))
    seen = look(browser, path, width=1280, height=900, scheme="light")
    assert seen.page.title() != "owned"
    assert any("Content Security Policy" in each for each in seen.complaints)
