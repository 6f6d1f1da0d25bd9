"""What the trainer writes into termination messages, for pods that are only played."""

from tests.rig.api import Object

DIGEST = "sha256:" + "a" * 64


def stage_result(stage: str, uid: str, run_json: Object | None = None) -> Object:
    """What the trainer writes when a stage ends well."""
    scores = {
        "perplexity": {"base": 20.0, "tuned": 8.0},
        "exactMatch": {"base": 0.1, "tuned": 0.7},
        "prompts": 40,
        "engine": "vllm 0",
    }
    dataset = {
        "rows": 100,
        "train": 90,
        "validation": 5,
        "test": 5,
        "tokens": 5000,
        "trainedTokens": 2000,
        "digest": DIGEST,
    }
    kind = "model" if (run_json or {}).get("method", {}).get("type") == "full" else "adapter"
    artifact = {
        "uri": "pvc://models/out/runs/0123456789abcdef",
        "digest": DIGEST,
        "kind": kind,
        "baseUri": "pvc://models/base",
        "baseDigest": DIGEST,
    }
    body: Object = {
        "prepare": {
            "runHash": "0123456789abcdef",
            "modelPath": "/mnt/pvc/models/base",
            "modelDigest": DIGEST,
            "family": "llama",
            "dataset": dataset,
        },
        "train": {"steps": 10, "firstLoss": 3.0, "lastLoss": 1.0, "seconds": 12.5, "tokensPerSecond": 300.0},
        "evaluate": {"evaluation": scores},
        "publish": {"artifact": artifact},
        "resolve": artifact,
    }[stage]
    if stage == "resolve":
        return {"artifact": artifact}
    return {"schemaVersion": 1, "stage": stage, "uid": uid, "exitCode": 0, stage: body}
