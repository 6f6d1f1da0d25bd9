"""What serve reads from the model folders, and how it watches over several engines."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from anneal_api.finetunejob_status import ArtifactStatus
from anneal_api.serve import ServeModel, ServeSpec
from anneal_server.engines import Command
from anneal_server.failures import ServerError
from anneal_server.serve import facts_of, longest, rank_of, serve, watch
from tests.unit.server.conftest import write_adapter, write_model


def spec_of(claims: Path) -> ServeSpec:
    return ServeSpec(models=[ServeModel(name="base", path=str(claims / "models" / "base"))],
                     adapters=[ServeModel(name="support", path=str(claims / "models" / "support"))])


def test_the_largest_rank_counts(claims: Path, adapter: ArtifactStatus) -> None:
    write_adapter(claims / "models" / "large", claims / "models" / "base", "pvc://models/base", rank=64)
    spec = spec_of(claims)
    spec.adapters.append(ServeModel(name="large", path=str(claims / "models" / "large")))
    assert facts_of(spec).lora_rank == 64
    assert facts_of(spec).lora_targets == ("q_proj", "v_proj")


def test_an_adapter_without_a_rank_is_refused(claims: Path, adapter: ArtifactStatus) -> None:
    (claims / "models" / "support" / "adapter_config.json").write_text("{}")
    with pytest.raises(ServerError, match="has r=None"):
        rank_of(claims / "models" / "support")


def test_the_template_lies_beside_the_tokenizer(claims: Path, adapter: ArtifactStatus) -> None:
    template = claims / "models" / "support" / "chat_template.jinja"
    template.write_text("{{ messages }}")
    spec = spec_of(claims)
    assert facts_of(spec).chat_template == ""
    beside = spec.model_copy(update={"tokenizer_path": str(template.parent)})
    assert facts_of(beside).chat_template == str(template)


def test_the_tokenizer_of_an_adapter_is_that_of_its_base_where_the_config_is(
    claims: Path, adapter: ArtifactStatus,
) -> None:
    base, tuned = claims / "models" / "base", write_model(claims / "models" / "tuned")
    spec = spec_of(claims)
    assert facts_of(spec).tokenizer == str(base)
    for own, used in ((claims / "models" / "support", base), (tuned, tuned)):
        assert facts_of(spec.model_copy(update={"tokenizer_path": str(own)})).tokenizer == str(used)


@pytest.mark.parametrize(("made_for", "length"), [(512, 512), (8192, 2048), (None, 2048), (0, 2048)])
def test_no_length_beyond_what_the_model_was_made_for(tmp_path: Path, made_for: int | None, length: int) -> None:
    folder = write_model(tmp_path / "m", max_position_embeddings=made_for)
    assert longest(ServeSpec(models=[ServeModel(name="m", path=str(folder))], max_model_len=2048)) == length


def test_one_model_becomes_the_engine_itself(claims: Path, adapter: ArtifactStatus,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, tuple[str, ...], dict[str, str]]] = []
    monkeypatch.setattr(os, "execvpe", lambda *call: started.append(call))
    monkeypatch.setattr("anneal_server.serve.watch", lambda commands: 0)
    serve(spec_of(claims))
    ((program, argv, env),) = started
    assert program == sys.executable
    assert f"support={claims}/models/support" in argv
    assert env["PATH"] == os.environ["PATH"]
    assert env["HF_HUB_OFFLINE"] == "1"


def child(code: str) -> Command:
    return Command((sys.executable, "-c", code))


@pytest.fixture
def handlers() -> Iterator[None]:
    """watch() takes over the process's signals; the test run gets its own back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_when_one_engine_dies_the_others_are_stopped_and_its_code_is_kept() -> None:
    assert watch([child("import signal; signal.pause()"), child("raise SystemExit(7)")]) == 7


@pytest.mark.usefixtures("handlers")
def test_an_engine_that_ends_well_is_a_failure_all_the_same() -> None:
    assert watch([child("import signal; signal.pause()"), child("")]) == 1


def test_a_termination_signal_reaches_every_engine(tmp_path: Path) -> None:
    """In a process of its own, which is sent the signal once both engines listen for theirs."""
    engine = ("import os, signal, sys\n"
              "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'stopped\\n'), os._exit(0)))\n"
              "os.write(1, b'up\\n')\nsignal.pause()")
    code = ("import sys; from anneal_server.serve import watch; from anneal_server.engines import Command\n"
            f"engine = Command((sys.executable, '-c', {engine!r}))\n"
            "sys.exit(watch([engine, engine]))")
    path = ":".join(entry for entry in sys.path if entry)
    with subprocess.Popen([sys.executable, "-c", code], env={"PYTHONPATH": path},
                          stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        assert [watcher.stdout.readline() for _ in range(2)] == ["up\n", "up\n"]
        watcher.send_signal(signal.SIGTERM)
        assert watcher.stdout.read() == "stopped\nstopped\n"
    assert watcher.returncode == 0
