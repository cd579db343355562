"""A new chunk is asked for by the one in whose place it is, where that is here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay_kernel.store.replaced import replaced, want


def blob(*keys: str) -> dict[str, Any]:
    return {"size": len(keys) << 20, "chunks": list(keys)}


def component(names: str, *blobs: dict[str, Any]) -> dict[str, Any]:
    roots = [["n", name] for name in names]
    return {"roots": roots, "data": blobs[0], "buffers": list(blobs[1:])}


def manifest(*components: dict[str, Any], **context: Any) -> bytes:
    said = {"components": components, "sources": {}, "context": context}
    return json.dumps(said).encode()


BEFORE = manifest(component("a", blob("a0", "a1")), component("b", {"inline": ""}, blob("b0")))


class TestReplaced:
    def test_what_changed_of_a_variable_is_in_the_place_of_what_it_was(self) -> None:
        after = manifest(
            component("b", {"inline": ""}, blob("b0*")), component("a", blob("a0", "a1*", "a2"))
        )
        assert replaced(BEFORE, after) == {"b0*": "b0", "a1*": "a1"}

    def test_a_name_more_or_less_does_not_hide_it(self) -> None:
        joined = manifest(component("ca", blob("a0", "a1*")))
        assert replaced(BEFORE, joined) == {"a1*": "a1"}
        assert replaced(joined, BEFORE)["a1"] == "a1*"

    def test_what_is_beside_the_variables_counts_as_well(self) -> None:
        before, after = (
            manifest(history={"segments": [[0, 90, blob("h0")], [90, 2, blob(key)]]})
            for key in ("h1", "h1*")
        )
        assert replaced(before, after) == {"h1*": "h1"}

    @pytest.mark.parametrize(
        "other", [b"", b"no JSON", b"[]", b"[" * 100_000, b'{"components": 3}']
    )
    def test_in_what_is_no_manifest_nothing_is(self, other: bytes) -> None:
        assert replaced(BEFORE, other) == replaced(other, BEFORE) == {}

    @given(
        st.recursive(
            st.none() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(st.sampled_from(["roots", "chunks", "size", "x"]), inner)
            ),
        )
    )
    def test_nothing_that_somebody_says_is_an_error(self, said: Any) -> None:
        for value in (said, {"components": said}, {"components": [said], "sources": {}}):
            replaced(BEFORE, json.dumps(value).encode())


class TestWant:
    def test_only_what_is_here_is_named(self) -> None:
        after = manifest(component("a", blob("a0*", "a1*")), component("c", blob("c0")))
        asked = want(["a1*", "a0*", "c0"], after, BEFORE, ["a0"])
        assert asked.head == {"keys": ["a1*", "a0*", "c0"], "of": [None, "a0", None]}

    def test_where_nothing_is_here_nothing_is_said_of_it(self) -> None:
        assert want(["a0"], BEFORE, b"", []).head == {"keys": ["a0"]}
        assert want(["x"], BEFORE, BEFORE, ["a0"]).head == {"keys": ["x"]}
