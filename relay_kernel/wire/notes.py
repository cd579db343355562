"""What a HELLO, REFUSE or GOODBYE may say: JSON objects whose known fields have fixed types.

A field that is not known here is let through: a later version may say more.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from relay_kernel.wire.errors import ProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    # True is an int as well.
    return type(value) is int and 0 <= value < 1 << 63


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


def _is_span(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # Neither NaN nor infinity, which JSON's Python dialect has words for.
    return 0 <= value < 1e9


def _is_rhythm(value: object) -> bool:
    return _is_span(value) and value != 0


_Check = tuple["Callable[[object], bool]", str]
_TEXT: _Check = (_is_text, "a text")
_COUNT: _Check = (_is_count, "a count")

FIELDS: dict[str, _Check] = {
    "protocol": _COUNT,
    "received": _COUNT,
    "session": _TEXT,
    "notebook": _TEXT,
    "version": _TEXT,
    "instance": _TEXT,
    "boot_id": _TEXT,
    "host": _TEXT,
    "why": _TEXT,
    "reason": _TEXT,
    "resume": (_is_switch, "true or false"),
    "heartbeat": (_is_rhythm, "a number of seconds above zero"),
    "keep": (_is_span, "a number of seconds"),
}


def dump(fields: dict[str, Any]) -> bytes:
    """Encode the fields of a note."""
    return json.dumps(fields, separators=(",", ":")).encode()


def load(name: str, body: bytes) -> dict[str, Any]:
    """Decode the fields of a note that is called ``name``.

    Raises:
        ProtocolError: it is no JSON object, or a field has a type that it cannot have.
    """
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a {name} cannot be read: {_first_line(error)}") from None
    if not isinstance(fields, dict):
        raise ProtocolError(f"a {name} is no JSON object")
    for key, value in fields.items():
        if (check := FIELDS.get(key)) and not check[0](value):
            raise ProtocolError(f"a {name} says {key} is {_short(value)}, not {check[1]}")
    return fields


def require(fields: dict[str, Any], names: Iterable[str]) -> None:
    """Check that a HELLO says all that this end needs to know.

    Raises:
        ProtocolError: a field is missing.
    """
    missing = sorted(set(names) - fields.keys())
    if missing:
        raise ProtocolError(f"a HELLO does not say: {', '.join(missing)}")


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
