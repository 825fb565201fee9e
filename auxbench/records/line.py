"""Lines: a record as a line of JSON with a checksum, which a flipped bit does not survive."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

CHECKSUM = "checksum"
_LAST = re.compile(rb', "checksum": "([0-9a-f]{16})"\}\Z')


def encode(record: Mapping[str, Any]) -> bytes:
    """The line of a record: JSON with sorted keys, and at the end its checksum.

    Numbers that JSON cannot represent (NaN, infinities) become null. Errors: `TypeError` for a
    value that JSON cannot represent.

    >>> encode({"id": "4f2a"})
    b'{"id": "4f2a", "checksum": "a5cefd353efed857"}'
    """
    text = json.dumps(_tidy(record), sort_keys=True, allow_nan=False).encode()
    return text[:-1] + f', "{CHECKSUM}": "{_digest(text)}"}}'.encode()


def decode(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """The record in a line, or None and in a few words why there is none.

    Lines without a checksum, as earlier releases wrote them, are taken as they are.

    >>> decode(encode({"id": "4f2a"}))
    ({'id': '4f2a'}, '')
    >>> decode(encode({"id": "4f2a"}).replace(b"4f2a", b"4f2b"))
    (None, 'does not have its checksum')
    """
    try:
        record = json.loads(line, parse_constant=lambda name: None)
    except (ValueError, RecursionError):  # broken JSON or broken UTF-8
        return None, "is not a complete record"
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        return None, "is not a complete record"
    told = record.pop(CHECKSUM, None)
    if told is None:
        return record, ""
    if found := _LAST.search(line):
        text = line[: found.start()] + b"}"
    else:  # written again by something that sorts its keys
        text = json.dumps(record, sort_keys=True).encode()
    if _digest(text) != told:
        return None, "does not have its checksum"
    return record, ""


def _tidy(value: Any) -> Any:
    """`value` in JSON types: numpy numbers become Python's, and non-finite ones None."""
    if isinstance(value, Mapping):
        return {str(key): _tidy(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tidy(item) for item in value]
    if getattr(value, "shape", None) == ():
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]
