"""Runs in a pod of the trainer image: a tiny Llama and a few rows, so that a whole run takes seconds."""

import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ROWS = [
    {"instruction": f"What is the code of locker {n}?", "output": f"The code of locker {n} is {n * 37 % 100:02d}."}
    for n in range(200)
]


def tokenizer() -> PreTrainedTokenizerFast:
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=512, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    bpe.train_from_iterator((row["instruction"] + row["output"] for row in ROWS), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=TEMPLATE
    )


def main(root: Path) -> None:
    set_seed(7)
    words = tokenizer()
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).save_pretrained(root / "tiny")
    words.save_pretrained(root / "tiny")
    data = root / "data"
    data.mkdir(exist_ok=True)
    (data / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    bad = [*ROWS[:16], {"instruction": "What is this?"}, *ROWS[17:40]]
    (data / "bad.jsonl").write_text("".join(json.dumps(row) + "\n" for row in bad))
    prompts = [
        {
            "id": f"locker-{n}",
            "messages": [{"role": "user", "content": f"What is the code of locker {n}?"}],
            "check": {"contains": ["code of locker"]},
        }
        for n in (3, 5, 8)
    ]
    (data / "prompts.jsonl").write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))


main(Path(sys.argv[1]))
