"""Human log lines on stdout, beside the JSON progress lines; times are UTC in RFC 3339."""

import logging
import sys
import time
from datetime import UTC, datetime

from anneal_trainer.secrecy import hide


def now() -> str:
    """This moment, RFC 3339 in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return hide(super().format(record))


def set_up() -> None:
    """Send the log of our package to stdout; libraries may only warn."""
    formatter = _Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("anneal_trainer").setLevel(logging.INFO)
