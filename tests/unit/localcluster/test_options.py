"""What a second `up` may change."""

from pathlib import Path

import pytest

from anneal_localcluster.errors import ClusterError
from anneal_localcluster.options import Options, Wishes, merge, store, stored
from anneal_localcluster.settings import Folders, Network


def test_a_new_cluster_takes_defaults() -> None:
    assert merge(Wishes(fake_gpus=2), None) == Options(fake_gpus=2)


def test_what_is_not_said_stays() -> None:
    kept = Options(fake_gpus=3, cpus=4, network=Network(pods="10.200.0.0/16"))
    assert merge(Wishes(), kept) == kept


def test_fake_gpus_may_change() -> None:
    assert merge(Wishes(fake_gpus=0), Options(fake_gpus=3)).fake_gpus == 0


@pytest.mark.parametrize("wishes", [Wishes(cpus=1), Wishes(pods="10.9.0.0/16"), Wishes(services="10.8.0.0/16")])
def test_what_pods_were_started_with_may_not(wishes: Wishes) -> None:
    with pytest.raises(ClusterError, match="other options"):
        merge(wishes, Options())


def test_options_survive_the_disk(tmp_path: Path) -> None:
    folders = Folders(state=tmp_path)
    assert stored(folders) is None
    options = Options(fake_gpus=1, cpus=2, network=Network(services="10.201.0.0/16"))
    store(folders, options)
    assert stored(folders) == options
