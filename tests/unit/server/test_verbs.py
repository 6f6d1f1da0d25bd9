"""resolve and serve as the pod runs them: a spec file in, an exit code and a termination message out."""

import errno
import json
import re
from pathlib import Path
from typing import Any

import pytest

from anneal_api.artifact import ArtifactError
from anneal_api.finetunejob_status import ArtifactStatus
from anneal_api.serve import ResolveResult, ServeModel, ServeSpec, parse_verified
from anneal_api.termination import MAX_TERMINATION_BYTES, ExitCode
from anneal_server import __main__ as program
from anneal_server import verbs
from anneal_server.failures import ServerError
from anneal_server.resolve import folder_digest, resolve
from anneal_server.verify import verify
from tests.unit.server.conftest import write_manifest, write_model


def spec_for(claims: Path, artifact: ArtifactStatus | None) -> ServeSpec:
    return ServeSpec(artifact=artifact, models=[ServeModel(name="base", path=str(claims / "models" / "base"))])


def run(tmp_path: Path, verb: str, spec: ServeSpec) -> tuple[int, dict[str, Any]]:
    """The verb through the real entry point."""
    spec_file, log = tmp_path / "serve.json", tmp_path / "termination-log"
    spec_file.write_text(json.dumps(spec.to_wire()))
    code = program.main([verb, "--spec", str(spec_file), "--termination-log", str(log)])
    return code, json.loads(log.read_text()) if log.exists() else {}


def test_resolve_pins_an_artifact_by_its_manifest(claims: Path, adapter: ArtifactStatus) -> None:
    assert resolve(claims / "models" / "support", adapter.uri) == adapter


def test_resolve_pins_a_plain_model_by_its_files(claims: Path, tmp_path: Path) -> None:
    uri = "pvc://models/base"
    code, message = run(tmp_path, "resolve", spec_for(claims, ArtifactStatus(uri=uri, digest="", kind="model")))
    found = ResolveResult.model_validate(message)
    assert (code, found.message) == (0, "")
    assert found.artifact == ArtifactStatus(uri=uri, digest=folder_digest(claims / "models" / "base"), kind="model")


def test_resolve_answers_why_a_folder_cannot_be_served(claims: Path, tmp_path: Path) -> None:
    (claims / "models" / "base" / "config.json").unlink()
    unresolved = ArtifactStatus(uri="pvc://models/base", digest="", kind="model")
    code, message = run(tmp_path, "resolve", spec_for(claims, unresolved))
    found = ResolveResult.model_validate(message)
    assert (code, found.artifact) == (0, None)
    assert "has no config.json" in found.message


def test_resolve_of_a_path_that_does_not_exist_names_the_uri(claims: Path) -> None:
    with pytest.raises(ServerError, match=r"pvc://models/nothing does not exist"):
        resolve(claims / "models" / "nothing", "pvc://models/nothing")


def test_a_renamed_file_changes_the_digest(claims: Path) -> None:
    base = claims / "models" / "base"
    before = folder_digest(base)
    (base / "tokenizer.json").rename(base / "vocab.json")
    assert folder_digest(base) != before


def test_what_was_pinned_is_served(
    claims: Path, adapter: ArtifactStatus, capsys: pytest.CaptureFixture[str],
) -> None:
    verify(spec_for(claims, adapter), adapter, claims)
    *found, last = capsys.readouterr().out.splitlines()
    assert found == [f"pvc://models/support: 2 files verified, {adapter.digest}",
                     f"the base model pvc://models/base: verified, {adapter.base_digest}"]
    verified = parse_verified(last)
    assert verified
    assert verified.seconds >= 0
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", verified.time)


def test_nothing_is_served_before_it_is_verified(
    claims: Path, adapter: ArtifactStatus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[str] = []
    monkeypatch.setattr(verbs, "verify", lambda _spec, artifact: steps.append(artifact.digest))
    monkeypatch.setattr(verbs, "serve", lambda _spec: len(steps.append("engine") or steps))
    code, _ = run(tmp_path, "serve", spec_for(claims, adapter))
    assert (code, steps) == (2, [adapter.digest, "engine"])


def test_a_run_serves_its_own_workspace_unpinned(
    claims: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine of an evaluate pod: the same run made the files, in the same volume."""
    monkeypatch.setattr(verbs, "serve", lambda _spec: 42)
    assert run(tmp_path, "serve", spec_for(claims, None)) == (42, {})


@pytest.mark.parametrize(("file", "words"), [
    ("support/adapter_model.safetensors", "adapter_model.safetensors has sha256"),
    ("support/manifest.json", "manifest.json has digest"),
    ("base/model.safetensors", "the base model pvc://models/base"),
    ("base/tokenizer.json", "the base model pvc://models/base"),
])
def test_serve_refuses_a_changed_file(claims: Path, adapter: ArtifactStatus, file: str, words: str) -> None:
    path = claims / "models" / file
    data = path.read_bytes()
    path.write_bytes((b"{ " if file.endswith(".json") else b"~") + data[1:])
    with pytest.raises((ServerError, ArtifactError), match=re.escape(words)):
        verify(spec_for(claims, adapter), adapter, claims)


def test_serve_refuses_a_base_with_a_file_more(claims: Path, adapter: ArtifactStatus) -> None:
    (claims / "models" / "base" / "generation_config.json").write_text("{}")
    with pytest.raises(ServerError, match="a file was changed, added or removed"):
        verify(spec_for(claims, adapter), adapter, claims)


def test_serve_refuses_a_manifest_that_reaches_outside(claims: Path, adapter: ArtifactStatus, tmp_path: Path) -> None:
    folder = claims / "models" / "support"
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][0]["path"] = "../base/config.json"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    pinned = resolve(folder, adapter.uri)
    with pytest.raises(ArtifactError, match="is outside"):
        verify(spec_for(claims, pinned), pinned, claims)


def test_a_complete_model_with_a_manifest_must_also_be_loadable(claims: Path, adapter: ArtifactStatus) -> None:
    from anneal_api.artifact import BaseModelRef

    folder = write_model(claims / "models" / "full")
    (folder / "config.json").unlink()
    digest = write_manifest(folder, "model", BaseModelRef(uri="pvc://models/base", digest=adapter.base_digest))
    full = ArtifactStatus(uri="pvc://models/full", digest=digest, kind="model")
    with pytest.raises(ServerError, match=r"has no config\.json"):
        verify(spec_for(claims, full), full, claims)


def test_a_failure_reaches_the_operator(tmp_path: Path, claims: Path) -> None:
    unpinned = ArtifactStatus(uri="hf://a/b", digest="", kind="model")
    code, message = run(tmp_path, "serve", spec_for(claims, unpinned))
    assert code == ExitCode.BAD_CONFIG
    assert message == {"message": "hf://a/b is not a pvc:// URI; artifacts are served from claims"}


def test_a_spec_of_another_version_is_refused(tmp_path: Path) -> None:
    spec_file, log = tmp_path / "serve.json", tmp_path / "log"
    spec_file.write_text('{"schemaVersion": 2, "models": []}')
    assert program.main(["serve", "--spec", str(spec_file), "--termination-log", str(log)]) == ExitCode.BAD_CONFIG
    assert "is not a ServeSpec of schema 1" in json.loads(log.read_text())["message"]


@pytest.mark.parametrize(("number", "code"), [
    (errno.ENOSPC, ExitCode.DISK_FULL), (errno.EIO, ExitCode.STORAGE_UNAVAILABLE),
    (errno.ESTALE, ExitCode.STORAGE_UNAVAILABLE)])
def test_storage_that_fails_is_told_apart_from_bad_files(
    tmp_path: Path, claims: Path, adapter: ArtifactStatus, monkeypatch: pytest.MonkeyPatch, number: int, code: ExitCode,
) -> None:
    def broken(_spec: ServeSpec, _artifact: ArtifactStatus) -> None:
        raise OSError(number, "broken", "/mnt/pvc/models")

    monkeypatch.setattr(verbs, "verify", broken)
    assert run(tmp_path, "serve", spec_for(claims, adapter)) == (code, {"message": "/mnt/pvc/models: broken"})


@pytest.mark.parametrize("letter", ["a", "ä", "\U0001f525"])
def test_a_long_message_is_still_a_document(tmp_path: Path, letter: str) -> None:
    log = tmp_path / "log"
    verbs.fail(log, ExitCode.MODEL_MISMATCH, letter * 5000)
    assert MAX_TERMINATION_BYTES * 3 // 4 < len(log.read_bytes()) <= MAX_TERMINATION_BYTES
    assert set(json.loads(log.read_text())["message"]) == {letter}


def test_an_unpinned_hub_model_is_refused(claims: Path, adapter: ArtifactStatus) -> None:
    hub = adapter.model_copy(update={"base_uri": "hf://owner/name"})
    with pytest.raises(ServerError, match="hf://owner/name is not pinned to a commit"):
        verify(spec_for(claims, hub), hub, claims)
