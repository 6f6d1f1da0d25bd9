"""Generated parts of pages that people write: what stands between two marker lines.

    <!-- begin generated: NAME -->
    <!-- end generated: NAME -->
"""

from pathlib import Path

from anneal_generate import memory

ROOT = Path(__file__).resolve().parents[2]


def files() -> dict[str, str]:
    """Pages with parts that are made from code."""
    page = "docs/explanation/memory.md"
    return {page: replace((ROOT / page).read_text(), "memory", memory.tables())}


def replace(page: str, name: str, content: str) -> str:
    """The page with this part anew. Raises ValueError where the page has no such part."""
    begin, end = f"<!-- begin generated: {name} -->", f"<!-- end generated: {name} -->"
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page has no part {name!r}; write `{begin}` and `{end}`")
    return f"{head}{begin}\n\n{content.strip()}\n\n{end}{tail}"
