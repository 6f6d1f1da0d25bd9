"""The ways to ask: what stands in front of a question, and that retrieval finds."""

import pytest

from anneal_trainer.prompts import load_prompts
from benchmarks.methods.__main__ import DATA, FACTS, SHOTS, Answer, pairs, summary, ways
from benchmarks.methods.bm25 import Index, words

TEXTS = ["the red boots are warm", "a blue tent for two", "boots, boots and more boots", "red tent pegs"]


def test_the_text_with_the_rarer_words_comes_first() -> None:
    assert Index(TEXTS).best("Which red boots?", 2) == [0, 2]
    assert Index(TEXTS).best("tent pegs", 1) == [3]


def test_a_question_without_known_words_takes_the_first() -> None:
    assert Index(TEXTS).best("quux", 2) == [0, 1]


def test_retrieval_finds_the_answer_to_most_prompts() -> None:
    # Not a score to be proud of: it shows that retrieval had its chance in the comparison.
    rows, prompts = pairs(DATA / "train.jsonl"), load_prompts(DATA / "prompts.jsonl")
    way = next(way for way in ways(rows) if way.name == "retrieval")
    given = [way.before(prompt.messages[-1].content) for prompt in prompts]
    right = sum(any(prompt.check.passes(turn["content"]) for turn in turns if turn["role"] == "assistant")
                for prompt, turns in zip(prompts, given, strict=True))
    assert right / len(prompts) > 0.7


def test_the_facts_in_the_prompt_answer_nearly_all_prompts() -> None:
    assert len(words(FACTS)) < 500
    passed = [prompt.check.passes(FACTS) for prompt in load_prompts(DATA / "prompts.jsonl")]
    assert sum(passed) / len(passed) > 0.9


def test_every_way_ends_in_a_conversation_that_alternates() -> None:
    for way in ways(pairs(DATA / "train.jsonl")):
        roles = [turn["role"] for turn in way.before("May I return boots?")]
        talk = [role for role in roles if role != "system"]
        assert talk == ["user", "assistant"] * (len(talk) // 2)
        assert len(talk) in (0, 2 * SHOTS)


def test_the_summary_counts_right_answers() -> None:
    way = ways(pairs(DATA / "train.jsonl"))[0]
    found = summary(way, [Answer("a", "yes", True, 10, 1.0), Answer("b", "no", False, 20, 3.0)])
    assert (found["right"], found["prompts"], found["prompt_tokens"]) == (1, 2, 15)
    assert found["seconds"] == {"median": pytest.approx(2.0), "lowest": 1.0, "highest": 3.0}
