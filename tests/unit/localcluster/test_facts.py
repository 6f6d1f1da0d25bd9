"""Reading the kernel's tables."""

import socket

from anneal_localcluster.facts import parse_listeners

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(endpoint: str, state: str, inode: int) -> str:
    return f"   0: {endpoint} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0\n"


def test_only_listening_sockets_count() -> None:
    table = HEADER + row("0100007F:0948", "0A", 11) + row("0100007F:0949", "01", 12)
    assert parse_listeners(table) == {"11": ("127.0.0.1", 0x948)}


def test_ipv6_wildcard() -> None:
    assert parse_listeners(HEADER + row(f"{'0' * 32}:192B", "0A", 5)) == {"5": ("::", 6443)}


def test_a_real_listener_is_found_in_the_real_table() -> None:
    with socket.socket() as server, open("/proc/net/tcp") as table:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert server.getsockname() in parse_listeners(table.read()).values()
