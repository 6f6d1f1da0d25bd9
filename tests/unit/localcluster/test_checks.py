"""Every refusal names what is wrong and what to do, on machines that we only pretend to have."""

from dataclasses import replace

import pytest

from anneal_localcluster.checks import CONTROLLERS, GIB, Listener, Machine, Route, judge
from anneal_localcluster.errors import ClusterError
from anneal_localcluster.settings import Network, Ports

GOOD = Machine(
    system="Linux",
    uid=0,
    free_disk=50 * GIB,
    listeners=(Listener("127.0.0.53", 53, "systemd-resolved, pid 7"), Listener("0.0.0.0", 22, "sshd, pid 9")),
    routes=(Route("192.0.2.0/24", "eth0"), Route("0.0.0.0/0", "eth0")),
    other_nodes=(),
    controllers=CONTROLLERS | {"io"},
)


def refusal(machine: Machine) -> ClusterError:
    with pytest.raises(ClusterError) as caught:
        judge(machine, Network(), Ports(), disk_needed=8 * GIB)
    assert caught.value.fix, "a refusal must say what to do"
    return caught.value


def test_a_good_machine_passes() -> None:
    assert judge(GOOD, Network(), Ports(), disk_needed=8 * GIB) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"system": "Darwin"}, ["Darwin", "Linux"]),
        ({"uid": 1000}, ["not root"]),
        ({"free_disk": 3 * GIB}, ["3.0 GiB", "8 GiB"]),
        ({"other_nodes": ("k3s-server (pid 12)",)}, ["k3s-server (pid 12)"]),
        ({"controllers": frozenset({"cpu", "memory", "pids"})}, ["cpuset"]),
        ({"routes": (Route("10.244.3.0/24", "tun0"),)}, ["pod range", "10.244.3.0/24", "tun0"]),
        ({"routes": (Route("10.0.0.0/8", "wg0"),)}, ["10.0.0.0/8", "wg0"]),
        ({"routes": (Route("10.96.0.10/32", "eth1"),)}, ["service range", "10.96.0.10/32"]),
        ({"listeners": (Listener("::", 6443, "haproxy, pid 33"),)}, ["6443", "apiserver", "haproxy, pid 33"]),
        ({"listeners": (Listener("10.244.0.1", 53, "dnsmasq, pid 4"),)}, ["53", "dns", "dnsmasq, pid 4"]),
        ({"listeners": (Listener("127.0.0.1", 2379, "etcd, pid 5"),)}, ["2379", "etcd, pid 5"]),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, object], words: list[str]) -> None:
    message = refusal(replace(GOOD, **change)).what  # type: ignore[arg-type]
    assert [word for word in words if word not in message] == []


def test_another_range_avoids_the_conflict() -> None:
    machine = replace(GOOD, routes=(Route("10.244.0.0/16", "docker0"),))
    assert judge(machine, Network(pods="10.200.0.0/16"), Ports(), disk_needed=GIB) is None


def test_the_root_check_comes_before_what_only_root_can_see() -> None:
    assert "not root" in refusal(replace(GOOD, uid=1000, free_disk=0)).what
