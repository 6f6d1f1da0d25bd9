"""Reading rows from JSON and JSONL that strangers wrote: memory stays bounded and every refusal names its line.

`read_rows` yields (line, value) pairs; what is wrong with a line goes to a `Problems` list, so that one run shows
many mistakes. A file that is no JSON at all ends at once.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from anneal_trainer.errors import BadData, DatasetNotFound

log = logging.getLogger(__name__)

MAX_LINE_BYTES = 16 << 20
MAX_ARRAY_BYTES = 512 << 20
MAX_PROBLEMS = 20

_OTHER_FORMATS = {
    b"PAR1": "a Parquet file",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x80\x02": "a Python pickle",
    b"\x80\x04": "a Python pickle",
    b"\x80\x05": "a Python pickle",
    b"ARROW1": "an Arrow file",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_BOM = b"\xef\xbb\xbf"


class Problems:
    """What is wrong with a file, the first MAX_PROBLEMS of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.found: list[str] = []

    def add(self, line: int, what: str) -> None:
        """Note a problem; at the limit the file is given up."""
        self.found.append(f"{self.name}:{line} {what}")
        if len(self.found) >= MAX_PROBLEMS:
            self.raise_if_any()

    def raise_if_any(self) -> None:
        """Log every problem and raise the first."""
        if not self.found:
            return
        for problem in self.found:
            log.error(problem)
        more = len(self.found) - 1
        count = f"at least {more}" if len(self.found) >= MAX_PROBLEMS else str(more)
        raise BadData(self.found[0] + (f" ({count} more: see the log)" if more else ""))


class _Refused(ValueError):
    """JSON that Python would accept and we do not."""


def read_rows(path: Path, problems: Problems) -> Iterator[tuple[int, Any]]:
    """Every row with its line (JSONL) or its number (JSON array), both from 1."""
    if not path.is_file():
        kind = "is a folder; a .json or .jsonl file is needed" if path.is_dir() else "does not exist"
        raise DatasetNotFound(f"{path} {kind}. Fix: correct the uri, or put the file into the claim.")
    _refuse_other_formats(path)
    rows = _read_array(path) if path.suffix == ".json" else _read_json_lines(path, problems)
    count = 0
    for row in rows:
        count += 1
        yield row
    if not count and not problems.found:
        raise BadData(f"{path.name} has no rows. Fix: put one JSON object per line into it.")


def _refuse_other_formats(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(8)
    for magic, kind in _OTHER_FORMATS.items():
        if head.startswith(magic):
            raise BadData(
                f"{path.name} is {kind}, not {path.suffix.lstrip('.').upper()}. Fix: convert it to UTF-8 JSON Lines."
            )


def _read_json_lines(path: Path, problems: Problems) -> Iterator[tuple[int, Any]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                problems.add(
                    number, f"is longer than {MAX_LINE_BYTES >> 20} MiB. Fix: put one JSON object on each line."
                )
                problems.raise_if_any()
            text = line.removeprefix(_BOM) if number == 1 else line
            if not text.strip():
                continue
            try:
                value = parse(text)
            except _Refused as error:
                problems.add(number, str(error))
                continue
            if number == 1 and isinstance(value, list):
                raise BadData(
                    f"{path.name}:1 is a JSON array, not an object. Fix: name the file .json, or write one object "
                    f"per line."
                )
            yield number, value


def _read_array(path: Path) -> Iterator[tuple[int, Any]]:
    if (size := path.stat().st_size) > MAX_ARRAY_BYTES:
        raise BadData(
            f"{path.name} has {size >> 20} MiB; a .json file is read whole and may have {MAX_ARRAY_BYTES >> 20}. "
            "Fix: use .jsonl, one object per line, which is streamed."
        )
    data = path.read_bytes().removeprefix(_BOM)
    if not data.strip():
        raise BadData(f"{path.name} is empty. Fix: put a JSON array of rows into it.")
    try:
        value = parse(data)
    except _Refused as error:
        raise BadData(f"{path.name} {error}") from None
    if not isinstance(value, list):
        raise BadData(
            f"{path.name} is {type_name(value)}, not an array of rows. Fix: put [ ] around it, or name it .jsonl."
        )
    yield from enumerate(value, start=1)


def parse(data: bytes) -> Any:
    """Strict JSON. Raises a ValueError whose text goes behind the name of file and line."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _Refused(
            f"is not UTF-8 at byte {error.start} (0x{data[error.start]:02x}). Fix: save the file as UTF-8."
        ) from None
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        where = f"column {error.pos + 1}" if error.lineno == 1 else f"line {error.lineno} column {error.colno}"
        cut = " (cut off?)" if error.pos >= len(text.rstrip()) or "Unterminated" in error.msg else ""
        raise _Refused(f"is not valid JSON: {error.msg} at {where}{cut}. Fix: correct or remove it.") from None
    except RecursionError:
        raise _Refused("is nested too deeply. Fix: rows are flat objects.") from None
    except UnicodeEncodeError:
        raise _Refused(
            "contains half of a surrogate pair (\\ud800 to \\udfff). Fix: write the whole character."
        ) from None
    except _Refused:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise _Refused(f"is not valid JSON: {error}. Fix: write it as text.") from None
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        double = next(key for index, (key, _) in enumerate(pairs) if key in dict(pairs[:index]))
        raise _Refused(f'has the key "{double}" twice in one object. Fix: keep one of them.')
    return found


def _no_constant(text: str) -> float:
    raise _Refused(f"contains the number {text}, which is not JSON. Fix: use null or leave the key out.")


def _finite(text: str) -> float:
    if (value := float(text)) in (float("inf"), float("-inf")):
        raise _Refused(f"contains the number {text[:32]}, which is too large. Fix: use a smaller one.")
    return value


def type_name(value: object) -> str:
    """The JSON name of a value's type."""
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
