"""What `down` takes away, and what it leaves."""

from pathlib import Path

import pytest

from anneal_localcluster import teardown
from anneal_localcluster.errors import ClusterError
from anneal_localcluster.settings import Folders


def test_a_folder_that_is_not_ours_is_never_removed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    with pytest.raises(ClusterError, match="does not look like a control plane of ours"):
        teardown.down(Folders(state=tmp_path, run=tmp_path / "run"))
    assert precious.read_text() == "kept"


def test_without_a_cluster_down_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    teardown.down(Folders(state=tmp_path / "none", run=tmp_path / "none" / "run"))
    assert "nothing to remove" in capsys.readouterr().err


def test_only_network_results_of_our_containers_go(tmp_path: Path) -> None:
    for name in ("anneal-localcluster-c1-eth0", "cni-loopback-c1-lo", "cni-loopback-c2-lo", "podman-c3-eth0"):
        (tmp_path / name).touch()
    teardown.remove_network_results(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["cni-loopback-c2-lo", "podman-c3-eth0"]
