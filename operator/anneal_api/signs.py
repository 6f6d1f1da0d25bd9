"""What a message with each reason looks like. The reference prints it, and a test provokes each one and compares."""

from anneal_api.conditions import Reason

SIGNS: dict[Reason, str] = {
    Reason.ACCEPTED: "run fb4ef0fc of generation 1 begins",
    Reason.WAITING: "",
    Reason.RUNNING: "stage train: Job support-0f8fad5b-train-0 was made",
    Reason.STARTING: "0/1 replicas of revision",
    Reason.SUSPENDED: "spec.suspend is true; stage prepare goes on when it is false",
    Reason.RETRYING: "attempt 3 of 4: stage train, container trainer: exit code 1; last log lines:",
    Reason.STAGE_SUCCEEDED: "stage prepare is done",
    Reason.SKIPPED: "stage evaluate is skipped: there is no test split and spec.evaluation.prompts is not set",
    Reason.PUBLISHED: "pvc://models/out/runs/0123456789abcdef holds the adapter of this run",
    Reason.ALREADY_PUBLISHED: "pvc://models/out/runs/0123456789abcdef already held the adapter of this run",
    Reason.SERVING: "1/1 replicas serve revision",
    Reason.SCALED_TO_ZERO: "spec.replicas is 0: nothing runs and nothing answers",
    Reason.ROLLED_BACK: "was rolled back (InsufficientSurgeCapacity)",
    Reason.UNSCHEDULABLE: "0/3 nodes are available: 3 Insufficient cpu. It asks for cpu 1. Fix: Lower "
                          "spec.resources.cpu, or add a node that fits.",
    Reason.IMAGE_PULL_FAILED: "stage train, container trainer: image example.com/trainer:1 cannot be pulled. Fix: The "
                              "registry wants a login",
    Reason.CLAIM_NOT_FOUND: "stage prepare: PersistentVolumeClaim 'data' does not exist in namespace team",
    Reason.SECRET_NOT_FOUND: 'MountVolume.SetUp failed for volume "hf" : secret "hf-token" not found. Fix: Create the '
                             "Secret hf-token in the same namespace.",
    Reason.CONFIG_MAP_NOT_FOUND: "ConfigMap 'templates' of spec.template.configMapRef does not exist in namespace team",
    Reason.VOLUME_NOT_READY: "no storage class is set, and no volume fits. Fix: Name a storage class in the claim",
    Reason.QUOTA_EXCEEDED: "pods x is forbidden: exceeded quota: gpus, requested: cpu=8, limited: cpu=4. Fix: Free "
                           "quota (kubectl describe quota gpus)",
    Reason.POD_REJECTED: 'admission webhook "policy.example.com" denied the request: no. Fix: Follow the words of '
                         "webhook policy.example.com",
    Reason.WEBHOOK_UNAVAILABLE: 'failed calling webhook "policy.example.com"',
    Reason.CONTAINER_NOT_STARTED: "stage train, container trainer: failed to generate container spec",
    Reason.NODE_LOST: "should have ended by 2026-03-02T09:00:00Z, and node gpu-7 does not say that it has",
    Reason.PERMISSION_DENIED: 'User "anneal" cannot create resource "jobs"',
    Reason.FIELD_TAKEN: 'conflict with "kubectl-scale" using apps/v1: .spec.replicas',
    Reason.FINE_TUNE_JOB_NOT_FOUND: "FineTuneJob 'support' does not exist in namespace team",
    Reason.FINE_TUNE_JOB_NOT_PUBLISHED: "FineTuneJob 'support' has not published yet; it says",
    Reason.INSUFFICIENT_SURGE_CAPACITY: "0/1 nodes are available: 1 Insufficient nvidia.com/gpu; revision",
    Reason.PREEMPTED: "was evicted or preempted (default-scheduler: preempting); its Job makes another",
    Reason.EVICTED: "The node was low on resource: memory. Container trainer was using 3Gi. Fix: The node ran out of "
                    "memory: add nodes",
    Reason.UNSUPPORTED_SPEC: "spec.newField: Extra inputs are not permitted",
    Reason.NAME_TAKEN: "Job support exists and was not made for this resource",
    Reason.BAD_CONFIG: "stage train: targetModules: no module is called nope",
    Reason.BAD_DATA: "stage prepare: rows.jsonl:17 is no JSON",
    Reason.DATASET_NOT_FOUND: "stage prepare: /mnt/pvc/data/rows.jsonl does not exist",
    Reason.MODEL_NOT_FOUND: "stage prepare: example/model has no config.json",
    Reason.MODEL_MISMATCH: "stage prepare: the tokenizer has 32001 tokens, the model 32000",
    Reason.OUT_OF_MEMORY: "stage train, container trainer: killed at its memory limit of 2Gi",
    Reason.CUDA_OUT_OF_MEMORY: "stage train: tried to allocate 2 GiB, 1 GiB is free",
    Reason.LOSS_NOT_FINITE: "stage train: the loss is nan at step 12",
    Reason.STORAGE_UNAVAILABLE: "stage publish: /mnt/pvc/models: Input/output error",
    Reason.DISK_FULL: "stage train: /workspace: needs 3 GiB, 1 GiB is free",
    Reason.NO_VALID_CHECKPOINT: "stage train: none of 2 checkpoints is whole",
    Reason.TOO_MANY_DISRUPTIONS: "2 pods of the run were evicted or preempted; spec.retry.disruptions is 1",
    Reason.NO_PROGRESS: "stage train: no sign of life for 3600 s (spec.stallTimeout); the main thread stands at",
    Reason.DEADLINE_EXCEEDED: "stage train: spec.deadline of 1h has passed",
    Reason.CRASHED: "stage train, container trainer: exit code 1; last log lines:",
    Reason.RESULT_MISSING: "ended with success, but its result cannot be read",
    Reason.ARTIFACT_INVALID: "model.safetensors has sha256 x",
    Reason.SERVER_CRASHED: "container server: ended 3 times or more; last log lines:",
    Reason.SERVER_NOT_READY: "has not completed a prompt within 20 minutes",
}
