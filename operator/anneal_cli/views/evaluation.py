"""Scores of base and tuned side by side, with the difference in words that need no statistics."""

from rich import box
from rich.table import Table
from rich.text import Text

from anneal_api.finetunejob_status import EvaluationStatus, Scores


def table(evaluation: EvaluationStatus) -> Table:
    """The evaluation table."""
    result = Table(title=_title(evaluation), title_justify="left", title_style="bold", box=box.SIMPLE_HEAD,
                   pad_edge=False)
    result.add_column("metric")
    for column in ("base", "tuned", "change"):
        result.add_column(column, justify="right")
    if evaluation.perplexity:
        result.add_row("perplexity (lower is better)", *_perplexity(evaluation.perplexity))
    if evaluation.exact_match:
        result.add_row(f"correct answers of {evaluation.prompts}", *_exact_match(evaluation.exact_match))
    return result


def _title(evaluation: EvaluationStatus) -> str:
    return "Evaluation" + (f" on {evaluation.engine}" if evaluation.engine else "")


def _perplexity(scores: Scores) -> tuple[str, str, Text]:
    change = Text("")
    if scores.base and scores.tuned is not None:
        ratio = scores.tuned / scores.base - 1
        change = _coloured(f"{ratio:+.0%}", ratio < 0, ratio > 0)
    return _number(scores.base, ".2f"), _number(scores.tuned, ".2f"), change


def _exact_match(scores: Scores) -> tuple[str, str, Text]:
    change = Text("")
    if scores.base is not None and scores.tuned is not None:
        points = round((scores.tuned - scores.base) * 100)
        change = _coloured(f"{points:+} points", points > 0, points < 0)
    return _number(scores.base, ".0%"), _number(scores.tuned, ".0%"), change


def _coloured(text: str, better: bool, worse: bool) -> Text:
    return Text(text, "green" if better else "red" if worse else "")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
