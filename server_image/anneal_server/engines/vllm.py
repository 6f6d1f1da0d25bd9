"""vLLM's OpenAI-compatible server, on GPUs or on CPU."""

from anneal_api.openmp import SPIN_COUNT, SPIN_VARIABLE
from anneal_api.serve import CACHE_DIR, ServeSpec
from anneal_server.engines import Command, Facts

LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The values that --max-lora-rank takes; memory is reserved by it, so the smallest that fits."""
GPU_MEMORY = 0.9
GIB = 1024**3
CPU_CACHE_SHARE = 4
"""One part in so many of a container's memory holds the key-value cache on CPU; weights and Python need the rest."""


def commands(spec: ServeSpec, facts: Facts) -> list[Command]:
    """One process for each complete model: model i answers on port + i."""
    return [Command(_argv(spec, facts, index), _environment(spec)) for index in range(len(spec.models))]


def _argv(spec: ServeSpec, facts: Facts, index: int) -> tuple[str, ...]:
    model = spec.models[index]
    return (
        # The `vllm` command needs package metadata that the CPU build lacks.
        facts.python, "-m", "vllm.entrypoints.openai.api_server",
        "--model", model.path, "--served-model-name", model.name, "--tokenizer", facts.tokenizer,
        "--max-model-len", str(spec.max_model_len), "--port", str(spec.port + index),
        "--disable-uvicorn-access-log",
        *(("--chat-template", facts.chat_template) if facts.chat_template else ()),
        *(_adapters(spec, facts) if index == 0 else ()),
        *(_gpu(spec) if spec.gpus else ("--enforce-eager",)),
    )


def _adapters(spec: ServeSpec, facts: Facts) -> tuple[str, ...]:
    if not spec.adapters:
        return ()
    modules = tuple(f"{adapter.name}={adapter.path}" for adapter in spec.adapters)
    # Left to itself vLLM prepares the output head for adapters too, and a request for the log-probabilities of its
    # prompt then ends the engine on CPU.
    only = ("--lora-target-modules", *facts.lora_targets) if facts.lora_targets else ()
    # In a batch with both, the CPU kernels give tokens of the base model the last slot (index -1): it must stay empty,
    # or the base would answer with an adapter's voice.
    slots = () if spec.gpus else ("--max-loras", str(len(spec.adapters) + 1))
    rank = allowed_rank(spec.max_lora_rank or facts.lora_rank)
    return ("--enable-lora", "--max-lora-rank", str(rank), *slots, *only, "--lora-modules", *modules)


def allowed_rank(rank: int) -> int:
    """The smallest value that vLLM takes and that holds `rank`."""
    return next((allowed for allowed in LORA_RANKS if allowed >= rank), LORA_RANKS[-1])


def _gpu(spec: ServeSpec) -> tuple[str, ...]:
    share = f"{GPU_MEMORY / len(spec.models):.2f}"
    parallel = ("--tensor-parallel-size", str(spec.gpus)) if spec.gpus > 1 else ()
    return ("--gpu-memory-utilization", share, *parallel)


def _environment(spec: ServeSpec) -> dict[str, str]:
    always = {
        # What was verified is all there is: nothing is looked up or reported over the network.
        "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
        "VLLM_CACHE_ROOT": f"{CACHE_DIR}/vllm", "VLLM_CONFIG_ROOT": f"{CACHE_DIR}/vllm-config",
        "TORCHINDUCTOR_CACHE_DIR": f"{CACHE_DIR}/inductor", "TRITON_CACHE_DIR": f"{CACHE_DIR}/triton",
    }
    return always if spec.gpus else {**always, **_cpu_environment(spec)}


def _cpu_environment(spec: ServeSpec) -> dict[str, str]:
    cache = max(1, spec.memory_bytes // (CPU_CACHE_SHARE * len(spec.models) * GIB))
    return {
        "VLLM_CPU_KVCACHE_SPACE": str(cache),
        # The kubelet's limits decide how much CPU there is; pinning threads to cores would fight with them.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(max(1, spec.cpus)),
        SPIN_VARIABLE: SPIN_COUNT,
        # One process schedules and computes. With two, the scheduler polls without a pause for what the worker
        # computes, on the CPU that the worker needs: 8 tokens/s instead of 17 with cpu 800m.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        # --enforce-eager does not reach the sampler: the first request for logprobs would look for a C++ compiler,
        # find none in the image, and end the engine.
        "TORCH_COMPILE_DISABLE": "1",
    }
