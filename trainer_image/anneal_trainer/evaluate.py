"""Scoring base and tuned on the engine that will serve: perplexity on the test split, answers to checkable prompts."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor

from anneal_api.finetunejob_status import EvaluationStatus, Scores
from anneal_api.run import BASE_MODEL, ENGINE_URL, TUNED_MODEL, EvaluateSummary, RunSpec, Stage
from anneal_trainer import token_rows
from anneal_trainer.engine import Engine, find_engines
from anneal_trainer.files import write_atomic, write_lines
from anneal_trainer.isolation import check_isolation
from anneal_trainer.places import Places
from anneal_trainer.prompts import Prompt, load_prompts
from anneal_trainer.results import prepared
from anneal_trainer.scoring import Answered, likelihood, perplexity, share
from anneal_trainer.token_rows import TokenRow

log = logging.getLogger(__name__)

ANSWERS_FILE = "answers.jsonl"
EVALUATION_FILE = "evaluation.json"
_IN_FLIGHT = 16
"""An engine answers many at once in little more time than one: vLLM on two CPU cores gave 39, 66 and 106 tokens/s with
4, 8 and 16 questions in flight."""


def evaluate(run: RunSpec, places: Places, engine_url: str = ENGINE_URL) -> EvaluateSummary:
    """Ask both models everything; the answers are on the workspace when this returns."""
    prepared(run, places)
    log.info("waiting for the engine at %s", engine_url)
    engines = find_engines(engine_url, (BASE_MODEL, TUNED_MODEL))
    base, tuned = engines[BASE_MODEL], engines[TUNED_MODEL]
    rows = token_rows.load(places, "test")
    prompts = load_prompts(places.source(run.evaluation.prompts.uri)) if run.evaluation.prompts else []
    log.info("scoring %d rows and %d prompts with %s", len(rows), len(prompts), base.version())
    pool = ThreadPoolExecutor(_IN_FLIGHT)
    try:
        if base.url == tuned.url:
            check_isolation(pool, base, tuned, (rows or token_rows.load(places, "train"))[0])
        perplexities = [_perplexity(pool, engine, rows) for engine in (base, tuned)]
        answered = list(pool.map(lambda prompt: _ask(prompt, base, tuned, run.evaluation.max_new_tokens), prompts))
    finally:
        # When told to stop, only the questions already asked are waited for.
        pool.shutdown(cancel_futures=True)
    status = EvaluationStatus(
        perplexity=Scores(base=perplexities[0], tuned=perplexities[1]) if rows else None,
        exact_match=Scores(
            base=share([one.base_passed for one in answered]), tuned=share([one.passed for one in answered])
        )
        if answered
        else None,
        prompts=len(answered),
        engine=base.version(),
    )
    _store(status, answered, places)
    log.info("perplexity %s, exact match %s", status.perplexity, status.exact_match)
    return EvaluateSummary(evaluation=status)


def _perplexity(pool: ThreadPoolExecutor, engine: Engine, rows: list[TokenRow]) -> float | None:
    return perplexity(pool.map(lambda row: likelihood(engine.token_log_probabilities(row.ids), row.mask), rows))


def _ask(prompt: Prompt, base: Engine, tuned: Engine, max_tokens: int) -> Answered:
    answers = [engine.answer(prompt.messages, max_tokens) for engine in (base, tuned)]
    return Answered(
        id=prompt.id,
        prompt=prompt.messages[-1].content,
        base=answers[0],
        tuned=answers[1],
        base_passed=prompt.check.passes(answers[0]),
        passed=prompt.check.passes(answers[1]),
    )


def _store(status: EvaluationStatus, answered: list[Answered], places: Places) -> None:
    folder = places.stage(Stage.EVALUATE)
    write_lines(folder / ANSWERS_FILE, (one.to_wire() for one in answered))
    write_atomic(folder / EVALUATION_FILE, (json.dumps(status.to_wire(), indent=2) + "\n").encode())
