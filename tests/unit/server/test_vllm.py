"""The command line that vLLM gets, in full: a change to it must be seen."""

import pytest

from anneal_api.serve import ServeModel, ServeSpec
from anneal_server.engines import Facts
from anneal_server.engines.vllm import allowed_rank, commands

BASE = ServeModel(name="base", path="/mnt/pvc/models/base")
TUNED = ServeModel(name="support", path="/mnt/pvc/models/support")
FACTS = Facts(python="python", tokenizer=BASE.path)
OFFLINE = {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1",
    "VLLM_CACHE_ROOT": "/var/cache/anneal/vllm", "VLLM_CONFIG_ROOT": "/var/cache/anneal/vllm-config",
    "TORCHINDUCTOR_CACHE_DIR": "/var/cache/anneal/inductor", "TRITON_CACHE_DIR": "/var/cache/anneal/triton",
}
SERVER = ("python", "-m", "vllm.entrypoints.openai.api_server")


def test_adapter_and_base_on_cpu() -> None:
    spec = ServeSpec(models=[BASE], adapters=[TUNED], tokenizer_path=TUNED.path, max_model_len=1024, cpus=2,
                     memory_bytes=8 * 1024**3)
    template = f"{TUNED.path}/chat_template.jinja"
    (command,) = commands(spec, Facts(python="python", tokenizer=BASE.path, lora_rank=16,
                                     lora_targets=("q_proj", "v_proj"), chat_template=template))
    assert command.argv == (
        *SERVER, "--model", "/mnt/pvc/models/base", "--served-model-name", "base", "--tokenizer", BASE.path,
        "--max-model-len", "1024", "--port", "8000", "--disable-uvicorn-access-log", "--chat-template", template,
        "--enable-lora", "--max-lora-rank", "16", "--max-loras", "2", "--lora-target-modules", "q_proj", "v_proj",
        "--lora-modules", "support=/mnt/pvc/models/support",
        "--enforce-eager")
    assert command.env == {**OFFLINE, "VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
                           "OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "5000",
                           "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "TORCH_COMPILE_DISABLE": "1"}


def test_two_complete_models_share_one_gpu_on_consecutive_ports() -> None:
    first, second = commands(ServeSpec(models=[BASE, TUNED], gpus=1, max_model_len=2048), FACTS)
    assert first.argv == (
        *SERVER, "--model", BASE.path, "--served-model-name", "base", "--tokenizer", BASE.path,
        "--max-model-len", "2048", "--port", "8000", "--disable-uvicorn-access-log", "--gpu-memory-utilization", "0.45")
    assert second.argv == (
        *SERVER, "--model", TUNED.path, "--served-model-name", "support", "--tokenizer", BASE.path,
        "--max-model-len", "2048", "--port", "8001", "--disable-uvicorn-access-log", "--gpu-memory-utilization", "0.45")
    assert first.env == second.env == OFFLINE


def test_several_gpus_hold_one_model_together() -> None:
    (command,) = commands(ServeSpec(models=[BASE], gpus=4), FACTS)
    assert command.argv[-4:] == ("--gpu-memory-utilization", "0.90", "--tensor-parallel-size", "4")


def test_code_of_the_model_is_never_trusted() -> None:
    for gpus in (0, 1):
        spec = ServeSpec(models=[BASE], adapters=[TUNED], gpus=gpus)
        assert "--trust-remote-code" not in commands(spec, FACTS)[0].argv


def test_two_models_on_cpu_share_the_memory_of_their_container() -> None:
    spec = ServeSpec(models=[BASE, TUNED], memory_bytes=16 * 1024**3)
    assert {command.env["VLLM_CPU_KVCACHE_SPACE"] for command in commands(spec, FACTS)} == {"2"}


def test_a_small_container_still_has_a_cache() -> None:
    (command,) = commands(ServeSpec(models=[BASE], memory_bytes=1024**3), FACTS)
    assert command.env["VLLM_CPU_KVCACHE_SPACE"] == "1"


@pytest.mark.parametrize(("rank", "allowed"), [(1, 1), (2, 8), (8, 8), (16, 16), (17, 32), (100, 128), (512, 512)])
def test_a_rank_is_rounded_up_to_one_that_the_engine_takes(rank: int, allowed: int) -> None:
    assert allowed_rank(rank) == allowed


def test_the_rank_in_the_spec_wins() -> None:
    spec = ServeSpec(models=[BASE], adapters=[TUNED], max_lora_rank=60)
    argv = commands(spec, Facts(python="python", tokenizer=BASE.path, lora_rank=8))[0].argv
    assert argv[argv.index("--max-lora-rank") + 1] == "64"
