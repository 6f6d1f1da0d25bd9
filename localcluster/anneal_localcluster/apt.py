"""Installing what is missing with apt, on Debian and Ubuntu; everybody who installs comes through here."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from anneal_localcluster.shell import exclusive, run, say

ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive"}


def available() -> bool:
    return shutil.which("apt-get") is not None


def install(packages: Sequence[str]) -> None:
    """One after the other: apt-get does not wait for another one that reads the package lists, but fails at once."""
    with exclusive("apt"):
        say(f"  installing with apt: {', '.join(packages)}")
        run(["apt-get", "update", "-q"], environment=ENVIRONMENT)
        run(
            ["apt-get", "install", "-qy", "-o", "DPkg::Lock::Timeout=300", "--no-install-recommends", *packages],
            environment=ENVIRONMENT,
        )
