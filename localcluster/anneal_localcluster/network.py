"""The bridge, the routes, the kernel settings and the firewall rules of the cluster, made and taken away."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from anneal_localcluster.settings import BRIDGE, Network
from anneal_localcluster.shell import attempt, run

# Who loses to every other route, and so only catches what nobody serves.
LAST_METRIC = "4294967294"
CHAIN = "ANNEAL-LOCALCLUSTER"
OUR_CHAINS = re.compile(r"(?:KUBE-|CNI-|ANNEAL-)")
# We, kube-proxy and the kubelet change these; `down` puts the old values back.
KERNEL_SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "vm/overcommit_memory",
    "kernel/panic",
    "kernel/panic_on_oops",
)


def create(network: Network) -> None:
    if attempt(["ip", "link", "show", BRIDGE]).returncode:
        run(["ip", "link", "add", BRIDGE, "type", "bridge"])
    run(["ip", "address", "replace", network.bridge_interface, "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    for subnet in (network.pods, network.services):
        run(["ip", "route", "replace", "unreachable", subnet, "metric", LAST_METRIC])
    write_kernel_setting("net/ipv4/ip_forward", "1")
    allow_forwarding()


def allow_forwarding() -> None:
    """Hosts with Docker or a firewall drop forwarded packets unless a rule lets them through."""
    if attempt(["iptables", "-w", "-L", CHAIN, "-n"]).returncode:
        run(["iptables", "-w", "-N", CHAIN])
    run(["iptables", "-w", "-F", CHAIN])
    run(["iptables", "-w", "-A", CHAIN, "-i", BRIDGE, "-j", "ACCEPT"])
    run(["iptables", "-w", "-A", CHAIN, "-o", BRIDGE, "-j", "ACCEPT"])
    for parent in ("FORWARD", "INPUT"):
        if attempt(["iptables", "-w", "-C", parent, "-j", CHAIN]).returncode:
            run(["iptables", "-w", "-I", parent, "-j", CHAIN])


def remove(network: Network) -> None:
    """Each part may be gone already."""
    for link in links_on_bridge():
        attempt(["ip", "link", "delete", link])
    attempt(["ip", "link", "delete", BRIDGE])
    for subnet in (network.pods, network.services):
        attempt(["ip", "route", "delete", "unreachable", subnet, "metric", LAST_METRIC])
    for family in ("iptables", "ip6tables"):
        remove_rules(family)


def traces() -> list[str]:
    """What of our network is still there."""
    found = [] if attempt(["ip", "link", "show", BRIDGE]).returncode else [f"link {BRIDGE}"]
    listing = attempt(["ip", "route", "show", "type", "unreachable"]).stdout.splitlines()
    found += [f"route {route.strip()}" for route in listing if LAST_METRIC in route]
    for family in ("iptables", "ip6tables"):
        if cleanup_script(attempt([f"{family}-save"]).stdout):
            found.append(f"{family} rules")
    return found


def links_on_bridge() -> list[str]:
    listing = attempt(["ip", "-j", "link", "show", "master", BRIDGE])
    return [link["ifname"] for link in json.loads(listing.stdout or "[]")] if not listing.returncode else []


def remove_rules(family: str) -> None:
    saved = attempt([f"{family}-save"])
    if saved.returncode:
        return
    script = cleanup_script(saved.stdout)
    if script:
        run([f"{family}-restore", "-w", "--noflush"], text=script)


def cleanup_script(saved: str) -> str:
    """From `iptables-save` output to `iptables-restore` input that removes our chains and rules.

    Chains are flushed before any is deleted, because they refer to each other.
    """
    tables: list[str] = []
    for name, lines in split_tables(saved):
        chains = [line[1:].split()[0] for line in lines if line.startswith(":") and OUR_CHAINS.match(line[1:])]
        rules = [f"-D {line[3:]}" for line in lines if is_our_rule_in_builtin_chain(line)]
        if chains or rules:
            flush = [f"-F {chain}" for chain in chains]
            delete = [f"-X {chain}" for chain in chains]
            tables.append("\n".join([f"*{name}", *rules, *flush, *delete, "COMMIT"]))
    return "\n".join(tables) + "\n" if tables else ""


def split_tables(saved: str) -> Iterator[tuple[str, list[str]]]:
    name: str = ""
    lines: list[str] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            name, lines = line[1:], []
        elif line == "COMMIT":
            yield name, lines
        else:
            lines.append(line)


def is_our_rule_in_builtin_chain(line: str) -> bool:
    words = line.split()
    if len(words) < 2 or words[0] != "-A" or OUR_CHAINS.match(words[1]):
        return False
    return any(OUR_CHAINS.match(words[at + 1]) for at, word in enumerate(words[:-1]) if word in ("-j", "-g"))


def kernel_settings() -> dict[str, str]:
    values = {}
    for name in KERNEL_SETTINGS:
        file = Path("/proc/sys") / name
        if file.exists():
            values[name] = file.read_text().strip()
    return values


def write_kernel_setting(name: str, value: str) -> None:
    file = Path("/proc/sys") / name
    if file.read_text().strip() != value:
        file.write_text(value)
