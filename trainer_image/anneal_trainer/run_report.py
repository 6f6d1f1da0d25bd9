"""The run report: one HTML file beside the model that says what was done and what came of it.

It holds everything it shows: no script, no request, whatever the prompts and answers contain. The template escapes
every text (Jinja's autoescape), and a Content-Security-Policy in the page forbids what would slip through.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from anneal_api.artifact import Manifest
from anneal_api.curve import NARROW, curve_of, svg
from anneal_api.finetunejob_status import Scores
from anneal_api.run import Progress, StageResult, TrainSummary
from anneal_trainer.scoring import Answered

TEMPLATE = Path(__file__).with_name("run_report.html")
SHOWN_ANSWERS = 200
SHOWN_CHARACTERS = 4000
KINDS = {"worse": "Got worse", "better": "Got better", "wrong": "Still wrong", "right": "Right before and after"}
"""Kinds of answers in the order of interest."""


@dataclass(frozen=True)
class RunReport:
    """Everything the report tells."""

    manifest: Manifest
    trained: TrainSummary
    progress: list[Progress]
    answers: list[Answered]
    stages: list[StageResult]
    environment: Mapping[str, str]


def render(report: RunReport) -> bytes:
    """The page. Pure."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    page = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(_context(report))
    # A model may answer with half a character; that must not cost the run its artifact.
    return page.encode("utf-8", "replace")


def _context(report: RunReport) -> dict[str, Any]:
    manifest, kinds = report.manifest, Counter(map(_kind, report.answers))
    curve = curve_of(report.progress)
    return {
        "title": manifest.job.get("name", "run"),
        "job": f"{manifest.job.get('namespace', '')}/{manifest.job.get('name', '')}",
        "created": manifest.created[:16].replace("T", " ") + " UTC",
        "verdict": _verdict(report),
        "what": _what(manifest),
        "tiles": list(_tiles(report)),
        # The only texts that are not escaped here: svg() escapes what it is given itself.
        "curve": Markup(svg("Loss", curve)),
        "narrow_curve": Markup(svg("Loss", curve, NARROW)),
        "kinds": [{"id": kind, "name": name, "count": kinds[kind]} for kind, name in KINDS.items()],
        "asked": len(report.answers),
        "answers": [_answer(one) for one in sorted(report.answers, key=_interest)[:SHOWN_ANSWERS]],
        "rows": list(_rows(manifest)),
        "data": _data(manifest),
        **_time(report),
        "config": list(_flat(manifest.config)),
        "environment": list(_environment(report)),
        "run_hash": manifest.run_hash,
    }


def _verdict(report: RunReport) -> str:
    scores = report.manifest.evaluation
    match = scores.exact_match if scores else None
    if match and match.base is not None and match.tuned is not None and scores:
        before, after = (round(value * scores.prompts) for value in (match.base, match.tuned))
        return f"The tuned model answers {after} of {scores.prompts} prompts right; the base model answered {before}."
    loss = report.trained
    return f"The training loss went from {loss.first_loss:.3g} to {loss.last_loss:.3g} in {loss.steps:,} steps."


def _what(manifest: Manifest) -> str:
    kind = f"A LoRA adapter of rank {manifest.lora_rank} for" if manifest.kind == "adapter" else "A model tuned from"
    revision = f" at commit {manifest.base.revision[:12]}" if manifest.base.revision else ""
    return f"{kind} {manifest.base.uri}{revision}."


def _tiles(report: RunReport) -> Iterator[dict[str, Any]]:
    scores, trained = report.manifest.evaluation, report.trained
    if scores and scores.exact_match:
        yield _compared(f"Right answers of {scores.prompts:,}", scores.exact_match, percent=True)
    if scores and scores.perplexity:
        yield _compared("Held-out perplexity", scores.perplexity, percent=False)
    yield {"label": "Training loss", "value": f"{trained.last_loss:.3g}", "change": "", "bars": [],
           "note": f"from {trained.first_loss:.3g}, in {trained.steps:,} steps"}  # fmt: skip
    yield {"label": "Time in training", "value": duration(trained.seconds), "change": "", "bars": [],
           "note": f"{trained.tokens_per_second:,.0f} tokens per second"}  # fmt: skip


def _compared(label: str, scores: Scores, *, percent: bool) -> dict[str, Any]:
    """A tile with both values. A share is drawn on a scale to 100 %, perplexity on one to the larger value."""
    form = ".0%" if percent else ".3g"
    values = {"base": scores.base, "tuned": scores.tuned}
    most = 1.0 if percent else max((value for value in values.values() if value), default=1.0)
    bars = [
        {"name": name, "percent": round(100 * (value or 0) / most, 1), "text": _number(value, form)}
        for name, value in values.items()
    ]
    change, tone = _change(scores, percent=percent)
    return {"label": label, "value": _number(scores.tuned, form), "bars": bars, "change": change, "tone": tone}


def _change(scores: Scores, *, percent: bool) -> tuple[str, str]:
    """The difference in words, and whether it is good: more right answers are, more perplexity is not."""
    if scores.base is None or scores.tuned is None or not (percent or scores.base):
        return "", ""
    gain = round((scores.tuned - scores.base) * 100) if percent else round((scores.tuned / scores.base - 1) * 100)
    better = gain > 0 if percent else gain < 0
    return f"{gain:+} points" if percent else f"{gain:+}%", "plain" if gain == 0 else "good" if better else "bad"


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _kind(answer: Answered) -> str:
    if answer.base_passed == answer.passed:
        return "right" if answer.passed else "wrong"
    return "better" if answer.passed else "worse"


def _interest(answer: Answered) -> int:
    return list(KINDS).index(_kind(answer))


def _answer(answer: Answered) -> dict[str, Any]:
    sides = (("base", answer.base, answer.base_passed), ("tuned", answer.tuned, answer.passed))
    return {
        "kind": _kind(answer),
        "prompt": _short(answer.prompt),
        "sides": [{"name": name, "text": _short(text), "right": right} for name, text, right in sides],
    }


def _short(text: str) -> str:
    left = len(text) - SHOWN_CHARACTERS
    return text if left <= 0 else f"{text[:SHOWN_CHARACTERS]} … ({left:,} more characters in answers.jsonl)"


def _rows(manifest: Manifest) -> Iterator[dict[str, Any]]:
    """How many rows went where."""
    data = manifest.dataset
    for name, count in (("training", data.train), ("validation", data.validation), ("test", data.test),
                        ("dropped", data.dropped)):  # fmt: skip
        yield {"name": name, "count": count, "text": f"{count:,}"}


def _data(manifest: Manifest) -> list[tuple[str, str]]:
    data = manifest.dataset
    share = f" ({data.trained_tokens / data.tokens:.0%})" if data.tokens else ""
    return [
        ("Rows read", f"{data.rows:,}"),
        ("Training tokens", f"{data.tokens:,}"),
        ("Tokens that carry loss", f"{data.trained_tokens:,}{share}: the assistant's answers"),
        ("Digest of the rows", data.digest),
        ("Base model", f"{manifest.base.uri}{f' at {manifest.base.revision}' if manifest.base.revision else ''}"),
        ("Digest of the base", manifest.base.digest),
    ]


def _time(report: RunReport) -> dict[str, Any]:
    """The stages on a common scale; empty when the workspace does not tell their times."""
    told = [(one.stage, _moment(one.started), _moment(one.finished)) for one in report.stages]
    spans = [(name, start, end) for name, start, end in told if start and end]
    if not spans:
        return {"lanes": [], "time_note": ""}
    begin, end = spans[0][1], spans[-1][2]
    total = max((end - begin).total_seconds(), 1.0)
    lanes = [
        {
            "name": name.value,
            "left": round(100 * (start - begin).total_seconds() / total, 2),
            "width": round(100 * (stop - start).total_seconds() / total, 2),
            "took": duration((stop - start).total_seconds()),
        }
        for name, start, stop in spans
    ]
    working = sum((stop - start).total_seconds() for _, start, stop in spans)
    return {"lanes": lanes, "time_note": _time_note(report, begin, total, working)}


def _time_note(report: RunReport, begin: datetime, total: float, working: float) -> str:
    first = next((moment for one in report.progress if one.step >= 1 and (moment := _moment(one.time))), None)
    parts = [f"{duration(total)} in all", f"{duration(total - working)} between the stages (queues, images, pods)"]
    if report.trained.resumed_from_step:
        parts.append(f"training shows its last attempt, which went on from step {report.trained.resumed_from_step:,}")
    elif first is not None:
        parts.append(f"the first step was done after {duration((first - begin).total_seconds())}")
    return "; ".join(parts) + "."


def _environment(report: RunReport) -> Iterator[tuple[str, str]]:
    yield from report.environment.items()
    if report.manifest.evaluation and report.manifest.evaluation.engine:
        yield "evaluated with", report.manifest.evaluation.engine


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Dotted paths with their values; what is empty is left out."""
    if isinstance(value, Mapping):
        for name, child in value.items():
            yield from _flat(child, f"{path}.{name}".lstrip("."))
    elif value not in ("", None, []):
        yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _moment(text: str) -> datetime | None:
    """An RFC 3339 time; None when there is none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def duration(seconds: float) -> str:
    """Two units at most: 9 s, 1 min 5 s, 2 h 3 min."""
    total = max(0, round(seconds))
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60} s"
    return f"{total // 3600} h {total // 60 % 60} min"
