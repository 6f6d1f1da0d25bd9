"""Our own server on transformers (anneal_server.inference), on CPU."""

from anneal_api.openmp import SPIN_COUNT, SPIN_VARIABLE
from anneal_api.serve import ServeSpec
from anneal_server.engines import Command, Facts

ENVIRONMENT = {
    # What was verified is all there is: nothing is looked up or reported over the network.
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "DO_NOT_TRACK": "1",
    # The tokenizer is used by one thread of ours at a time.
    "TOKENIZERS_PARALLELISM": "false",
    SPIN_VARIABLE: SPIN_COUNT,
}


def commands(spec: ServeSpec, facts: Facts) -> list[Command]:
    """One process for each complete model: model i answers on port + i."""
    threads = str(max(1, spec.cpus // len(spec.models)))
    return [Command(_argv(spec, facts, index, threads), {**ENVIRONMENT, "OMP_NUM_THREADS": threads})
            for index in range(len(spec.models))]


def _argv(spec: ServeSpec, facts: Facts, index: int, threads: str) -> tuple[str, ...]:
    model = spec.models[index]
    adapters = spec.adapters if index == 0 else []
    return (
        facts.python, "-m", "anneal_server.inference",
        "--model", model.path, "--name", model.name, "--tokenizer", facts.tokenizer,
        "--max-model-len", str(spec.max_model_len), "--port", str(spec.port + index), "--threads", threads,
        *(("--chat-template", facts.chat_template) if facts.chat_template else ()),
        *(word for adapter in adapters for word in ("--adapter", f"{adapter.name}={adapter.path}")),
    )
