"""The official client against the transformers engine, and its answers against those of transformers itself."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import Server

pytestmark = pytest.mark.torch
TUNED = "support-1.0"
NAMES = ("base", TUNED)
MESSAGES = [{"role": "user", "content": "How long does the tent last?"}]
IDS = {"return_token_ids": True}
PART_OF_A_CHARACTER = "\ufffd"


@pytest.fixture(scope="module")
def client(server: Server) -> Any:
    import openai

    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def chat(client: Any, name: str = TUNED, **more: Any) -> Any:
    return client.chat.completions.create(**{"model": name, "messages": MESSAGES, "max_tokens": 24, "temperature": 0,
                                             **more})


def content(answer: Any) -> str:
    return str(answer.choices[0].message.content)


@pytest.fixture(scope="module")
def reference(models: Path) -> Any:
    """Greedy token ids by transformers' own generate(), and the ids of the prompt."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(models / "support")
    network = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(models / "base"), models / "support")
    prompt = tokenizer.apply_chat_template(MESSAGES, add_generation_prompt=True, return_dict=True)["input_ids"]

    def generate(name: str) -> list[int]:
        ids = torch.tensor([prompt])
        more = {"attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": 24, "pad_token_id": 1}
        if name == "base":
            with network.disable_adapter():
                found = network.generate(input_ids=ids, **more)
        else:
            found = network.generate(input_ids=ids, **more)
        return [int(token) for token in found[0, len(prompt):]]

    return prompt, {name: generate(name) for name in NAMES}


def test_base_and_adapter_are_listed_side_by_side(client: Any) -> None:
    cards = {card.id: card for card in client.models.list()}
    assert list(cards) == list(NAMES)
    assert cards[TUNED].parent == "base"
    assert client.models.retrieve(TUNED).id == TUNED


@pytest.mark.parametrize("name", NAMES)
def test_greedy_answers_are_those_of_transformers(client: Any, reference: Any, name: str) -> None:
    prompt, expected = reference
    answer = chat(client, name, extra_body=IDS)
    assert answer.prompt_token_ids == prompt
    assert answer.choices[0].token_ids == expected[name]
    assert answer.usage.prompt_tokens == len(prompt)
    assert answer.usage.completion_tokens == len(expected[name])


def test_base_and_adapter_answer_differently(reference: Any) -> None:
    assert reference[1]["base"] != reference[1][TUNED]


def test_requests_at_the_same_time_do_not_mix(client: Any, reference: Any) -> None:
    asked = [NAMES[number % 2] for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(partial(chat, client, extra_body=IDS), asked))
    assert [answer.choices[0].token_ids for answer in answers] == [reference[1][name] for name in asked]


def test_a_stream_is_the_same_answer_in_pieces(client: Any) -> None:
    whole = chat(client)
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == content(whole)
    assert [c.choices[0].delta.role for c in chunks if c.choices][:2] == ["assistant", None]
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert len(chunks) > 5


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_answer_wherever_tokens_begin(client: Any, stream: bool) -> None:
    text = content(chat(client, max_tokens=48))
    assert len(text) > 8
    for start in range(1, len(text) - 3):
        stop = text[start:start + 3]
        expected = text[:text.find(stop)]
        if stream:
            chunks = list(chat(client, max_tokens=48, stop=[stop], stream=True))
            found = "".join(c.choices[0].delta.content or "" for c in chunks)
            finish = chunks[-1].choices[0].finish_reason
        else:
            answer = chat(client, max_tokens=48, stop=stop)
            found, finish = content(answer), answer.choices[0].finish_reason
        assert (found, finish) == (expected, "stop")


def test_max_tokens_ends_the_answer_with_length(client: Any) -> None:
    answer = chat(client, max_completion_tokens=3, max_tokens=None)
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 3)


def test_a_seed_repeats_an_answer_and_another_seed_does_not(client: Any) -> None:
    answers = [content(chat(client, temperature=1.5, seed=seed)) for seed in (1, 1, 2, 3)]
    assert answers[0] == answers[1]
    assert len(set(answers)) == 3


@pytest.mark.parametrize("more", [{"top_p": 1e-6}, {"extra_body": {"top_k": 1}}], ids=["top_p", "top_k"])
def test_narrow_sampling_is_greedy(client: Any, more: dict[str, Any]) -> None:
    assert content(chat(client, temperature=1, seed=5, **more)) == content(chat(client))


def test_log_probabilities_are_the_models_own(client: Any, models: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    answer = chat(client, "base", logprobs=True, top_logprobs=5, extra_body=IDS)
    prompt, ids = answer.prompt_token_ids, answer.choices[0].token_ids
    network = AutoModelForCausalLM.from_pretrained(models / "base")
    with torch.inference_mode():
        expected = network(torch.tensor([prompt + ids])).logits[0].log_softmax(-1)
    entries = answer.choices[0].logprobs.content
    assert len(entries) == len(ids)
    for number, (entry, token) in enumerate(zip(entries, ids, strict=True)):
        place = expected[len(prompt) + number - 1]
        assert entry.logprob == pytest.approx(float(place[token]), abs=1e-4)
        assert [top.logprob for top in entry.top_logprobs] == pytest.approx(place.topk(5).values.tolist(), abs=1e-4)
        for top in (entry, *entry.top_logprobs):
            assert top.bytes == (None if PART_OF_A_CHARACTER in top.token else list(top.token.encode()))


def test_a_text_is_continued_from_words_or_tokens(client: Any) -> None:
    ask = {"model": "base", "max_tokens": 8, "temperature": 0, "logprobs": 2, "extra_body": IDS}
    words = client.completions.create(prompt="The tent lasts", **ask)
    choice = words.choices[0]
    tokens = client.completions.create(prompt=choice.prompt_token_ids, **ask).choices[0]
    assert (tokens.text, tokens.token_ids) == (choice.text, choice.token_ids)
    assert len(choice.logprobs.tokens) == len(choice.logprobs.text_offset) == words.usage.completion_tokens == 8
    assert choice.logprobs.text_offset[:2] == [0, len(choice.logprobs.tokens[0])]
    pieces = list(client.completions.create(prompt="The tent lasts", stream=True, **ask))
    assert "".join(piece.choices[0].text for piece in pieces) == choice.text


def test_messages_may_come_in_parts(client: Any) -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": MESSAGES[0]["content"]}]}]
    assert content(chat(client, messages=parts)) == content(chat(client))


def test_anneal_chat_speaks_to_it(client: Any, server: Server) -> None:
    from anneal_cli import openai as cli

    def connected() -> socket.socket:
        return socket.create_connection(("127.0.0.1", server.port))

    with connected() as stream:
        assert cli.models(stream) == list(NAMES)
    with connected() as stream:
        found = "".join(cli.answer(stream, TUNED, MESSAGES, max_tokens=24, temperature=0.0))
    assert found == content(chat(client))


REFUSED: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "an unknown model": ({"model": "other"}, 404, "model", "support-1.0"),
    "several answers": ({"n": 2}, 400, "n", "n"),
    "a penalty": ({"presence_penalty": 1.0}, 400, "presence_penalty", "0"),
    "a field of another engine": ({"extra_body": {"guided_json": "{}"}}, 400, "guided_json", "guided_json"),
    "tools": ({"tools": [{"type": "function", "function": {"name": "f"}}]}, 400, "tools", "tools"),
    "an answer that is too long": ({"max_tokens": 250}, 400, "max_tokens", "256 tokens"),
    "a prompt that is too long": ({"messages": [{"role": "user", "content": "tent " * 400}]}, 400, "messages", "256"),
    "no messages": ({"messages": []}, 400, "messages", "messages"),
    "a number in quotes": ({"max_tokens": "5"}, 400, "max_tokens", "max_tokens"),
    "top_logprobs alone": ({"top_logprobs": 2}, 400, "top_logprobs", "logprobs"),
    "options of a stream alone": ({"stream_options": {"include_usage": True}}, 400, "stream_options", "stream: true"),
    "a message without content": ({"messages": [{"role": "user"}]}, 400, "messages[0].content", "required"),
}


@pytest.mark.parametrize(("more", "status", "param", "word"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_done_is_refused_by_name(
    client: Any, more: dict[str, Any], status: int, param: str, word: str,
) -> None:
    import openai

    with pytest.raises(openai.APIStatusError) as caught:
        chat(client, **more)
    assert (caught.value.status_code, caught.value.param) == (status, param)
    assert word in caught.value.message


def test_a_token_outside_the_vocabulary_is_named(client: Any) -> None:
    import openai

    with pytest.raises(openai.BadRequestError, match="prompt holds token 99999"):
        client.completions.create(model="base", prompt=[99999])


def test_metrics_count_requests_and_tokens(client: Any, server: Server) -> None:
    def value(name: str) -> float:
        text = client.get(f"{server.url}/metrics", cast_to=str)
        lines = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        return float(lines[0].split()[-1]) if lines else 0.0

    answered = 'anneal_engine_requests_total{path="/v1/chat/completions",status="200"}'
    before = value(answered), value("anneal_engine_generated_tokens_total")
    chat(client, max_tokens=5)
    assert value(answered) == before[0] + 1
    assert value("anneal_engine_generated_tokens_total") == before[1] + 5
    assert value("anneal_engine_running_requests") == 0


def test_the_openapi_document_names_what_is_refused(client: Any, server: Server) -> None:
    found = json.loads(client.get(f"{server.url}/openapi.json", cast_to=str))
    assert set(found["paths"]) == {"/health", "/v1/models", "/v1/models/{name}", "/v1/chat/completions",
                                   "/v1/completions"}
    assert found["components"]["schemas"]["ChatRequest"]["additionalProperties"] is False
