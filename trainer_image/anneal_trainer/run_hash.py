"""The identity of a run: what would give the same model again."""

import hashlib
import json

from anneal_api.run import RunSpec


def run_hash(run: RunSpec, model_digest: str, template_sha256: str, dataset_digest: str, prompts_digest: str) -> str:
    """16 hex digits over the fields that shape the result and the content they point at.

    Places (uris, the output, the job's own name) do not count: a job recreated elsewhere finds its result again.
    """
    fields = {
        "model": model_digest,
        "template": template_sha256,
        "dataset": run.dataset.to_wire() | {"uri": dataset_digest},
        "method": run.method.to_wire(),
        "training": run.training.to_wire(),
        "evaluation": {"maxNewTokens": run.evaluation.max_new_tokens, "prompts": prompts_digest},
        "runId": run.run_id,
    }
    return hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]
