"""JSON logs, one object a line; what is said during a pass carries the resource it is about."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pythonjsonlogger.json import JsonFormatter

_about: ContextVar[dict[str, str] | None] = ContextVar("about", default=None)


@contextmanager
def about(kind: str, namespace: str, name: str, uid: str) -> Iterator[None]:
    """Bind what is logged inside to a resource."""
    token = _about.set({"kind": kind, "namespace": namespace, "name": name, "uid": uid})
    try:
        yield
    finally:
        _about.reset(token)


class _Formatter(JsonFormatter):
    """The names of our fields; extras of libraries are left out, for they may hold whole objects."""

    def add_fields(self, log_data: dict[str, object], record: logging.LogRecord,
                   message_dict: dict[str, object]) -> None:  # noqa: ARG002
        log_data["time"] = self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}Z"
        log_data["level"] = record.levelname.lower()
        log_data["logger"] = record.name
        log_data["message"] = record.getMessage()
        if subject := _about.get():
            log_data["resource"] = subject
        if record.exc_info:
            log_data["traceback"] = self.formatException(record.exc_info)


def configure(level: str) -> None:
    """Send everything to stderr."""
    formatter = _Formatter()
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Kopf announces each event it passes on, aiohttp each scrape.
    for noisy in ("kopf", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
