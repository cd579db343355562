"""What a greeting may say: a wrong type is refused by name, before anybody relies on it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_kernel.wire import frames, notes
from relay_kernel.wire.errors import ProtocolError
from relay_kernel.wire.frames import Decoder, Note, Type

SOUND: dict[str, Any] = {
    "protocol": 3,
    "version": "1.0",
    "session": "s",
    "notebook": "n",
    "received": 0,
    "resume": False,
    "heartbeat": 0.5,
    "keep": 0,
    "instance": "i",
    "boot_id": "",
    "host": "h",
    "why": "w",
    "reason": "r",
}


def test_every_known_field_is_taken_when_it_is_sound() -> None:
    assert SOUND.keys() == notes.FIELDS.keys()
    assert notes.load("HELLO", notes.dump(SOUND)) == SOUND


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *((name, 1) for name in ("session", "notebook", "version", "host", "boot_id", "why")),
        *((name, None) for name in SOUND),
        ("received", -1),
        ("received", 1.0),
        ("received", True),
        ("received", 1 << 64),
        ("resume", 1),
        ("heartbeat", "1"),
        ("heartbeat", 0),
        ("heartbeat", -1.0),
        ("heartbeat", True),
        ("heartbeat", float("nan")),
        ("heartbeat", float("inf")),
        ("heartbeat", 10**400),
        ("keep", float("nan")),
        ("keep", -1),
        ("keep", [1]),
    ],
)
def test_a_wrong_type_is_refused_by_name(field: str, value: object) -> None:
    body = json.dumps({**SOUND, field: value}).encode()
    with pytest.raises(ProtocolError, match=f"a HELLO says {field} is ") as caught:
        notes.load("HELLO", body)
    assert len(str(caught.value)) < 120
    assert "\n" not in str(caught.value)


def test_an_unknown_field_is_let_through() -> None:
    assert notes.load("HELLO", b'{"colour": [1]}') == {"colour": [1]}


def test_what_is_missing_is_named() -> None:
    notes.require(SOUND, ("session", "keep"))
    with pytest.raises(ProtocolError, match="does not say: heartbeat, keep"):
        notes.require({"session": "s"}, ("session", "keep", "heartbeat"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(sorted(SOUND)), JSON))
def test_any_json_is_taken_or_refused(fields: dict[str, Any]) -> None:
    with contextlib.suppress(ProtocolError):
        (got,) = Decoder().feed(frames.note(Type.HELLO, fields))
        assert isinstance(got, Note)
