"""python -S -m anneal_server.probe SPEC: has the engine completed a real prompt under every name it should answer to?

It waits for the engine instead of being started again and again: each start would take 0.1 s and more of the CPU that
the engine loads with. For the same reason the standard library only, the spec read as plain JSON, and no site-packages.
"""

import http.client
import json
import sys
import time
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
WAIT_SECONDS = 25.0
"""Less than the timeoutSeconds of the startup probe, so that the reason is still said."""
POLL_SECONDS = 0.5
PROMPT = "Hello"


class NotReadyError(Exception):
    """Why not yet, in one line."""


def probe(spec_file: Path, wait_seconds: float = WAIT_SECONDS) -> int:
    """0 as soon as every model of the spec answers; 1 and one line on why when that takes too long."""
    deadline = time.monotonic() + wait_seconds
    while problem := _problem(spec_file):
        if time.monotonic() + POLL_SECONDS > deadline:
            sys.stderr.write(f"not ready: {problem}\n")
            return 1
        time.sleep(POLL_SECONDS)
    sys.stdout.write("ready\n")
    return 0


def _problem(spec_file: Path) -> str:
    """Why not yet; empty when all answer."""
    try:
        for port, names in expected(json.loads(spec_file.read_bytes())).items():
            check(port, names)
    except (NotReadyError, OSError, ValueError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    return ""


def expected(spec: dict[str, Any]) -> dict[int, list[str]]:
    """Names that each port must answer to: model i on port + i, adapters beside the first."""
    first = int(spec.get("port", 8000))
    names = {first + index: [str(model["name"])] for index, model in enumerate(spec["models"])}
    names[first].extend(str(adapter["name"]) for adapter in spec.get("adapters", []))
    return names


def check(port: int, names: list[str]) -> None:
    """Raise NotReadyError unless the port lists all names and completes a token with each."""
    listed = {str(model["id"]) for model in ask(port, "GET", "/v1/models")["data"]}
    if absent := [name for name in names if name not in listed]:
        others = ", ".join(sorted(listed)) or "nothing"
        raise NotReadyError(f"port {port} does not serve {absent[0]!r}; it serves {others}")
    for name in names:
        body = {"model": name, "prompt": PROMPT, "max_tokens": 1, "temperature": 0}
        if not ask(port, "POST", "/v1/completions", body).get("choices"):
            raise NotReadyError(f"{name!r} on port {port} completed nothing")


def ask(port: int, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """One request to the engine beside us."""
    connection = http.client.HTTPConnection(HOST, port, timeout=WAIT_SECONDS)
    try:
        content = json.dumps(body) if body is not None else None
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read()
    except OSError as error:
        raise NotReadyError(f"port {port} does not answer yet: {error}") from error
    finally:
        connection.close()
    if response.status != http.client.OK:
        words = text[:200].decode(errors="replace")
        raise NotReadyError(f"{method} {path} on port {port} gave {response.status}: {words}")
    found: dict[str, Any] = json.loads(text)
    return found


if __name__ == "__main__":
    sys.exit(probe(Path(sys.argv[1])))
