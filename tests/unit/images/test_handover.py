"""The archive that containerd reads: complete, without the layers it already has."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from anneal_localcluster_images import handover
from anneal_localcluster_images.handover import chain_ids, digest, write_archive
from anneal_localcluster_images.programs import ImageError
from anneal_localcluster_images.store import Layer, StoredImage

CONTENT = {"base": b"the base layer", "torch": b"the torch layer", "ours": b"our own code"}
LAYERS = tuple(Layer(digest(content), len(content), name) for name, content in CONTENT.items())
CONFIG = b'{"rootfs": {}}'
MANIFEST = json.dumps({
    "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {"digest": digest(CONFIG)},
    "layers": [{"digest": layer.digest} for layer in LAYERS]}).encode()
IMAGE = StoredImage("localhost/anneal/trainer:0123456789ab", MANIFEST, CONFIG, LAYERS)


@contextmanager
def stream(layer: Layer) -> Iterator[IO[bytes]]:
    yield io.BytesIO(CONTENT[layer.identity])


@pytest.fixture(autouse=True)
def _store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "layer_stream", stream)


def archive_of(new: tuple[Layer, ...]) -> dict[str, bytes]:
    sink = io.BytesIO()
    write_archive(sink, IMAGE, new)
    with tarfile.open(fileobj=io.BytesIO(sink.getvalue())) as archive:
        opened = {entry.name: archive.extractfile(entry) for entry in archive}
        return {name: file.read() for name, file in opened.items() if file}


def test_every_blob_lies_under_its_own_digest() -> None:
    files = archive_of(LAYERS)
    blobs = {name: content for name, content in files.items() if name.startswith("blobs/")}
    assert sorted(blobs.values()) == sorted([MANIFEST, CONFIG, *CONTENT.values()])
    assert all(name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}" for name, content in blobs.items())


def test_the_index_names_the_image() -> None:
    files = archive_of(())
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["annotations"] == {"io.containerd.image.name": IMAGE.reference}
    assert (entry["digest"], entry["size"]) == (digest(MANIFEST), len(MANIFEST))
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}


def test_layers_that_are_there_stay_out() -> None:
    contents = archive_of(LAYERS[2:]).values()
    assert CONTENT["ours"] in contents
    assert CONTENT["torch"] not in contents


def test_chain_ids_follow_the_image_specification() -> None:
    first, second, third = chain_ids(LAYERS)
    assert first == LAYERS[0].digest
    assert second == digest(f"{first} {LAYERS[1].digest}".encode())
    assert third == digest(f"{second} {LAYERS[2].digest}".encode())


def test_only_committed_snapshots_count(monkeypatch: pytest.MonkeyPatch) -> None:
    table = ("KEY                PARENT             KIND\n"
             "sha256:aaa                            Committed\n"
             "sha256:bbb         sha256:aaa         Committed\n"
             "running-container  sha256:bbb         Active\n")
    monkeypatch.setattr(handover, "ctr", lambda *words: list(words))
    monkeypatch.setattr(handover, "run", lambda argv: table)
    assert handover.snapshots() == {"sha256:aaa", "sha256:bbb"}


def test_what_was_never_built_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "ctr", lambda *words: list(words))
    monkeypatch.setattr(handover, "run", lambda argv: "there:1\n")
    monkeypatch.setattr(handover, "references", set)
    with pytest.raises(ImageError, match=r"not built yet: other:1; run: .* build"):
        handover.load(["there:1", "other:1"])
