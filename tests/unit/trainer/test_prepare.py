"""Prepare, in this process, with a real tokenizer and a model that is only headers."""

import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tokenizers", reason="needs the torch stack: run by `make test-trainer`")

from anneal_api.run import RunSpec
from anneal_trainer.errors import BadConfig, BadData, ModelMismatch, StageError, StorageUnavailable
from anneal_trainer.places import Places
from anneal_trainer.prepare import prepare
from tests.unit.trainer.tiny import CHATML, ROWS, World, entry, make_preparable, write_lines, write_safetensors

pytestmark = pytest.mark.torch

Make = Callable[..., tuple[World, RunSpec, Places]]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return partial(make_preparable, tmp_path)


def test_the_workspace_holds_the_tokens_the_template_and_the_counts(make: Make) -> None:
    _, run, places = make()

    summary = prepare(run, places)

    parts = {part: (places.data / f"{part}.jsonl").read_text().splitlines() for part in ("train", "validation", "test")}
    assert {part: len(lines) for part, lines in parts.items()} == {"train": 36, "validation": 2, "test": 2}
    rows = [json.loads(line) for line in parts["train"]]
    assert summary.dataset.tokens == sum(len(row["ids"]) for row in rows)
    assert summary.dataset.trained_tokens == sum(sum(row["mask"]) for row in rows)
    assert places.template.read_text() == CHATML
    assert (summary.family, summary.already_published) == ("llama", None)
    assert sorted(path.name for path in places.claims.glob("models/tuned/*")) == []


def test_preparing_twice_gives_the_same_run(make: Make) -> None:
    _, run, places = make()

    assert prepare(run, places) == prepare(run, places)


def test_rows_that_are_too_long_are_dropped_or_fail_the_run(make: Make) -> None:
    long = {"messages": [{"role": "user", "content": "tent " * 90}, {"role": "assistant", "content": "Yes."}]}
    for too_long in ("drop", "fail"):
        world, run, places = make(dataset={"uri": "pvc://data/rows.jsonl", "maxTokens": 64, "tooLong": too_long})
        write_lines(world.claims / "data/rows.jsonl", [*ROWS, long])
        if too_long == "drop":
            assert prepare(run, places).dataset.dropped == 1
        else:
            with pytest.raises(
                BadData, match=r"rows\.jsonl:41 has \d+ tokens; dataset\.maxTokens is 64\. Fix: shorten it"
            ):
                prepare(run, places)


def test_when_every_row_is_too_long_the_limit_is_named(make: Make) -> None:
    _, run, places = make(dataset={"uri": "pvc://data/rows.jsonl", "maxTokens": 16}, evaluation={})

    with pytest.raises(BadData, match=r"at most 16 tokens \(dataset\.maxTokens is 16; 40 rows dropped\)"):
        prepare(run, places)


def test_the_models_context_is_a_limit_too(make: Make) -> None:
    world, run, places = make(dataset={"uri": "pvc://data/rows.jsonl", "tooLong": "fail"}, evaluation={})
    config = {"model_type": "llama", "eos_token_id": 3, "max_position_embeddings": 20}
    (world.claims / "models/base/config.json").write_text(json.dumps(config))

    with pytest.raises(BadData, match=r"rows\.jsonl:\d+ has \d+ tokens; the model's context is 20\. Fix: shorten it"):
        prepare(run, places)


def test_a_prompt_that_leaves_no_room_for_its_answer_is_found_now(make: Make) -> None:
    world, run, places = make(dataset={"uri": "pvc://data/rows.jsonl", "maxTokens": 64})
    long = {"id": "long", "messages": [{"role": "user", "content": "tent " * 90}], "check": {"equals": "Yes."}}
    write_lines(world.claims / "data/prompts.jsonl", [long])

    with pytest.raises(
        BadData, match=r'prompt "long" has \d+ tokens; .* the engine has room for 192\. Fix: shorten it'
    ):
        prepare(run, places)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"method": {"type": "lora", "lora": {"targetModules": ["q_proj"]}}}, BadConfig, "it has: up_proj"),
        ({"evaluation": {"prompts": {"uri": "pvc://data/rows.jsonl"}}}, BadData, "a prompt ends with the user"),
        (
            {"template": {"source": "configMap", "configMapRef": {"name": "t"}}},
            BadConfig,
            "has no key chat_template.jinja",
        ),
    ],
)
def test_a_spec_that_cannot_work_is_refused(
    changes: dict[str, Any], error: type[StageError], message: str, make: Make
) -> None:
    _, run, places = make(**changes)

    with pytest.raises(error) as caught:
        prepare(run, places)
    assert message in str(caught.value)


def test_a_tokenizer_larger_than_the_embedding_is_refused(make: Make) -> None:
    world, run, places = make()
    write_safetensors(world.claims / "models/base/model.safetensors", {
        "model.embed_tokens.weight": entry([100, 2], 0), "up_proj.weight": entry([2, 2], 800)}, 816)  # fmt: skip

    with pytest.raises(ModelMismatch, match=r"token ids up to \d+, the model's embedding has 100 rows"):
        prepare(run, places)


def test_an_end_of_turn_that_engines_do_not_stop_at_is_warned_of(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    world, run, places = make()
    (world.claims / "models/base/config.json").write_text(json.dumps({"model_type": "llama", "eos_token_id": 1}))

    with caplog.at_level(logging.WARNING):
        prepare(run, places)

    assert [record.getMessage() for record in caplog.records] == [
        "answers end with <|im_end|>, which is no eos token of the model: engines may not stop there"
    ]


def test_an_output_that_cannot_be_written_is_found_now(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    world, run, places = make()

    # Root may write anywhere, so the refusal of a read-only mount is played.
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(world.claims / "models/tuned"))

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(StorageUnavailable, match=r"pvc://models/tuned cannot be written: .*Fix: let user 10001 write"):
        prepare(run, places)


def test_rows_that_the_template_refuses_are_listed_by_line(make: Make) -> None:
    world, run, places = make(template={"source": "configMap", "configMapRef": {"name": "t", "key": "strict"}})
    places.template_dir.mkdir()
    (places.template_dir / "strict").write_text(
        "{% for m in messages %}{% if 'rope' in m['content'] %}{{ raise_exception('no ropes') }}{% endif %}{% endfor %}"
        + CHATML
    )

    with pytest.raises(
        BadData, match=r"cannot be rendered by the chat template: TemplateError: no ropes\. Fix: .*3 more"
    ):
        prepare(run, places)
    assert world.claims.exists()
