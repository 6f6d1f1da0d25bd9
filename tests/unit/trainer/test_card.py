"""The model card."""

from anneal_api.artifact import BaseModelRef, Manifest
from anneal_api.finetunejob_status import DatasetStatus, EvaluationStatus, Scores
from anneal_api.run import TrainSummary
from anneal_trainer.card import model_card


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
