"""Write every generated file, or with --check say which are stale: `make generate`, `make check`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from anneal_generate import argocd, chart, cli, crds, dashboards, kustomize, reference, sections, writes
from anneal_localcluster.errors import ClusterError

ROOT = Path(__file__).resolve().parents[1]
# Folders that hold generated files only: a file that nothing writes any more is stale too.
OWNED = (
    "manifests/crds",
    "manifests/rbac",
    "manifests/operator",
    "charts/anneal/templates/crds",
    "charts/anneal/dashboards",
    "docs/reference",
    "tests/golden/chart",
)


def writers() -> tuple[Callable[[], dict[str, str]], ...]:
    """In order: the kustomize folders are rendered from the chart, so its files must be there before."""
    return (crds.files, chart.files, dashboards.files, reference.files, cli.files, sections.files,
            lambda: argocd.files(ROOT), lambda: kustomize.files(ROOT), lambda: writes.files(ROOT))


def write() -> None:
    """Write what differs and remove what nothing writes any more."""
    wanted: dict[str, str] = {}
    for writer in writers():
        files = writer()
        for path, text in files.items():
            _write(ROOT / path, text)
        wanted |= files
    for path in _strays(wanted):
        (ROOT / path).unlink()
        print(f"removed {path}")


def _write(path: Path, text: str) -> None:
    if not _holds(path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(f"wrote {path.relative_to(ROOT)}")


def _holds(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def stale() -> list[str]:
    """Paths whose content is not what would be written."""
    wanted = {path: text for writer in writers() for path, text in writer().items()}
    different = [path for path, text in wanted.items() if not _holds(ROOT / path, text)]
    return sorted([*different, *_strays(wanted)])


def _strays(wanted: dict[str, str]) -> list[str]:
    found = (path for folder in OWNED for path in (ROOT / folder).rglob("*") if path.is_file())
    return [name for path in found if (name := str(path.relative_to(ROOT))) not in wanted]


def main() -> int:
    """Exit code 1 when something is stale or Helm is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is stale")
    try:
        if not parser.parse_args().check:
            write()
            return 0
        names = stale()
    except ClusterError as error:
        print(f"Helm is needed to render the chart and cannot be built: {error}", file=sys.stderr)
        return 1
    for name in names:
        print(f"stale: {name}; run `make generate`", file=sys.stderr)
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
