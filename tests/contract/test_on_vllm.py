"""The official client and the fuzzer against vLLM, as it serves in a pod: half of docs/explanation/engines.md.

tests/e2e/test_vllm_contract.py runs this with the address of a server that it deployed.
"""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

URL, MODEL = os.environ.get("ANNEAL_VLLM_URL", ""), os.environ.get("ANNEAL_VLLM_MODEL", "")
pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not URL, reason="needs a vLLM that serves in a pod: run by `make test-e2e`"),
]
MESSAGES = [{"role": "user", "content": "Do you repair tents?"}]
POSTS = ("/v1/chat/completions", "/v1/completions")
COSTLY = frozenset({"n", "best_of", "use_beam_search", "min_tokens", "max_completion_tokens"})
"""Valid values of these can ask a CPU for minutes of work; the rest of a request is the fuzzer's."""


@pytest.fixture(scope="module")
def client() -> Any:
    import openai

    with openai.OpenAI(base_url=f"{URL}/v1", api_key="none", max_retries=0) as made:
        yield made


def chat(client: Any, **more: Any) -> Any:
    ask = {"model": MODEL, "messages": MESSAGES, "max_tokens": 16, "temperature": 0, **more}
    return client.chat.completions.create(**ask)


def content(answer: Any) -> str:
    return str(answer.choices[0].message.content)


def test_the_names_are_those_that_the_other_engine_has(client: Any) -> None:
    assert [card.id for card in client.models.list()] == ["base", MODEL]


def test_a_stream_is_the_same_answer_in_pieces(client: Any) -> None:
    whole = chat(client)
    chunks = list(chat(client, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == content(whole)
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_a_stop_string_ends_the_answer(client: Any) -> None:
    text = content(chat(client))
    stop = text[len(text) // 2:][:3]
    answer = chat(client, stop=[stop])
    assert (content(answer), answer.choices[0].finish_reason) == (text[:text.find(stop)], "stop")


def test_max_tokens_ends_the_answer_with_length(client: Any) -> None:
    answer = chat(client, max_tokens=3)
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 3)


def test_a_seed_repeats_an_answer(client: Any) -> None:
    first, again, other = (content(chat(client, temperature=1.5, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_narrow_sampling_is_greedy(client: Any) -> None:
    assert content(chat(client, temperature=1, top_p=1e-6, seed=5)) == content(chat(client))


def test_a_text_is_continued(client: Any) -> None:
    answer = client.completions.create(model=MODEL, prompt="The tent lasts", max_tokens=5, temperature=0, logprobs=2)
    assert answer.usage.completion_tokens == len(answer.choices[0].logprobs.tokens) == 5


@pytest.mark.parametrize(("more", "status"), [
    ({"model": "other"}, 404), ({"max_tokens": 100_000}, 400), ({"temperature": -1}, 400),
], ids=["unknown model", "too long", "temperature"])
def test_what_cannot_be_done_is_refused(client: Any, more: dict[str, Any], status: int) -> None:
    import openai

    with pytest.raises(openai.APIStatusError) as caught:
        chat(client, **more)
    assert caught.value.status_code == status
    assert caught.value.message


def test_a_message_without_content_is_answered(client: Any) -> None:
    """The other engine refuses it."""
    assert chat(client, messages=[{"role": "user"}]).choices


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("path", POSTS)
def test_the_fuzzer_neither_ends_the_engine_nor_changes_its_answers(client: Any, path: str, mode: str) -> None:
    """vLLM's document allows more than vLLM takes, so only this is asked: it goes on, and answers as before."""
    import schemathesis
    from schemathesis import GenerationMode

    before, statuses = content(chat(client)), set()
    document = schemathesis.openapi.from_url(f"{URL}/openapi.json")

    @settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=document[path]["POST"].as_strategy(generation_mode=GenerationMode(mode)))
    def asked(case: Any) -> None:
        if isinstance(case.body, dict):
            wanted = {key: value for key, value in case.body.items() if key not in COSTLY}
            case.body = {**wanted, "model": MODEL, "max_tokens": 2}
        statuses.add(case.call().status_code)

    asked()
    assert statuses
    assert content(chat(client)) == before
