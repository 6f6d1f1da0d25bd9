"""The demo's summary: measured values from the two resources, and the same as text."""

import textwrap
from datetime import datetime
from typing import Any

Summary = dict[str, Any]
WIDTH = 100

NEXT = """\
Next:
  . build/env.sh                                         kubectl, helm and anneal for this cluster
  anneal chat support -n anneal-demo --compare base      talk to both models
  anneal status support -n anneal-demo                   the run, stage by stage
  build/demo/report.html                                 all answers, the loss, the data: open it in a browser
  kubectl get ftj,mdep -n anneal-demo                    the two resources
  kubectl edit ftj support -n anneal-demo                change spec.training and spec.runId: it trains again,
                                                         once `kubectl edit mdep support` has set replicas: 0
  make cluster-down                                      remove the cluster; caches stay"""


def summarize(job: Summary, deployment: Summary, answers: list[Summary], *, kubernetes: str) -> Summary:
    """What the issue of `make demo` promises; every value is read from a status or measured."""
    status = job["status"]
    timeline = {entry["event"]: _time(entry["time"]) for entry in status["timeline"]}
    created = _time(job["metadata"]["creationTimestamp"])
    stages = {stage["name"]: stage for stage in status["stages"]}
    serving = {entry["event"]: _time(entry["time"]) for entry in deployment["status"]["timeline"]}
    scores, train = status["evaluation"], stages["train"]
    return {
        "kubernetes": kubernetes,
        "model": job["spec"]["model"]["uri"],
        "seconds_total": None,
        "finetunejob": {
            "seconds": {
                "apply_to_first_step": (timeline["firstStep"] - created).total_seconds(),
                "train": (_time(train["finishTime"]) - _time(train["startTime"])).total_seconds(),
                "total": (_time(stages["publish"]["finishTime"]) - created).total_seconds(),
            },
            "loss": {"first": status["progress"]["firstLoss"], "last": status["progress"]["loss"]},
            "perplexity": scores["perplexity"],
            "exact_match": scores["exactMatch"],
            "artifact": {"uri": status["artifact"]["uri"], "digest": status["artifact"]["digest"]},
        },
        "modeldeployment": {
            "engine": deployment["spec"]["engine"]["type"],
            "seconds_to_ready": (serving["ready"] - _time(deployment["metadata"]["creationTimestamp"])).total_seconds(),
            "answers": answers,
        },
    }


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def render(summary: Summary) -> str:
    """The end of the demo, for people."""
    job, serving = summary["finetunejob"], summary["modeldeployment"]
    lines = ["", "Base and tuned, side by side (held-out prompts)", ""]
    for answer in serving["answers"]:
        lines += (
            _answer("prompt", answer["prompt"]),
            _answer("base", answer["base"]),
            _answer("tuned", answer["tuned"]),
            "",
        )
    lines += [
        f"{'held out':<24}{'base':>10}{'tuned':>10}",
        _scores("perplexity", job["perplexity"], "lower is better"),
        _scores("exact match", job["exact_match"], "higher is better"),
        "",
        f"training loss {job['loss']['first']:.2f} -> {job['loss']['last']:.2f}",
        f"apply to first step {job['seconds']['apply_to_first_step']:.0f} s, train {job['seconds']['train']:.0f} s, "
        f"apply to published {job['seconds']['total']:.0f} s, apply to served {serving['seconds_to_ready']:.0f} s, "
        f"all {summary['seconds_total']:.0f} s",
        f"artifact {job['artifact']['uri']} {job['artifact']['digest'][:19]}",
        "",
        NEXT,
    ]
    return "\n".join(lines)


def _answer(who: str, text: str) -> str:
    return textwrap.fill(" ".join(text.split()), WIDTH, initial_indent=f"  {who:<7} ", subsequent_indent=" " * 10)


def _scores(name: str, scores: Summary, note: str) -> str:
    return f"{name:<24}{scores['base']:>10.2f}{scores['tuned']:>10.2f}   {note}"
