"""Pure: the text of every configuration file. Kubernetes reads JSON wherever it reads YAML."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from anneal_localcluster.components import Site
from anneal_localcluster.settings import (
    BRIDGE,
    CLUSTER_DOMAIN,
    NODE_NAME,
    SANDBOX_IMAGE,
    STORAGE_PROVISIONER,
)

CNI_NETWORK = "anneal-localcluster"
# Below this pods are evicted. The default of 10 and 15 % is far too much on a large disk.
DISK_FLOOR = "1Gi"


def kubeconfig(site: Site, authority: bytes, certificate: bytes, key: bytes) -> str:
    """Certificates are inside, so that the file works wherever it is copied to."""
    cluster = {"server": site.api_url, "certificate-authority-data": in_base64(authority)}
    user = {"client-certificate-data": in_base64(certificate), "client-key-data": in_base64(key)}
    name = "anneal-local"
    return render(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": user}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
    )


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def containerd(site: Site, cni_plugins: str) -> str:
    cri = '[plugins."io.containerd.grpc.v1.cri"'
    return f"""version = 2
root = "{site.folders.containerd_root}"
state = "{site.folders.run}/containerd"
# Snapshotters and services that nobody here uses cost start-up time and warnings.
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt"]

[grpc]
  address = "{site.folders.containerd_socket}"

{cri}]
  sandbox_image = "{SANDBOX_IMAGE}"
  # Without CAP_SYS_RESOURCE (nested machines) a lower score than our own cannot be written.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

{cri}.cni]
  bin_dir = "{cni_plugins}"
  conf_dir = "{site.folders.config}/cni"

{cri}.containerd]
  snapshotter = "overlayfs"

{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""


def cni(site: Site) -> str:
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isDefaultGateway": True,
        "ipMasq": True,
        # A pod may call itself through its own Service.
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(site.folders.run / "cni"),
            "ranges": [[{"subnet": site.network.pods, "gateway": site.network.bridge_address}]],
        },
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    return render({"cniVersion": "0.4.0", "name": CNI_NETWORK, "plugins": [bridge, portmap]})


def kubelet(site: Site, cpus_kept_from_pods: int) -> str:
    document: dict[str, Any] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": site.network.bridge_address,
        "port": site.ports.kubelet,
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": site.ports.kubelet_health,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": site.certificate("ca")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": site.certificate("kubelet-server"),
        "tlsPrivateKeyFile": site.key("kubelet-server"),
        "containerRuntimeEndpoint": f"unix://{site.folders.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "failCgroupV1": False,
        "failSwapOn": False,
        "clusterDomain": CLUSTER_DOMAIN,
        "clusterDNS": [site.network.bridge_address],
        "podLogsDir": str(site.folders.state / "pod-logs"),
        "volumePluginDir": str(site.folders.state / "kubelet-plugins"),
        # kube-proxy makes the chains it needs; fewer rules to take away again.
        "makeIPTablesUtilChains": False,
        # Images come from archives, not from a registry: one that is collected is gone.
        "imageGCHighThresholdPercent": 100,
        "imageMinimumGCAge": "8760h",
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": DISK_FLOOR,
            "imagefs.available": DISK_FLOOR,
        },
        "syncFrequency": "10s",
        "shutdownGracePeriod": "0s",
    }
    if cpus_kept_from_pods:
        document["systemReserved"] = {"cpu": str(cpus_kept_from_pods)}
    return render(document)


def proxy(site: Site) -> str:
    return render(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "hostnameOverride": NODE_NAME,
            "clusterCIDR": site.network.pods,
            "clientConnection": {"kubeconfig": site.kubeconfig("proxy")},
            # Without br_netfilter an answer between two pods of one bridge never meets the rule that
            # would undo the Service address: hide the caller, and the answer comes back through the host.
            # A new Service works at once rather than a second later.
            "iptables": {"masqueradeAll": True, "localhostNodePorts": False, "minSyncPeriod": "100ms"},
            "nodePortAddresses": [f"{site.network.bridge_address}/32"],
            # Zero: leave the host's connection tracking as it is.
            "conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
            "healthzBindAddress": f"127.0.0.1:{site.ports.proxy_health}",
            "metricsBindAddress": f"127.0.0.1:{site.ports.proxy_metrics}",
        }
    )


def corefile(site: Site, nameservers: Sequence[str]) -> str:
    """Without a server to ask, CoreDNS would not start: then only names of the cluster resolve."""
    forward = f"forward . {' '.join(nameservers)}" if nameservers else ""
    return f""".:{site.ports.dns} {{
    bind {site.network.bridge_address}
    errors
    health 127.0.0.1:{site.ports.dns_health}
    ready 127.0.0.1:{site.ports.dns_ready}
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {site.folders.kubeconfig}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 5
    }}
    {forward}
    cache 30
    loadbalance
}}
"""


def storage_class() -> str:
    return render(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": "standard",
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": STORAGE_PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    )


def render(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"
