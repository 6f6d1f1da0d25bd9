"""Pure: the command line of every part of the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from anneal_localcluster.processes import Command
from anneal_localcluster.settings import (
    CLUSTER_DOMAIN,
    MARK,
    NODE_NAME,
    STORAGE_PROVISIONER,
    Folders,
    Network,
    Ports,
)


@dataclass(frozen=True)
class Site:
    """One cluster: its binary, folders and addresses. `api_address` is loopback where there is no node."""

    binary: Path
    folders: Folders
    network: Network
    ports: Ports
    api_address: str

    @property
    def api_url(self) -> str:
        return f"https://{self.api_address}:{self.ports.apiserver}"

    @property
    def has_node(self) -> bool:
        return self.api_address != "127.0.0.1"

    def certificate(self, name: str) -> str:
        return str(self.folders.pki / f"{name}.crt")

    def key(self, name: str) -> str:
        return str(self.folders.pki / f"{name}.key")

    def kubeconfig(self, user: str) -> str:
        return str(self.folders.config / f"{user}.kubeconfig")

    @property
    def environment(self) -> dict[str, str]:
        """A proxy that the machine needs for the internet does not know the way to this cluster."""
        direct = f"{self.network.pods},{self.network.services},127.0.0.1,localhost"
        return {MARK: str(self.folders.state), "NO_PROXY": direct}

    def command(self, part: str, *arguments: str) -> Command:
        return Command(part, [str(self.binary), part, *arguments], self.environment)


def api(site: Site) -> list[Command]:
    return [etcd(site), apiserver(site)]


def controllers(site: Site) -> list[Command]:
    """Start them when the API is ready: before, they are refused what they read first and give up."""
    return [controller_manager(site), scheduler(site)]


def node(site: Site, fake_gpus: int) -> list[Command]:
    """Everything but containerd, which must answer before the kubelet starts."""
    parts = [kubelet(site), proxy(site), dns(site), volumes(site)]
    if fake_gpus:
        parts.append(site.command("fake-gpus", f"--count={fake_gpus}"))
    return parts


def etcd(site: Site) -> Command:
    client = f"https://127.0.0.1:{site.ports.etcd}"
    peer = f"https://127.0.0.1:{site.ports.etcd_peer}"
    arguments = {
        "name": "local",
        "data-dir": str(site.folders.state / "etcd"),
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"local={peer}",
        "trusted-ca-file": site.certificate("etcd-ca"),
        "cert-file": site.certificate("etcd-server"),
        "key-file": site.key("etcd-server"),
        "client-cert-auth": "true",
        "peer-trusted-ca-file": site.certificate("etcd-ca"),
        "peer-cert-file": site.certificate("etcd-server"),
        "peer-key-file": site.key("etcd-server"),
        "peer-client-cert-auth": "true",
        # The data is worth one demo: not waiting for the disk on each write makes it several times faster.
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }
    return site.command("etcd", *flags(arguments))


def apiserver(site: Site) -> Command:
    arguments = {
        "bind-address": site.api_address,
        "advertise-address": site.api_address,
        "secure-port": str(site.ports.apiserver),
        # Loopback is not a valid endpoint address, so without a node nobody publishes one.
        "endpoint-reconciler-type": "lease" if site.has_node else "none",
        "service-cluster-ip-range": site.network.services,
        "etcd-servers": f"https://127.0.0.1:{site.ports.etcd}",
        "etcd-cafile": site.certificate("etcd-ca"),
        "etcd-certfile": site.certificate("etcd-client"),
        "etcd-keyfile": site.key("etcd-client"),
        "client-ca-file": site.certificate("ca"),
        "tls-cert-file": site.certificate("apiserver"),
        "tls-private-key-file": site.key("apiserver"),
        "kubelet-certificate-authority": site.certificate("ca"),
        "kubelet-client-certificate": site.certificate("apiserver-kubelet"),
        "kubelet-client-key": site.key("apiserver-kubelet"),
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": f"https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
        "service-account-key-file": str(site.folders.pki / "service-account.pub"),
        "service-account-signing-key-file": site.key("service-account"),
        "requestheader-client-ca-file": site.certificate("front-proxy-ca"),
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": site.certificate("front-proxy"),
        "proxy-client-key-file": site.key("front-proxy"),
        # Service addresses exist only for pods: the API server on the host calls webhooks by endpoint.
        "enable-aggregator-routing": "true",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction,PodSecurity",
        "allow-privileged": "true",
        "profiling": "false",
    }
    return site.command("kube-apiserver", *flags(arguments))


def controller_manager(site: Site) -> Command:
    kubeconfig = site.kubeconfig("controller-manager")
    arguments = {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "secure-port": str(site.ports.controller_manager),
        "cluster-cidr": site.network.pods,
        "service-cluster-ip-range": site.network.services,
        "root-ca-file": site.certificate("ca"),
        "service-account-private-key-file": site.key("service-account"),
        "cluster-signing-cert-file": site.certificate("ca"),
        "cluster-signing-key-file": site.key("ca"),
        "use-service-account-credentials": "true",
        "leader-elect": "false",
        # The default of 20 calls a second makes a fresh cluster wait seconds for its service accounts.
        "kube-api-qps": "200",
        "kube-api-burst": "400",
    }
    return site.command("kube-controller-manager", *flags(arguments))


def scheduler(site: Site) -> Command:
    kubeconfig = site.kubeconfig("scheduler")
    arguments = {
        "kubeconfig": kubeconfig,
        "authentication-kubeconfig": kubeconfig,
        "authorization-kubeconfig": kubeconfig,
        "bind-address": "127.0.0.1",
        "secure-port": str(site.ports.scheduler),
        "leader-elect": "false",
    }
    return site.command("kube-scheduler", *flags(arguments))


def containerd(site: Site, program: str) -> Command:
    config = str(site.folders.config / "containerd.toml")
    return Command("containerd", [program, "--config", config], {MARK: str(site.folders.state)})


def ask_runtime(site: Site, part: str) -> list[str]:
    """A short call of ours to containerd's CRI."""
    return [str(site.binary), part, f"--endpoint=unix://{site.folders.containerd_socket}"]


def kubelet(site: Site) -> Command:
    arguments = {
        "config": str(site.folders.config / "kubelet.yaml"),
        "kubeconfig": site.kubeconfig("kubelet"),
        "root-dir": str(site.folders.state / "kubelet"),
        "node-ip": site.network.bridge_address,
        "hostname-override": NODE_NAME,
    }
    return site.command("kubelet", *flags(arguments))


def proxy(site: Site) -> Command:
    return site.command("kube-proxy", f"--config={site.folders.config / 'kube-proxy.yaml'}")


def dns(site: Site) -> Command:
    return site.command("coredns", "-conf", str(site.folders.config / "Corefile"))


def volumes(site: Site) -> Command:
    arguments = {
        "kubeconfig": str(site.folders.kubeconfig),
        "root": str(site.folders.volumes),
        "provisioner": STORAGE_PROVISIONER,
    }
    return site.command("volumes", *flags(arguments))


def flags(arguments: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in arguments.items()]
