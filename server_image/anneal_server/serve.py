"""serve: become the engine, or watch over several."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from anneal_api.artifact import TEMPLATE_FILE
from anneal_api.serve import ServeSpec
from anneal_server.engines import Command, Facts, transformers, vllm
from anneal_server.failures import mismatch
from anneal_server.folder import ADAPTER_CONFIG, CONFIG, read_json

STOP_SECONDS = 30
ENGINES = {"vllm": vllm.commands, "transformers": transformers.commands}


def serve(spec: ServeSpec) -> int:
    """Does not return for a single model: its engine takes over this process, signals included."""
    fitted = spec.model_copy(update={"max_model_len": longest(spec)})
    commands = ENGINES[spec.engine](fitted, facts_of(spec))
    if len(commands) == 1:
        os.execvpe(commands[0].argv[0], commands[0].argv, {**os.environ, **commands[0].env})
    return watch(commands)


def facts_of(spec: ServeSpec) -> Facts:
    """Look into the folders that the spec names."""
    base = Path(spec.models[0].path)
    trained_with = Path(spec.tokenizer_path or base)
    template = trained_with / TEMPLATE_FILE
    # An adapter has a copy of its base's tokenizer, but no config. Without one vLLM does not know of models whose
    # tokenizers want another class than they name, and looks for it twice, two seconds each, with an error in the log.
    tokenizer = trained_with if (trained_with / CONFIG).is_file() else base
    adapters = [Path(adapter.path) for adapter in spec.adapters]
    return Facts(python=sys.executable, tokenizer=str(tokenizer),
                 lora_rank=max(map(rank_of, adapters), default=0), lora_targets=targets_of(adapters),
                 chat_template=str(template) if template.is_file() else "")


def longest(spec: ServeSpec) -> int:
    """The length that was asked for, or what the models were made for where that is less: the engine refuses more."""
    made_for = [read_json(Path(model.path) / CONFIG).get("max_position_embeddings") for model in spec.models]
    return min([spec.max_model_len, *(length for length in made_for if isinstance(length, int) and length > 0)])


def rank_of(folder: Path) -> int:
    """Rank of an adapter, from its own config."""
    rank = read_json(folder / ADAPTER_CONFIG).get("r")
    if not isinstance(rank, int) or rank < 1:
        raise mismatch(f"{folder / ADAPTER_CONFIG} has r={rank!r}; a LoRA adapter has a rank of 1 or more")
    return rank


def targets_of(folders: Sequence[Path]) -> tuple[str, ...]:
    """Names of the layers that the adapters change; empty when one of them says it by a pattern."""
    said = [read_json(folder / ADAPTER_CONFIG).get("target_modules") for folder in folders]
    named = [targets for targets in said if isinstance(targets, list)]
    return tuple(sorted({str(name) for targets in named for name in targets})) if len(named) == len(said) else ()


def watch(commands: Sequence[Command]) -> int:
    """Run all of them; when one ends, end the others. Returns the exit code of the first that ended."""
    children = [subprocess.Popen(command.argv, env={**os.environ, **command.env}) for command in commands]
    stopping: list[int] = []

    def stop(number: int, _frame: FrameType | None) -> None:
        stopping.append(number)
        for child in children:
            child.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    code = wait_for_first(children)
    for child in children:
        end(child)
    return 0 if stopping else code or 1


def wait_for_first(children: Sequence["subprocess.Popen[bytes]"]) -> int:
    """Exit code of the child that ends first. It is left to be reaped by its own object."""
    by_pid = {child.pid: child for child in children}
    first = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    while first is not None and first.si_pid not in by_pid:
        # As process 1 of a container we also inherit what the engines leave behind.
        os.waitpid(first.si_pid, 0)
        first = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    return by_pid[first.si_pid].wait() if first else 0


def end(child: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, then after a while SIGKILL."""
    child.terminate()
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
