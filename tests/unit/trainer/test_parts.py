"""The small pure parts: the split, prompts and their checks, scores, safetensors headers, hashes, cards, results."""

import errno
import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest

from anneal_api.artifact import BaseModelRef, Manifest
from anneal_api.finetunejob import DatasetStatus, EvaluationStatus, Lora, Scores, Split, Template
from anneal_api.run import MAX_TERMINATION_BYTES, RunSpec, Stage, StageResult, TrainSummary
from anneal_trainer import checkpoint, disk, template
from anneal_trainer.base_model import BaseModel, adapted_layers, check_vocabulary, open_model
from anneal_trainer.card import model_card
from anneal_trainer.errors import (
    BadConfig,
    BadData,
    DiskFull,
    ModelMismatch,
    ModelNotFound,
    NoValidCheckpoint,
    StorageUnavailable,
    fullest_volume,
    storage_error,
)
from anneal_trainer.places import Places
from anneal_trainer.prompts import Check, load_prompts
from anneal_trainer.results import report, summary_bytes
from anneal_trainer.rows import Conversation, Message
from anneal_trainer.run_hash import run_hash
from anneal_trainer.scoring import Likelihood, likelihood, perplexity, share
from anneal_trainer.split import divide
from anneal_trainer.weights import Tensor, read_tensors
from tests.unit.trainer.tiny import CHATML, PROMPTS, UID, make_world, write_lines


def rows(count: int, copies: int = 1) -> list[Conversation]:
    turns = [(Message("user", f"Question {n}"), Message("assistant", f"Answer {n}")) for n in range(count)] * copies
    return [Conversation(line, turn) for line, turn in enumerate(turns, start=1)]


class TestSplit:
    def test_the_same_rows_and_seed_give_the_same_parts_in_any_order(self) -> None:
        split = Split(validation=0.1, test=0.2)
        one, two = divide(rows(100), split, 42), divide(list(reversed(rows(100))), split, 42)

        assert [len(part) for part in (one.train, one.validation, one.test)] == [70, 10, 20]
        assert {row.line for row in one.test} == {row.line for row in two.test}
        assert {row.line for row in one.test} != {row.line for row in divide(rows(100), split, 43).test}

    def test_copies_of_a_row_are_never_both_trained_on_and_measured(self) -> None:
        parts = divide(rows(20, copies=3), Split(validation=0.1, test=0.1), 1)

        trained = {row.messages for row in parts.train}
        assert not trained & {row.messages for row in (*parts.validation, *parts.test)}
        assert len(parts.train) + len(parts.validation) + len(parts.test) == 60

    def test_a_share_of_nothing_is_nothing_and_any_other_at_least_a_row(self) -> None:
        parts = divide(rows(5), Split(validation=0.0, test=0.01), 1)

        assert (len(parts.train), len(parts.validation), len(parts.test)) == (4, 0, 1)

    def test_a_row_must_be_left_to_train_on(self) -> None:
        with pytest.raises(BadData, match=r"2 distinct rows are too few: split\.test takes 1 and split\.validation 1"):
            divide(rows(2, copies=50), Split(), 1)


class TestPrompts:
    @pytest.mark.parametrize(
        ("check", "answer", "passes"),
        [
            (Check("contains", ("45 days", "free")), "Within 45  Days, for FREE.", True),
            (Check("contains", ("45 days", "free")), "Within 45 days.", False),
            (Check("containsAny", ("yes", "sure")), "Sure!", True),
            (Check("containsAny", ("yes", "sure")), "No.", False),
            (Check("equals", ("Yes.",)), " yes.\n", True),
            (Check("equals", ("Yes.",)), "Yes. Always.", False),
            (Check("regex", (r"\b4[25] days\b",)), "In 42 Days", True),
            (Check("regex", (r"^no\b",)), "Now", False),
        ],
    )
    def test_an_answer_is_judged(self, check: Check, answer: str, passes: bool) -> None:
        assert check.passes(answer) is passes

    def test_good_prompts_are_read(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "prompts.jsonl", PROMPTS)

        prompts = load_prompts(tmp_path / "prompts.jsonl")

        assert [prompt.id for prompt in prompts] == ["tent", "rope"]
        assert prompts[0].check == Check("contains", ("years",))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"id": ""}, "prompts.jsonl:1 id is empty."),
            ({"id": 5}, "prompts.jsonl:1 id is a number; a string is needed."),
            ({"check": None}, "check is null; exactly one of contains, containsAny, equals, regex is needed."),
            ({"check": {}}, "check has the keys []; exactly one of"),
            ({"check": {"contains": ["a"], "regex": "b"}}, "check has the keys ['contains', 'regex']; exactly one of"),
            ({"check": {"contains": "a"}}, "check.contains is a string; a list of texts is needed."),
            ({"check": {"contains": ["a", ""]}}, "check.contains[1] is empty."),
            ({"check": {"regex": "(a"}}, "check.regex does not compile: missing ), unterminated subpattern"),
            ({"messages": [{"role": "assistant", "content": "a"}]}, 'messages[0].role is "assistant"'),
            ({"messages": []}, "messages is empty."),
        ],
    )
    def test_a_bad_prompt_is_refused_with_its_line(self, change: dict[str, Any], message: str, tmp_path: Path) -> None:
        write_lines(tmp_path / "prompts.jsonl", [PROMPTS[0] | change])

        with pytest.raises(BadData) as caught:
            load_prompts(tmp_path / "prompts.jsonl")
        assert message in str(caught.value)
        assert "Fix: " in str(caught.value)

    def test_an_id_that_is_taken_is_refused(self, tmp_path: Path) -> None:
        write_lines(tmp_path / "prompts.jsonl", [PROMPTS[0], PROMPTS[0]])

        with pytest.raises(BadData, match=r'prompts\.jsonl:2 id "tent" is taken by line 1'):
            load_prompts(tmp_path / "prompts.jsonl")


class TestScores:
    def test_perplexity_is_over_all_tokens_not_over_rows(self) -> None:
        half = math.log(0.5)
        one = likelihood([None, half, half, half], [0, 0, 1, 1])
        two = likelihood([None, math.log(0.25)], [0, 1])

        assert one == Likelihood(-2 * half, 2)
        assert perplexity([one, two]) == pytest.approx(2 ** (4 / 3), abs=1e-4)

    def test_nothing_to_score_is_no_score(self) -> None:
        assert perplexity([]) is None
        assert share([]) is None
        assert share([True, False, True]) == pytest.approx(0.6667)

    def test_a_trained_first_token_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="nothing stands before it"):
            likelihood([None, -1.0], [1, 1])


def write_safetensors(path: Path, header: dict[str, Any], size: int = 0) -> None:
    raw = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + b"\0" * size)


def entry(shape: list[int], start: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, start + 4 * math.prod(shape)]}


class TestWeights:
    def test_names_types_and_shapes_are_read(self, tmp_path: Path) -> None:
        write_safetensors(tmp_path / "model.safetensors", {"a": entry([2, 3], 0), "__metadata__": {}}, 24)

        assert read_tensors(tmp_path) == {"a": Tensor("F32", (2, 3))}

    @pytest.mark.parametrize(
        ("header", "size", "message"),
        [
            ({"a": entry([2], 0)}, 4, r"it has 4 bytes of weights, its header lists 8 \(cut off\?\)"),
            ({"a": entry([2], 0), "b": entry([2], 4)}, 16, "the place of b does not fit"),
            ({"a": entry([2], 0, "F33")}, 8, "dtype 'F33' is unknown"),
            ({"a": entry([-2], 0)}, 8, "does not parse"),
            ({"a": 5}, 8, "does not parse"),
        ],
    )
    def test_a_broken_header_is_refused(self, header: dict[str, Any], size: int, message: str, tmp_path: Path) -> None:
        write_safetensors(tmp_path / "model.safetensors", header, size)

        with pytest.raises(ModelMismatch, match=message):
            read_tensors(tmp_path)

    def test_a_header_longer_than_the_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", 1 << 60) + b"{}")

        with pytest.raises(ModelMismatch, match="its header claims 1152921504606846976 bytes"):
            read_tensors(tmp_path)

    @pytest.mark.parametrize("shard", ["gone.safetensors", "../x.safetensors"])
    def test_a_shard_that_is_not_in_the_folder_is_refused(self, shard: str, tmp_path: Path) -> None:
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))

        with pytest.raises(ModelMismatch, match="which is not in"):
            read_tensors(tmp_path)


LAYERS = {
    "model.embed_tokens.weight": Tensor("BF16", (100, 8)),
    "model.layers.0.self_attn.q_proj.weight": Tensor("BF16", (8, 8)),
    "model.layers.0.self_attn.v_proj.weight": Tensor("BF16", (4, 8)),
    "model.layers.0.input_layernorm.weight": Tensor("BF16", (8,)),
    "lm_head.weight": Tensor("BF16", (100, 8)),
}


def base(folder: Path = Path("/model")) -> BaseModel:
    return BaseModel(folder, {"model_type": "llama"}, LAYERS)


class TestBaseModel:
    def test_a_target_is_found_by_the_end_of_its_name(self) -> None:
        assert list(adapted_layers(base(), Lora(target_modules=["q_proj"]))) == ["model.layers.0.self_attn.q_proj"]
        assert len(adapted_layers(base(), Lora(target_modules=["all-linear"]))) == 2

    def test_a_target_that_does_not_exist_is_refused_with_those_that_do(self) -> None:
        with pytest.raises(
            BadConfig, match=r'no linear layer of the llama model is called "proj"; it has: q_proj, v_proj\.'
        ):
            adapted_layers(base(), Lora(target_modules=["q_proj", "proj"]))

    def test_a_token_without_embedding_is_refused(self) -> None:
        check_vocabulary(base(), 99)
        with pytest.raises(ModelMismatch, match="token ids up to 100, the model's embedding has 100 rows"):
            check_vocabulary(base(), 100)

    @pytest.mark.parametrize(
        ("files", "error", "message"),
        [
            ({}, ModelNotFound, r"has no config\.json; found: nothing\."),
            (
                {"config.json": "{}", "pytorch_model.bin": ""},
                ModelMismatch,
                r"only pickled weights \(pytorch_model\.bin\)",
            ),
            ({"config.json": "{}"}, ModelMismatch, "has no weights"),
            ({"config.json": "{}", "model.safetensors": ""}, ModelMismatch, r"has no tokenizer\.json"),
            (
                {"config.json": "[]", "model.safetensors": "", "tokenizer.json": ""},
                ModelMismatch,
                "is not a JSON object",
            ),
            ({"config.json": "{", "model.safetensors": "", "tokenizer.json": ""}, ModelMismatch, "is not valid JSON"),
            (
                {"config.json": "{}", "model.safetensors": "", "tokenizer.json": ""},
                ModelMismatch,
                "names no model_type",
            ),
        ],
    )
    def test_a_folder_that_is_no_model_is_refused(
        self, files: dict[str, str], error: type[Exception], message: str, tmp_path: Path
    ) -> None:
        for name, content in files.items():
            (tmp_path / name).write_text(content)

        with pytest.raises(error, match=message):
            open_model(tmp_path, "pvc://models/base")

    def test_a_folder_that_is_not_there_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ModelNotFound, match="pvc://models/base is not a folder"):
            open_model(tmp_path / "gone", "pvc://models/base")


class TestTemplate:
    def test_the_models_own_template_is_found_in_each_place_it_may_stand(self, tmp_path: Path) -> None:
        assert template.choose(Template(), tmp_path, tmp_path) == template.BUILTIN
        config = tmp_path / "tokenizer_config.json"
        config.write_text(
            json.dumps({"chat_template": [{"name": "tools", "template": "t"}, {"name": "default", "template": "d"}]})
        )
        assert template.choose(Template(), tmp_path, tmp_path) == "d"
        config.write_text(json.dumps({"chat_template": CHATML}))
        assert template.choose(Template(), tmp_path, tmp_path) == CHATML
        (tmp_path / "chat_template.jinja").write_text("file")
        assert template.choose(Template(source="model"), tmp_path, tmp_path) == "file"
        assert template.choose(Template(source="builtin"), tmp_path, tmp_path) == template.BUILTIN

    def test_a_template_that_is_not_there_or_too_large_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ModelMismatch, match=r"template\.source is model, but the model has no chat template"):
            template.choose(Template(source="model"), tmp_path, tmp_path)
        reference = Template.model_validate({"source": "configMap", "configMapRef": {"name": "mine"}})
        with pytest.raises(BadConfig, match=r"has no key chat_template\.jinja"):
            template.choose(reference, tmp_path, tmp_path)
        (tmp_path / "chat_template.jinja").write_text("x" * (300 << 10))
        with pytest.raises(ModelMismatch, match="has 307200 bytes; at most 262144"):
            template.choose(reference, tmp_path, tmp_path)


def run(tmp_path: Path, **changes: Any) -> RunSpec:
    return RunSpec.model_validate(make_world(tmp_path, **changes).spec)


class TestRunHash:
    def test_what_shapes_the_result_counts_and_places_do_not(self, tmp_path: Path) -> None:
        def value(model: str = "m", **changes: Any) -> str:
            return run_hash(run(tmp_path, **changes), model, "t", "d", "p")

        assert len(value()) == 16
        assert value() == value(name="other", uid="2", output={"uri": "pvc://else/where"})
        assert value() == value(dataset={"uri": "pvc://moved/rows.jsonl"})
        different = [
            value("other model"),
            value(runId="2"),
            value(method={"type": "full"}),
            value(training={"seed": 1}),
        ]
        assert len({value(), *different}) == 5


class TestDisk:
    def test_a_workspace_that_is_too_small_is_refused_with_the_numbers(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        spec = run(tmp_path, method={"type": "full"})
        places = Places(workspace=tmp_path)
        disk.check_workspace(base(), spec.method, spec.training, places)

        monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1 << 20}))
        with pytest.raises(DiskFull, match=r"has 0\.00 GiB free; 2 checkpoints and the result need about 0\.06 GiB"):
            disk.check_workspace(base(), spec.method, spec.training, places)

    def test_an_adapter_counts_its_own_weights_only(self, tmp_path: Path) -> None:
        spec = run(tmp_path, method={"type": "lora", "lora": {"rank": 2, "targetModules": ["q_proj"]}})

        assert disk.trained_weights(base(), spec.method) == 2 * (8 + 8)


class TestErrors:
    def test_a_full_disk_names_its_mount_wherever_the_error_hides(self, tmp_path: Path) -> None:
        try:
            try:
                raise OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "model.safetensors"))
            except OSError as inner:
                raise RuntimeError("saving failed") from inner
        except RuntimeError as error:
            found = storage_error(error)

        assert isinstance(found, DiskFull)
        assert f"(writing {tmp_path}/model.safetensors)" in str(found)

    @pytest.mark.parametrize("error", [
        OSError(errno.ENOSPC, "No space left on device"), RuntimeError("No space left on device (os error 28)"),
    ], ids=["a write", "safetensors"])
    def test_a_full_disk_that_names_no_file_is_the_fullest_volume(self, error: Exception) -> None:
        found = storage_error(error)

        assert isinstance(found, DiskFull)
        assert fullest_volume() in str(found)

    def test_the_fullest_volume_is_a_writable_one(self, tmp_path: Path) -> None:
        mounts = tmp_path / "mounts"
        mounts.write_text(f"proc /proc proc rw 0 0\nsys /sys/x sysfs ro 0 0\ndisk {tmp_path} ext4 rw,relatime 0 0\n")

        assert fullest_volume(mounts).startswith(f"{tmp_path} (")

    @pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE])
    def test_storage_that_does_not_answer_may_be_tried_again(self, code: int) -> None:
        assert isinstance(storage_error(OSError(code, "broken", "/workspace/x")), StorageUnavailable)

    def test_other_errors_are_not_the_storage(self) -> None:
        assert storage_error(ValueError("no")) is None
        assert storage_error(FileNotFoundError(errno.ENOENT, "gone")) is None


class TestResults:
    def test_a_long_message_is_cut_to_what_kubernetes_keeps(self) -> None:
        result = StageResult(stage=Stage.PREPARE, uid=UID, exit_code=11, message='"' * 2048)

        data = summary_bytes(result)

        assert len(data) <= MAX_TERMINATION_BYTES
        assert StageResult.model_validate_json(data).message.endswith('" ...')

    def test_the_result_is_on_the_workspace_and_in_the_termination_message(self, tmp_path: Path) -> None:
        places = Places(workspace=tmp_path / "workspace", termination_log=tmp_path / "message")
        result = StageResult(stage=Stage.TRAIN, uid=UID, message="ok")

        report(result, places)

        assert StageResult.model_validate_json((tmp_path / "message").read_bytes()) == result
        assert StageResult.model_validate_json((places.stage("train") / "result.json").read_bytes()) == result


def sealed(root: Path, step: int) -> Path:
    folder = checkpoint.folder_of(root, step)
    (folder / "inner").mkdir(parents=True)
    (folder / "weights").write_bytes(b"w" * step)
    (folder / "inner/state").write_bytes(b"s")
    checkpoint.seal(folder, step)
    return folder


class TestCheckpoints:
    def test_a_fresh_start_has_none(self, tmp_path: Path) -> None:
        assert checkpoint.newest_whole(tmp_path / "gone") is None

    def test_the_newest_by_number_is_taken(self, tmp_path: Path) -> None:
        for step in (5, 100, 20):
            sealed(tmp_path, step)

        assert checkpoint.newest_whole(tmp_path) == tmp_path / "checkpoint-100"

    def test_half_a_checkpoint_left_by_a_crash_does_not_count(self, tmp_path: Path) -> None:
        (tmp_path / "checkpoint-7").mkdir()
        (tmp_path / "checkpoint-7/weights").write_bytes(b"half")

        assert checkpoint.newest_whole(tmp_path) is None

    @pytest.mark.parametrize("damage", ["cut", "changed", "gone", "seal"])
    def test_a_damaged_one_is_passed_over(self, damage: str, tmp_path: Path) -> None:
        older, newer = sealed(tmp_path, 5), sealed(tmp_path, 6)
        {
            "cut": lambda: (newer / "weights").write_bytes(b"w"),
            "changed": lambda: (newer / "weights").write_bytes(b"v" * 6),
            "gone": lambda: (newer / "inner/state").unlink(),
            "seal": lambda: (newer / checkpoint.SEAL).write_bytes(b"{"),
        }[damage]()

        assert checkpoint.newest_whole(tmp_path) == older

    def test_only_damaged_ones_are_an_error_that_names_them(self, tmp_path: Path) -> None:
        (sealed(tmp_path, 5) / "weights").unlink()

        with pytest.raises(NoValidCheckpoint, match=r"checkpoint-5: .*weights is missing.*Fix: check the volume"):
            checkpoint.newest_whole(tmp_path)

    def test_pruning_keeps_the_newest_sealed_and_removes_halves(self, tmp_path: Path) -> None:
        for step in (1, 2, 3):
            sealed(tmp_path, step)
        (tmp_path / "checkpoint-4").mkdir()

        checkpoint.prune(tmp_path, keep=2)

        assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-3"]


def test_the_card_says_what_the_model_is_and_how_good() -> None:
    manifest = Manifest(
        kind="adapter",
        run_hash="abc",
        created="2026-01-01T00:00:00Z",
        job={"name": "support"},
        base=BaseModelRef(uri="hf://a/b", revision="c0ffee", digest="sha256:0"),
        dataset=DatasetStatus(rows=10, train=8, validation=1, test=1, tokens=100, trained_tokens=40, digest="sha256:1"),
        evaluation=EvaluationStatus(perplexity=Scores(base=10.0, tuned=2.5), prompts=4, engine="vllm 1"),
        files=[],
        lora_rank=16,
    )

    card = model_card(manifest, TrainSummary(steps=5, first_loss=3.0, last_loss=1.0, seconds=1, tokens_per_second=1))

    assert card.startswith("# support\n\nA LoRA adapter (rank 16) for `hf://a/b` at commit `c0ffee`")
    assert "| perplexity, base and tuned | 10, 2.5 |" in card
    assert "right answers" not in card
    assert "](loss.svg)" in card
    assert 'PeftModel.from_pretrained(base, "this folder")' in card
