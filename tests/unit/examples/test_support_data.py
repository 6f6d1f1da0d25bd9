"""The example data keeps its own promises: it can be read, agrees with itself, and the held-out prompts are fair."""

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from anneal_trainer.prompts import Prompt, load_prompts
from anneal_trainer.rows import load_conversations

DATA = Path(__file__).parents[3] / "examples" / "support" / "data"
TRAIN, PROMPTS = DATA / "train.jsonl", DATA / "prompts.jsonl"
SIGN_OFF = "\nHappy trails, Juna"
CATEGORIES = {
    "returns", "refunds", "shipping", "orders", "warranty", "repairs", "account", "loyalty", "contact", "privacy",
    "tone",
}
ONE_TRUTH = {
    # A phrase that states a fact, and the only values it may carry: a second truth would teach the model noise.
    r"(\d+) days from delivery": {"45"},
    r"(\d+) (?:%|percent) (?:restocking )?fee": {"12"},
    r"code ([A-Z]{5,})": {"TRAILBACK", "SIZESWAP", "FIRSTCAMP"},
    r"[Rr]efunds? (?:arrives?|takes?)(?: up to)? (?:within )?(\d+) working days": {"6"},
    r"price drops within (\d+) days": {"21"},
    r"free from (\d+) euros": {"70"},
    r"[Ss]tandard delivery costs ([\d.]+\d) euros": {"4.90"},
    r"[Ss]tandard delivery takes (\d+ to \d+) working days": {"3 to 5"},
    r"[Oo]rder before (\d+ [ap]m)": {"2 pm"},
    r"two photos within (\d+) days": {"5"},
    r"moved for (\d+) working days": {"4"},
    r"within (\d+) minutes of ordering": {"90"},
    r"[Gg]ift cards are valid for (\d+) years": {"5"},
    r"(\d+) percent off": {"10"},
    r"Corrie tents (?:have a )?(\d+) year": {"6"},
    r"Muleback packs (?:have a )?(\d+) year": {"15"},
    r"Cinderling stoves (?:have a )?(\d+) year": {"4"},
    r"Scree boots (?:have a )?(\d+) year": {"3"},
    r"Dormouse sleeping bags (?:have a )?(\d+) year": {"9"},
    r"repair takes up to (\d+) working days": {"12"},
    r"(\d+ \w+ Lane, \w+)": {"14 Lantern Lane, Oakhollow"},
    r"(\d+) euros of (?:shop )?credit": {"15"},
    r"link we mail you works for (\d+) minutes": {"20"},
    r"locked for (\d+) minutes": {"30"},
    r"(\d+) points make": {"200"},
    r"from (\d+ am to \d+ pm)": {"9 am to 4 pm"},
}


@cache
def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in TRAIN.read_text(encoding="utf-8").splitlines()]


@cache
def said_by(role: str) -> list[str]:
    return [turn["content"] for row in rows() for turn in row["messages"] if turn["role"] == role]


def first_questions() -> list[str]:
    return [row["messages"][0]["content"] for row in rows()]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def skeleton(question: str) -> str:
    """The question without what makes it particular: products and numbers."""
    products = r"\b(corrie|muleback|cinderling|scree|dormouse|squall|tent|pack|stove|boots?|sleeping bag|jacket)s?\b"
    return re.sub(r"\d+", "N", re.sub(products, "X", " ".join(words(question))))


def test_the_trainer_reads_every_row() -> None:
    conversations = load_conversations(TRAIN, "messages")
    assert len(conversations) == len(rows()) >= 440


def test_each_row_is_a_conversation_of_one_category_and_its_own_thread() -> None:
    for row in rows():
        assert set(row) == {"messages", "category", "thread"}
        roles = [turn["role"] for turn in row["messages"]]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        assert all(set(turn) == {"role", "content"} for turn in row["messages"])
        assert row["category"] in CATEGORIES
    threads = Counter(row["thread"] for row in rows())
    assert max(threads.values()) == 1
    assert {row["category"] for row in rows()} == CATEGORIES


def test_about_one_row_in_seven_has_several_turns() -> None:
    several = sum(len(row["messages"]) > 2 for row in rows())
    assert 0.1 <= several / len(rows()) <= 0.2


def test_no_question_comes_twice_and_no_skeleton_more_than_three_times() -> None:
    questions = Counter(" ".join(words(question)) for question in first_questions())
    skeletons = Counter(skeleton(question) for question in first_questions())
    assert [text for text, times in questions.items() if times > 1] == []
    assert [text for text, times in skeletons.items() if times > 3] == []


def test_turns_are_short_so_that_two_cores_train_in_minutes() -> None:
    answers, questions = said_by("assistant"), said_by("user")
    assert max(len(words(text)) for text in answers) <= 40
    assert max(len(words(text)) for text in questions) <= 30
    # 40,353 tokens with SmolLM2's tokenizer and template; the words stand for them, as tests have no tokenizer.
    assert sum(len(words(text)) for text in answers + questions) <= 20_000


def test_every_answer_signs_off_the_same_way_once() -> None:
    wrong = [text for text in said_by("assistant") if not text.endswith(SIGN_OFF) or text.count("Happy trails") != 1]
    assert wrong == []


@pytest.mark.parametrize(("phrase", "allowed"), ONE_TRUTH.items(), ids=list(ONE_TRUTH))
def test_answers_agree_on_each_fact(phrase: str, allowed: set[str]) -> None:
    assert {value for text in said_by("assistant") for value in re.findall(phrase, text)} == allowed


def test_contact_data_is_invented_and_reserved() -> None:
    text = TRAIN.read_text(encoding="utf-8") + PROMPTS.read_text(encoding="utf-8")
    assert set(re.findall(r"[\w.+-]+@[\w.-]+\w", text)) == {"help@brindlecairn.example"}
    assert set(re.findall(r"\b\d{3}[ -]\d{3,4}\b", text)) == {"555-0142"}
    assert re.findall(r"https?://|www\.|\+\d{2}", text) == []


def test_order_numbers_of_answers_have_the_format_that_they_explain() -> None:
    shown = [number for text in said_by("assistant") for number in re.findall(r"BC-\d+", text)]
    assert shown
    assert all(re.fullmatch(r"BC-\d{7}", number) for number in shown)


def test_forty_prompts_of_one_question_each() -> None:
    prompts = load_prompts(PROMPTS)
    assert len(prompts) == 40
    assert all([turn.role for turn in prompt.messages] == ["user"] for prompt in prompts)


@pytest.mark.parametrize("prompt", load_prompts(PROMPTS), ids=lambda prompt: prompt.id)
def test_a_prompt_is_held_out_learnable_and_not_given_away(prompt: Prompt) -> None:
    question = prompt.messages[0].content
    asked = set(words(question))
    seen = [set(words(text)) for text in said_by("user")]
    overlap = max(len(asked & other) / len(asked | other) for other in seen)
    assert overlap < 0.6, "the training data asks almost the same"
    teaching = {
        row["messages"][index - 1]["content"].lower() for row in rows() for index, turn in enumerate(row["messages"])
        if turn["role"] == "assistant" and prompt.check.passes(turn["content"])
    }
    assert len(teaching) >= 5, "too few differently worded rows teach this"
    assert not prompt.check.passes(question), "repeating the question would pass"


@pytest.mark.parametrize("prompt", load_prompts(PROMPTS), ids=lambda prompt: prompt.id)
def test_an_answer_that_knows_no_fact_of_the_shop_fails(prompt: Prompt) -> None:
    generic = (
        "Thank you for your question! Our return policy lasts 30 days and delivery takes 5-7 business days. A 1 year or"
        " lifetime warranty may apply. Please contact our customer service team by phone or email for more information."
    )
    assert not prompt.check.passes(generic)
