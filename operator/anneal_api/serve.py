"""What the operator and the server image say to each other.

`python -m anneal_server resolve|serve --spec /etc/anneal/serve/serve.json`:
resolve reads what a folder holds (a short Job); serve verifies every checksum, says so in a line of its log, and
becomes the engine's process. `python -S -m anneal_server.probe` completes one real prompt (startup probe).
"""

from typing import Literal

from pydantic import Field

from anneal_api.finetunejob_status import ArtifactStatus
from anneal_api.model import Document, StatusDocument

SERVE_FILE = "/etc/anneal/serve/serve.json"
PORT = 8000
CACHE_DIR = "/var/cache/anneal"
"""emptyDir of a server pod: fetched weights and engine caches."""
HEALTH_PATH = "/health"


class ServeModel(Document):
    """One model under one name."""

    name: str = Field(min_length=1, max_length=63)
    """Model name in requests."""
    path: str = Field(min_length=1, max_length=512)
    """Folder inside the container: a complete model, or for an adapter its adapter_model.safetensors."""


class ServeSpec(Document):
    """Everything a server pod needs to know."""

    schema_version: Literal[1] = 1
    engine: Literal["vllm", "transformers"] = "vllm"
    artifact: ArtifactStatus | None = None
    """What serve verifies: uri and digest of the artifact, and of its base for an adapter. None in the evaluate pod,
    whose files are on the run's own workspace."""
    models: list[ServeModel] = Field(max_length=8)
    """Complete models. The first is the one whose tokenizer and template adapters share."""
    adapters: list[ServeModel] = Field(default=[], max_length=8)
    """LoRA adapters on the first model."""
    max_lora_rank: int = 0
    """Largest rank among the adapters; 0 reads it from the adapter's own config."""
    tokenizer_path: str = ""
    """Folder whose tokenizer and chat template are used; default: the first model's."""
    max_model_len: int = 2048
    gpus: int = 0
    cpus: int = 2
    """CPU cores of the container: the engine's thread count when gpus is 0."""
    memory_bytes: int = 0
    """Memory limit of the container; on CPU the key-value cache is sized from it."""
    port: int = PORT


class Verified(StatusDocument):
    """The line in a server's log that says that every file is as pinned, found by its first key `anneal`."""

    anneal: Literal["verified"] = "verified"
    seconds: float
    """How long it took, a download included."""
    time: str
    """RFC 3339 in UTC, by the pod's clock."""

    def line(self) -> str:
        """The line, without a newline."""
        return self.model_dump_json(by_alias=True)


def parse_verified(line: str) -> Verified | None:
    """What a log line says of verified files, or None when it is another kind of line."""
    if '"anneal":"verified"' not in line:
        return None
    try:
        return Verified.model_validate_json(line)
    except ValueError:
        return None


class ResolveResult(StatusDocument):
    """The termination message of the resolve Job."""

    artifact: ArtifactStatus | None = None
    message: str = ""
    """Why the folder cannot be served, when artifact is None."""
