"""The image archive that is written without any image tool."""

import hashlib
import io
import json
import tarfile

import pytest

from anneal_localcluster import images


def test_one_static_program_becomes_a_runnable_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "machine_architecture", lambda: "amd64")
    archive = images.scratch_image("localhost/x:1", "pause", b"program")
    with tarfile.open(fileobj=io.BytesIO(archive)) as outer:
        files = {name: outer.extractfile(name).read() for name in outer.getnames()}  # type: ignore[union-attr]
    manifest = json.loads(files["manifest.json"])[0]
    config = json.loads(files[manifest["Config"]])
    layer = files[manifest["Layers"][0]]
    assert manifest["RepoTags"] == ["localhost/x:1"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert config["config"]["Entrypoint"] == ["/pause"]
    with tarfile.open(fileobj=io.BytesIO(layer)) as inner:
        entry = inner.getmember("pause")
    assert (entry.mode, entry.size) == (0o755, len(b"program"))
