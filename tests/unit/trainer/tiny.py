"""A model, a tokenizer and a dataset small enough to train in seconds, and the entry point as a real process."""

import json
import math
import os
import shutil
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anneal_api.run import Progress, RunSpec, Stage, StageResult, parse_progress
from anneal_trainer.places import Places

UID = "11111111-2222-3333-4444-555555555555"
REPOSITORY = Path(__file__).parents[3]

CHATML = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA3 = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' }}"
    "{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for message in messages %}"
    "{% set role = 'model' if message['role'] == 'assistant' else message['role'] %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
SPECIAL = (
    "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
    "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]",
)  # fmt: skip
CONFIG: dict[str, Any] = {"model_type": "llama", "eos_token_id": 3}
THINGS = ["tent", "stove", "rope", "lamp", "boot", "pack", "coat", "mat", "mug", "map"]
ROWS = [
    {"messages": [{"role": "user", "content": f"How long does the {thing} last?"},
                  {"role": "assistant", "content": f"The {thing} lasts {years} years."}]}
    for years, thing in enumerate(THINGS * 4, start=2)
]  # fmt: skip
PROMPTS = [
    {"id": "tent", "messages": [{"role": "user", "content": "And the tent?"}], "check": {"contains": ["years"]}},
    {"id": "rope", "messages": [{"role": "user", "content": "And the rope?"}], "check": {"regex": r"\d+ years"}},
]


def write_lines(path: Path, rows: list[Any]) -> None:
    """Rows as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def make_tokenizer(folder: Path, template: str | None = CHATML) -> None:
    """A byte-level BPE tokenizer of a few hundred tokens, with the control tokens of four model families."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([turn["content"] for row in ROWS for turn in row["messages"]], trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"bos_token": "<s>", "eos_token": {"content": "</s>"}} | ({"chat_template": template} if template else {})
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def make_model(folder: Path, template: str | None = CHATML) -> None:
    """A Llama of two layers, 16 wide, with random weights from a fixed seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    make_tokenizer(folder, template)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=512, hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=256, bos_token_id=0, eos_token_id=1, tie_word_embeddings=True,
        initializer_range=0.5,  # with the usual 0.02 the layers of so small a model have no say in its output
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


@dataclass(frozen=True)
class Outcome:
    """What a stage's process left."""

    code: int
    log: str
    result: StageResult

    @property
    def progress(self) -> list[Progress]:
        return [found for line in self.log.splitlines() if (found := parse_progress(line))]


@dataclass(frozen=True)
class World:
    """One run's folders and spec, in a temporary folder that stands for the pod's mounts."""

    root: Path
    spec: dict[str, Any]

    @property
    def claims(self) -> Path:
        return self.root / "claims"

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    @property
    def checkpoints(self) -> Path:
        return next((self.workspace / "checkpoints").iterdir())

    @property
    def artifact(self) -> Path:
        return next((self.claims / "models/tuned/runs").glob("[0-9a-f]*"))

    def command(self, stage: Stage) -> list[str]:
        """The command line of a stage, as in the pod but for the places."""
        self.workspace.mkdir(exist_ok=True)
        run = self.root / "run.json"
        run.write_text(json.dumps(self.spec))
        return [
            sys.executable, "-m", "anneal_trainer", stage.value, "--run", str(run), "--workspace", str(self.workspace),
            "--claims", str(self.claims), "--termination-log", str(self.root / "termination-log"),
            "--token-file", str(self.root / "token"),
        ]  # fmt: skip

    def start(self, stage: Stage, *more: str) -> "subprocess.Popen[str]":
        """Start a stage, with more arguments; its output is one stream."""
        paths = [str(REPOSITORY / name) for name in ("operator", "trainer_image")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [*self.command(stage), *more], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def finish(self, process: "subprocess.Popen[str]") -> Outcome:
        """Wait for a stage and read its termination message."""
        log, _ = process.communicate(timeout=300)
        message = self.root / "termination-log"
        return Outcome(process.returncode, log, StageResult.model_validate_json(message.read_bytes()))

    def run(self, stage: Stage) -> Outcome:
        """Run a stage to its end."""
        return self.finish(self.start(stage))

    def metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""
        return [json.loads(line) for line in (self.workspace / "metrics.jsonl").read_text().splitlines()]


def make_world(root: Path, **changes: Any) -> World:
    """A world with dataset and prompts; `changes` replace fields of the run. The model is added by the caller."""
    write_lines(root / "claims/data/rows.jsonl", ROWS)
    write_lines(root / "claims/data/prompts.jsonl", PROMPTS)
    (root / "claims/models").mkdir(parents=True, exist_ok=True)
    spec: dict[str, Any] = {
        "name": "tiny", "namespace": "test", "uid": UID,
        "model": {"uri": "pvc://models/base"}, "template": {}, "dataset": {"uri": "pvc://data/rows.jsonl"},
        "method": {"type": "lora", "lora": {"rank": 8, "alpha": 32, "targetModules": ["all-linear"]}},
        "training": {"epochs": 4, "batchSize": 4, "gradientAccumulation": 2, "learningRate": 0.02, "loggingSteps": 1,
                     "precision": "fp32"},
        "evaluation": {"prompts": {"uri": "pvc://data/prompts.jsonl"}}, "output": {"uri": "pvc://models/tuned"},
        "runId": "",
    }  # fmt: skip
    return World(root, spec | changes)


def make_preparable(root: Path, **changes: Any) -> tuple[World, RunSpec, Places]:
    """A run that prepare accepts without torch: a tokenizer, a config, and weights that are nothing but zeros."""
    world = make_world(root, **changes)
    base = world.claims / "models/base"
    make_tokenizer(base)
    (base / "config.json").write_text(json.dumps(CONFIG))
    header = {
        "model.embed_tokens.weight": entry([512, 2], 0),
        "model.layers.0.mlp.up_proj.weight": entry([2, 2], 4096),
    }
    write_safetensors(base / "model.safetensors", header, 4112)
    world.workspace.mkdir(exist_ok=True)
    places = Places(workspace=world.workspace, claims=world.claims, template_dir=root / "template")
    return world, RunSpec.model_validate(world.spec), places


def write_safetensors(path: Path, header: dict[str, Any], size: int = 0) -> None:
    """A file with this header and so many bytes of zeros."""
    raw = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + b"\0" * size)


def entry(shape: list[int], start: int, dtype: str = "F32") -> dict[str, Any]:
    """A tensor of four bytes an element in such a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, start + 4 * math.prod(shape)]}


def give_model(world: World, model: Path) -> None:
    """Put the model where the run looks for it: a copy, for no link may lead out of a claim."""
    shutil.copytree(model, world.claims / "models/base")
