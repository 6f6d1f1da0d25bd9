"""A port of a Service or pod on this machine, through `kubectl port-forward`."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

STOP_SECONDS = 10


@contextmanager
def forwarded(namespace: str, target: str, port: int, environment: Mapping[str, str]) -> Iterator[str]:
    """The URL at which `target`, such as service/support, answers here."""
    argv = ["kubectl", "port-forward", "--namespace", namespace, target, f":{port}"]
    process = subprocess.Popen(argv, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout
        # It names its port once it listens: "Forwarding from 127.0.0.1:45678 -> 8000".
        first = process.stdout.readline()
        if not first.startswith("Forwarding from 127.0.0.1:"):
            raise RuntimeError(f"`{' '.join(argv)}` said: {first}{process.stdout.read()}")
        yield f"http://127.0.0.1:{first.split(':')[1].split()[0]}"
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
