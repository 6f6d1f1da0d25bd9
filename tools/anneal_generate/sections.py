"""Generated parts of pages that people write: what stands between two marker lines.

    <!-- begin generated: NAME -->
    <!-- end generated: NAME -->
"""

from pathlib import Path

from anneal_generate import figures, memory

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


def files() -> dict[str, str]:
    """Pages with parts that are made from code and from kept figures."""
    parts = {
        "docs/explanation/memory.md": {"memory": memory.tables()},
        "docs/explanation/prompting-retrieval-fine-tuning.md": {"methods": figures.methods(RESULTS)},
        "docs/benchmarks.md": {"tax": figures.tax(RESULTS), "controller": figures.controller(RESULTS),
                               "walltimes": figures.walltimes(RESULTS)},
    }
    return {page: _page(page, contents) for page, contents in parts.items()}


def _page(page: str, contents: dict[str, str]) -> str:
    text = (ROOT / page).read_text()
    for name, content in contents.items():
        text = replace(text, name, content)
    return text


def replace(page: str, name: str, content: str) -> str:
    """The page with this part anew. Raises ValueError where the page has no such part."""
    begin, end = f"<!-- begin generated: {name} -->", f"<!-- end generated: {name} -->"
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"the page has no part {name!r}; write `{begin}` and `{end}`")
    return f"{head}{begin}\n\n{content.strip()}\n\n{end}{tail}"
