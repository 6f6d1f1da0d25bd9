"""Configuration files and command lines, for one pretended cluster."""

import base64
import json
import tomllib
from pathlib import Path

import pytest

from anneal_localcluster import components, configs
from anneal_localcluster.bootstrap import cpus_kept_from_pods, nameservers
from anneal_localcluster.components import Site
from anneal_localcluster.settings import Folders, Network, Ports


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folders = Folders(state=tmp_path / "state", run=tmp_path / "run")
    network = Network(pods="10.200.0.0/16", services="10.201.0.0/16")
    return Site(Path("/cache/anneal-node"), folders, network, Ports(), api_address=network.bridge_address)


def test_the_bridge_takes_the_first_address_of_the_pod_range(site: Site) -> None:
    assert site.api_url == "https://10.200.0.1:6443"
    assert site.network.bridge_interface == "10.200.0.1/16"
    assert site.network.api_service == "10.201.0.1"


def test_the_kubeconfig_carries_its_certificates(site: Site) -> None:
    document = json.loads(configs.kubeconfig(site, b"authority", b"certificate", b"key"))
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    assert cluster["server"] == site.api_url
    assert base64.b64decode(cluster["certificate-authority-data"]) == b"authority"
    assert base64.b64decode(user["client-key-data"]) == b"key"


def test_containerd_keeps_its_images_in_the_cache_and_everything_else_below_run(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANNEAL_CACHE", str(tmp_path / "cache"))
    document = tomllib.loads(configs.containerd(site, "/usr/lib/cni"))
    assert document["root"] == str(tmp_path / "cache" / "containerd")
    assert document["state"].startswith(str(site.folders.run))
    assert document["grpc"]["address"] == str(site.folders.containerd_socket)


def test_the_kubelet_runs_on_both_cgroup_versions_and_never_collects_images(site: Site) -> None:
    document = json.loads(configs.kubelet(site, cpus_kept_from_pods=0))
    assert (document["failCgroupV1"], document["cgroupDriver"]) == (False, "cgroupfs")
    assert document["imageGCHighThresholdPercent"] == 100
    assert document["clusterDNS"] == ["10.200.0.1"]
    assert "systemReserved" not in document


def test_cpus_that_pods_may_not_use_are_reserved(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    kept = cpus_kept_from_pods(6)
    assert json.loads(configs.kubelet(site, kept))["systemReserved"] == {"cpu": "2"}
    assert cpus_kept_from_pods(16) == 0


def test_dns_without_a_server_to_ask_still_starts(site: Site) -> None:
    assert "forward" not in configs.corefile(site, [])
    assert "forward . 192.0.2.53 2001:db8::53" in configs.corefile(site, ["192.0.2.53", "2001:db8::53"])


def test_nameservers_are_read_like_the_resolver_does() -> None:
    text = "# comment\nsearch example.org\nnameserver 192.0.2.53\nnameserver\n  nameserver 2001:db8::53 \n"
    assert nameservers(text) == ["192.0.2.53", "2001:db8::53"]


def test_nothing_listens_beyond_this_machine(site: Site) -> None:
    """The API server has an administrator without a password on it: only loopback and the bridge."""
    every = [*components.api(site), *components.controllers(site)]
    bound = [flag for command in every for flag in command.argv if "bind-address=" in flag or "listen-" in flag]
    assert bound
    assert [flag for flag in bound if "127.0.0.1" not in flag and site.network.bridge_address not in flag] == []


def test_every_process_is_marked_so_that_down_finds_it(site: Site) -> None:
    every = [
        *components.api(site),
        *components.controllers(site),
        components.containerd(site, "/usr/bin/containerd"),
        *components.node(site, fake_gpus=1),
    ]
    assert {command.environment["ANNEAL_LOCALCLUSTER"] for command in every} == {str(site.folders.state)}


def test_no_fake_gpus_no_plugin(site: Site) -> None:
    assert "fake-gpus" not in [command.name for command in components.node(site, fake_gpus=0)]
    plugin = components.node(site, fake_gpus=4)[-1]
    assert plugin.argv[1:] == ["fake-gpus", "--count=4"]
