"""README.md of an artifact: what it is, what it was made from, how good it is, how to load it. Pure."""

from anneal_api.artifact import Manifest
from anneal_api.finetunejob_status import Scores
from anneal_api.run import TrainSummary


def model_card(manifest: Manifest, trained: TrainSummary) -> str:
    """The card as Markdown."""
    parts = (
        f"# {manifest.job['name']}",
        _what(manifest),
        _table("Training", _training(manifest, trained)),
        _table("Evaluation", _evaluation(manifest)),
        _CURVE,
        f"## How to load it\n\n```python\n{_LOAD_MODEL if manifest.kind == 'model' else _LOAD_ADAPTER}\n```",
        _NOTE,
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _what(manifest: Manifest) -> str:
    kind = (
        f"A LoRA adapter (rank {manifest.lora_rank}) for"
        if manifest.kind == "adapter"
        else "A complete model, fine-tuned from"
    )
    revision = f" at commit `{manifest.base.revision}`" if manifest.base.revision else ""
    base = f"`{manifest.base.uri}`{revision} (digest `{manifest.base.digest}`)"
    return f"{kind} {base}, made by Anneal in run `{manifest.run_hash}`."


def _training(manifest: Manifest, trained: TrainSummary) -> list[tuple[str, str]]:
    data = manifest.dataset
    return [
        (
            "rows (train / validation / test / dropped)",
            f"{data.train} / {data.validation} / {data.test} / {data.dropped}",
        ),
        ("tokens, of which trained", f"{data.tokens}, {data.trained_tokens}"),
        ("dataset digest", f"`{data.digest}`"),
        ("steps", str(trained.steps)),
        ("loss, first and last", f"{trained.first_loss:.4g}, {trained.last_loss:.4g}"),
    ]


def _evaluation(manifest: Manifest) -> list[tuple[str, str]]:
    scores = manifest.evaluation
    if scores is None:
        return []
    found = [
        ("perplexity, base and tuned", scores.perplexity),
        (f"right answers of {scores.prompts}, base and tuned", scores.exact_match),
    ]
    return [(name, _pair(value)) for name, value in found if value] + [("engine", scores.engine)]


def _pair(scores: Scores) -> str:
    return ", ".join("-" if value is None else f"{value:.4g}" for value in (scores.base, scores.tuned))


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    if not rows:
        return ""
    return "\n".join([f"## {title}", "", "| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


_CURVE = """\
![Loss of training and validation by step](loss.svg)

`report.html` shows the run as a whole: scores, answers before and after, data, time and configuration."""

_LOAD_MODEL = """\
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("this folder")"""

_LOAD_ADAPTER = """\
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained("the base model")
model = PeftModel.from_pretrained(base, "this folder")"""

_NOTE = """\
`manifest.json` lists the sha256 of every file. The chat template in `chat_template.jinja` is the one it was trained
with."""
