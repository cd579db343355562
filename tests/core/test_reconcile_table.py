"""What becomes of a path, case by case."""

from __future__ import annotations

import pytest

from relay_kernel.core.reconcile import Change, Conflict, Plan, reconcile
from relay_kernel.core.tree import Entry, Kind
from tests.core.ends import Pair, entry, show, tree

# What one end did to `p`. `who` tells the two ends apart where each writes something new.
DEEDS = {
    "file": {
        "kept": lambda who: tree(p="0"),
        "edited": lambda who: tree(p=who),
        "same": lambda who: tree(p="1"),
        "chmod": lambda who: tree(p="!0"),
        "gone": lambda who: {},
        "link": lambda who: tree(p=f">{who}"),
        "empty": lambda who: tree(p="/"),
        "folder": lambda who: tree(p="/", **{f"p_{who}": who}),
    },
    "link": {
        "kept": lambda who: tree(p=">0"),
        "edited": lambda who: tree(p=f">{who}"),
        "same": lambda who: tree(p=">1"),
        "gone": lambda who: {},
        "file": lambda who: tree(p=who),
        "folder": lambda who: tree(p="/", **{f"p_{who}": who}),
    },
    "nothing": {
        "kept": lambda who: {},
        "same": lambda who: tree(p="1"),
        "file": lambda who: tree(p=who),
        "link": lambda who: tree(p=f">{who}"),
        "empty": lambda who: tree(p="/"),
        "folder": lambda who: tree(p="/", **{f"p_{who}": who}),
    },
    "folder": {
        "kept": lambda who: tree(p="/", p_x="0", p_y="0"),
        "gone": lambda who: {},
        "chmod": lambda who: tree(p="/!", p_x="0", p_y="0"),
        "emptied": lambda who: tree(p="/"),
        "edited": lambda who: tree(p="/", p_x=who, p_y="0"),
        "more": lambda who: tree(p="/", p_x="0", p_y="0", **{f"p_{who}": who}),
        "less": lambda who: tree(p="/", p_x="0"),
        "file": lambda who: tree(p=who),
        "link": lambda who: tree(p=f">{who}"),
    },
}

# Rows: what the server did; columns: what the target did.
# s, t: the server's, the target's version, at both ends. b: both, the target's as a copy.
# m: both in one, as it is said below.
GRIDS = {
    "file": """
                kept  edited  same  chmod  gone  link  empty  folder
        kept    s     t       t     t      t     t     t      t
        edited  s     b       b     m      s     b     b      b
        same    s     b       s     m      s     b     b      b
        chmod   s     m       m     s      s     b     b      b
        gone    s     t       t     t      s     t     t      t
        link    s     b       b     b      s     b     b      b
        empty   s     b       b     b      s     b     s      t
        folder  s     b       b     b      s     b     s      m
    """,
    "link": """
                kept  edited  same  gone  file  folder
        kept    s     t       t     t     t     t
        edited  s     b       b     s     b     b
        same    s     b       s     s     b     b
        gone    s     t       t     s     t     t
        file    s     b       b     s     b     b
        folder  s     b       b     s     b     m
    """,
    "nothing": """
                kept  same  file  link  empty  folder
        kept    s     t     t     t     t      t
        same    s     s     b     b     b      b
        file    s     b     b     b     b      b
        link    s     b     b     b     b      b
        empty   s     b     b     b     s      t
        folder  s     b     b     b     s      m
    """,
    "folder": """
                kept  gone  chmod  emptied  edited  more  less  file  link
        kept    s     t     t      t        t       t     t     t     t
        gone    s     s     s      s        m       m     s     t     t
        chmod   s     t     s      m        m       m     m     t     t
        emptied s     t     m      s        m       m     s     t     t
        edited  s     m     m      m        m       m     m     m     m
        more    s     m     m      m        m       m     m     m     m
        less    s     t     m      t        m       m     s     t     t
        file    s     s     s      s        m       m     s     b     b
        link    s     s     s      s        m       m     s     b     b
    """,
}

MERGED = {
    ("file", "edited", "chmod"): tree(p="!s"),
    ("file", "same", "chmod"): tree(p="!1"),
    ("file", "chmod", "edited"): tree(p="!t"),
    ("file", "chmod", "same"): tree(p="!1"),
    ("file", "folder", "folder"): tree(p="/", p_s="s", p_t="t"),
    ("link", "folder", "folder"): tree(p="/", p_s="s", p_t="t"),
    ("nothing", "folder", "folder"): tree(p="/", p_s="s", p_t="t"),
    ("folder", "gone", "edited"): tree(p="/", p_x="t"),
    ("folder", "gone", "more"): tree(p="/", p_t="t"),
    ("folder", "edited", "gone"): tree(p="/", p_x="s"),
    ("folder", "more", "gone"): tree(p="/", p_s="s"),
    ("folder", "chmod", "emptied"): tree(p="/!"),
    ("folder", "chmod", "edited"): tree(p="/!", p_x="t", p_y="0"),
    ("folder", "chmod", "more"): tree(p="/!", p_x="0", p_y="0", p_t="t"),
    ("folder", "chmod", "less"): tree(p="/!", p_x="0"),
    ("folder", "emptied", "chmod"): tree(p="/!"),
    ("folder", "edited", "chmod"): tree(p="/!", p_x="s", p_y="0"),
    ("folder", "more", "chmod"): tree(p="/!", p_x="0", p_y="0", p_s="s"),
    ("folder", "less", "chmod"): tree(p="/!", p_x="0"),
    ("folder", "emptied", "edited"): tree(p="/", p_x="t"),
    ("folder", "emptied", "more"): tree(p="/", p_t="t"),
    ("folder", "edited", "emptied"): tree(p="/", p_x="s"),
    ("folder", "more", "emptied"): tree(p="/", p_s="s"),
    ("folder", "edited", "edited"): tree(p="/", p_x="s", p_y="0") | {b"p/x (pc)": entry("t")},
    ("folder", "edited", "more"): tree(p="/", p_x="s", p_y="0", p_t="t"),
    ("folder", "edited", "less"): tree(p="/", p_x="s"),
    ("folder", "more", "edited"): tree(p="/", p_x="t", p_y="0", p_s="s"),
    ("folder", "more", "more"): tree(p="/", p_x="0", p_y="0", p_s="s", p_t="t"),
    ("folder", "more", "less"): tree(p="/", p_x="0", p_s="s"),
    ("folder", "less", "edited"): tree(p="/", p_x="t"),
    ("folder", "less", "more"): tree(p="/", p_x="0", p_t="t"),
    # One end put something in the folder's place, the other worked in it.
    ("folder", "edited", "file"): tree(p="/", p_x="s") | {b"p (pc)": entry("t")},
    ("folder", "edited", "link"): tree(p="/", p_x="s") | {b"p (pc)": entry(">t")},
    ("folder", "more", "file"): tree(p="/", p_s="s") | {b"p (pc)": entry("t")},
    ("folder", "more", "link"): tree(p="/", p_s="s") | {b"p (pc)": entry(">t")},
    ("folder", "file", "edited"): tree(p="s") | {b"p (pc)": entry("/"), b"p (pc)/x": entry("t")},
    ("folder", "link", "edited"): tree(p=">s") | {b"p (pc)": entry("/"), b"p (pc)/x": entry("t")},
    ("folder", "file", "more"): tree(p="s") | {b"p (pc)": entry("/"), b"p (pc)/t": entry("t")},
    ("folder", "link", "more"): tree(p=">s") | {b"p (pc)": entry("/"), b"p (pc)/t": entry("t")},
}


def cells() -> list[tuple[str, str, str, str]]:
    """Each cell of each grid: what was there, the server's deed, the target's, the outcome."""
    found = []
    for was, grid in GRIDS.items():
        head, *rows = (line.split() for line in grid.strip().splitlines())
        assert [row[0] for row in rows] == head == list(DEEDS[was])
        found += [
            (was, row[0], column, outcome)
            for row in rows
            for column, outcome in zip(head, row[1:], strict=True)
        ]
    return found


def as_copy(what: dict[bytes, Entry]) -> dict[bytes, Entry]:
    return {b"p (pc)" + path[1:]: entry for path, entry in what.items()}


@pytest.mark.parametrize(("was", "at_server", "at_target", "outcome"), cells())
def test_a_path_becomes_what_the_grid_says(
    was: str, at_server: str, at_target: str, outcome: str
) -> None:
    server, target = DEEDS[was][at_server]("s"), DEEDS[was][at_target]("t")
    pair = Pair.of(DEEDS[was].get("kept")("0"), server, target)
    plan = pair.converge()
    expected = {
        "s": server,
        "t": target,
        "b": server | as_copy(target),
        "m": MERGED.get((was, at_server, at_target), {}),
    }[outcome]
    assert show(pair.base) == show(expected)
    copies = {path for path in expected if path.endswith(b" (pc)")}
    assert {conflict.copy for conflict in plan.conflicts} == copies


def test_each_merged_case_is_in_a_grid() -> None:
    assert {cell[:3] for cell in cells() if cell[3] == "m"} == set(MERGED)


class TestFolders:
    def test_a_removed_folder_comes_back_only_with_what_was_edited_below(self) -> None:
        base = tree(d="/", d_e="/", d_e_x="0", d_e_y="0", d_f="/", d_f_z="0")
        target = base | tree(d_e_x="1")
        pair = Pair.of(base, {}, target)
        plan = pair.converge()
        assert show(pair.base) == show(tree(d="/", d_e="/", d_e_x="1"))
        assert [change.path for change in plan.server] == [b"d", b"d/e", b"d/e/x"]
        assert [change.path for change in plan.target] == [b"d/f/z", b"d/f", b"d/e/y"]

    def test_a_folder_made_below_a_removed_folder_stays(self) -> None:
        base = tree(d="/", d_x="0")
        pair = Pair.of(base, {}, base | tree(d_e="/"))
        pair.converge()
        assert show(pair.base) == show(tree(d="/", d_e="/"))

    def test_an_empty_folder_travels_and_goes(self) -> None:
        pair = Pair.of({}, tree(d="/", d_e="/"), {})
        pair.converge()
        assert show(pair.target.tree) == show(tree(d="/", d_e="/"))
        pair.target.tree.clear()
        pair.converge()
        assert not pair.server.tree

    def test_a_renamed_folder_moves_and_takes_edits_of_the_other_end_with_the_old_name(
        self,
    ) -> None:
        base = tree(d="/", d_x="0", d_y="0")
        pair = Pair.of(base, tree(e="/", e_x="0", e_y="0"), base | tree(d_y="t"))
        plan = pair.converge()
        assert show(pair.base) == show(tree(d="/", d_y="t", e="/", e_x="0", e_y="0"))
        assert not plan.conflicts

    def test_a_changed_mode_alone_does_not_bring_a_folder_back(self) -> None:
        base = tree(d="/", d_x="0")
        pair = Pair.of(base, base | tree(d="/!"), {})
        pair.converge()
        assert not pair.base

    def test_folders_are_made_first_and_go_last(self) -> None:
        old = tree(a="/", a_b="/", a_b_c="0")
        new = {b"z": entry("/"), b"z/y": entry("/"), b"z.txt": entry("1"), b"z/y/x": entry("1")}
        plan = Pair.of(old, new, old).plan()
        assert [change.path for change in plan.target] == [
            *(b"z", b"z.txt", b"z/y", b"z/y/x"),
            *(b"a/b/c", b"a/b", b"a"),
        ]

    def test_a_folder_is_emptied_before_a_file_takes_its_place(self) -> None:
        old = tree(p="/", p_q="/", p_q_x="0")
        plan = Pair.of(old, tree(p="1"), old).plan()
        assert [change.path for change in plan.target] == [b"p/q/x", b"p/q", b"p"]

    def test_a_file_goes_before_what_the_folder_in_its_place_holds(self) -> None:
        old = tree(p="0")
        plan = Pair.of(old, tree(p="/", p_x="1"), old).plan()
        assert [change.path for change in plan.target] == [b"p", b"p/x"]


class TestConflicts:
    def test_the_target_keeps_a_copy_before_its_version_is_replaced(self) -> None:
        plan = Pair.of(tree(a="0"), tree(a="s"), tree(a="t")).plan()
        copy = Change(b"a (pc)", None, entry("t"))
        assert plan == Plan(
            server=(copy,),
            target=(copy, Change(b"a", entry("t"), entry("s"), kept_at=b"a (pc)")),
            conflicts=(Conflict(b"a", b"a (pc)"),),
        )

    def test_a_name_that_is_taken_gets_a_number(self) -> None:
        taken = {b"a (pc)": entry("x")}
        pair = Pair.of(
            tree(a="0") | taken,
            tree(a="s") | taken,
            tree(a="t") | taken | {b"a (pc) (2)": entry("y")},
        )
        assert pair.converge().conflicts == (Conflict(b"a", b"a (pc) (3)"),)

    def test_a_copy_that_was_made_before_the_power_went_is_used(self) -> None:
        pair = Pair.of(tree(a="0"), tree(a="s"), tree(a="t") | {b"a (pc)": entry("t")})
        pair.converge()
        assert show(pair.base) == {"a": "s", "a (pc)": "t"}

    def test_a_copy_that_both_ends_have_is_used(self) -> None:
        copy = {b"a (pc)": entry("t")}
        pair = Pair.of(tree(a="0") | copy, tree(a="s") | copy, tree(a="t") | copy)
        plan = pair.converge()
        assert not plan.server
        assert not plan.agreed
        assert show(pair.base) == {"a": "s", "a (pc)": "t"}

    def test_a_copy_that_somebody_just_removed_is_not_used(self) -> None:
        copy = {b"a (pc)": entry("t")}
        pair = Pair.of(tree(a="0") | copy, tree(a="s"), tree(a="t") | copy)
        pair.converge()
        assert show(pair.base) == {"a": "s", "a (pc) (2)": "t"}

    def test_two_copies_never_share_a_name(self) -> None:
        pair = Pair.of({}, tree(a="s", b="s"), tree(a="t", b="u"))
        plan = reconcile(
            pair.base, pair.server.tree, pair.target.tree, copy_name=lambda path: b"copy"
        )
        assert [conflict.copy for conflict in plan.conflicts] == [b"copy", b"copy (2)"]

    def test_a_copy_stays_in_its_folder(self) -> None:
        ends = tree(d="/", d_x="s"), tree(d="/", d_x="t")
        with pytest.raises(ValueError, match="no name for a copy"):
            reconcile({}, *ends, copy_name=lambda path: b"copy")

    def test_a_moved_folder_says_where_its_content_comes_from(self) -> None:
        plan = Pair.of({}, tree(p="s"), tree(p="/", p_x="t")).plan()
        assert [plan.origin(change.path) for change in plan.server] == [b"p", b"p/x"]
        assert plan.origin(b"other") == b"other"

    def test_a_moved_folder_is_removed_only_where_it_was_copied(self) -> None:
        plan = Pair.of({}, tree(p="s"), tree(p="/", p_x="t")).plan()
        kept = [(change.path, change.kept_at) for change in plan.target]
        assert kept == [
            (b"p (pc)", None),
            (b"p (pc)/x", None),
            (b"p/x", b"p (pc)/x"),
            (b"p", b"p (pc)"),
        ]

    def test_a_folder_moves_without_its_neighbours(self) -> None:
        ends = tree(p="s"), tree(p="/", p_x="t", p0="t", q="t")
        pair = Pair.of({}, *ends)
        pair.converge()
        assert {b"p0", b"q", b"p (pc)/x"} < set(pair.base)

    def test_names_that_differ_in_case_or_unicode_form_are_two(self) -> None:
        nfc, nfd = "\u00e9".encode(), "e\u0301".encode()
        pair = Pair.of({}, {b"A": entry("s"), nfc: entry("s")}, {b"a": entry("t"), nfd: entry("t")})
        assert not pair.converge().conflicts
        assert set(pair.base) == {b"A", b"a", nfc, nfd}

    def test_a_name_need_not_be_utf_8(self) -> None:
        pair = Pair.of({}, {b"\xff.txt": entry("s")}, {b"\xff.txt": entry("t")})
        assert pair.converge().conflicts == (Conflict(b"\xff.txt", b"\xff (pc).txt"),)


class TestHeld:
    BASE = tree(d="/", d_x="0", d_y="0")

    def test_nothing_is_decided_about_a_file_that_is_being_written(self) -> None:
        pair = Pair.of(self.BASE, self.BASE | tree(d_x="s"), self.BASE | tree(d_y="t"))
        pair.converge(held={b"d/x"})
        assert pair.target.tree[b"d/x"] == entry("0")
        assert pair.server.tree[b"d/y"] == entry("t")

    def test_its_folder_is_not_removed_but_the_rest_is(self) -> None:
        pair = Pair.of(self.BASE, {}, self.BASE)
        pair.converge(held={b"d/x"})
        assert show(pair.target.tree) == show(tree(d="/", d_x="0"))
        assert pair.base == pair.target.tree
        pair.target.tree[b"d/x"] = entry("t")
        pair.converge()
        assert show(pair.server.tree) == show(tree(d="/", d_x="t"))

    def test_nothing_takes_the_place_of_its_folder(self) -> None:
        pair = Pair.of(self.BASE, tree(d="s"), self.BASE)
        pair.converge(held={b"d/x"})
        assert b"d/x" in pair.target.tree
        assert show(pair.server.tree) == show(tree(d="s"))

    def test_its_folder_is_not_moved_either(self) -> None:
        pair = Pair.of(self.BASE, tree(d="s"), self.BASE | tree(d_y="t"))
        assert not pair.plan(held={b"d/x"})
        pair.converge()
        assert b"d (pc)/y" in pair.base

    def test_what_was_made_beside_it_travels_with_its_folder(self) -> None:
        pair = Pair.of({}, {}, tree(d="/", d_e="/", d_e_x="t", d_z="t"))
        pair.converge(held={b"d/e/x"})
        assert show(pair.server.tree) == show(tree(d="/", d_e="/", d_z="t"))

    def test_a_folder_that_cannot_be_read_is_not_taken_for_an_empty_one(self) -> None:
        pair = Pair.of(self.BASE, self.BASE, tree(d="/"))
        assert not pair.plan(held={b"d"})

    def test_an_ignored_folder_keeps_its_folder_and_nothing_else(self) -> None:
        pair = Pair.of(self.BASE, {}, self.BASE)
        pair.converge(held={b"d/.venv"})
        assert show(pair.target.tree) == show(tree(d="/"))
        pair.converge()
        assert not pair.target.tree

    def test_a_picture_without_the_folder_of_something_held_is_not_complete(self) -> None:
        pair = Pair.of(self.BASE, {}, {})
        assert not pair.plan(held={b"d/x"})

    def test_no_copy_takes_a_held_name(self) -> None:
        plan = Pair.of({}, tree(a="s"), tree(a="t")).plan(held={b"a (pc)"})
        assert plan.conflicts == (Conflict(b"a", b"a (pc) (2)"),)

    def test_nor_the_name_of_a_folder_in_which_something_is_held(self) -> None:
        plan = Pair.of({}, tree(a="s"), tree(a="t")).plan(held={b"a (pc)/x"})
        assert plan.conflicts == (Conflict(b"a", b"a (pc) (2)"),)


class TestBase:
    def test_it_follows_what_both_ends_did_alike(self) -> None:
        plan = Pair.of(tree(a="0", b="0"), tree(a="1"), tree(a="1")).plan()
        assert plan == Plan(agreed={b"a": entry("1"), b"b": None})

    def test_it_follows_only_what_was_made(self) -> None:
        pair = Pair.of(tree(a="0", b="0"), tree(a="1", b="1"), tree(a="0", b="0"))
        assert pair.plan().settled((), {b"b"}) == {b"b": entry("1")}

    def test_it_follows_a_change_at_both_ends_only_once_both_made_it(self) -> None:
        plan = Pair.of(tree(a="0"), tree(a="s"), tree(a="!0")).plan()
        assert plan.settled({b"a"}, ()) == plan.settled((), {b"a"}) == {}
        assert plan.settled({b"a"}, {b"a"}) == {b"a": entry("!s")}

    def test_nothing_to_do_is_false(self) -> None:
        assert not Plan()
        assert not Pair.of(tree(a="0"), tree(a="0"), tree(a="0")).plan()

    def test_size_and_time_are_no_difference(self) -> None:
        here = {b"a": Entry(Kind.FILE, b"0", 0o644, size=1, mtime_ns=1)}
        there = {b"a": Entry(Kind.FILE, b"0", 0o644, size=1, mtime_ns=2)}
        assert not Pair.of(here, here, there).plan()

    def test_the_mode_is_the_servers_if_both_changed_it(self) -> None:
        def mode(number: int) -> dict[bytes, Entry]:
            return {b"a": Entry(Kind.FILE, b"0", number)}

        pair = Pair.of(mode(0o644), mode(0o600), mode(0o755))
        pair.converge()
        assert pair.base == mode(0o600)

    def test_of_a_new_content_that_both_wrote_the_mode_is_the_servers(self) -> None:
        for base in ({}, tree(a="0"), tree(a="/")):
            pair = Pair.of(base, tree(a="!1"), tree(a="1"))
            assert not pair.converge().conflicts
            assert pair.base == tree(a="!1")

    def test_it_has_a_folder_above_whatever_it_has(self) -> None:
        plan = Pair.of({}, {}, tree(d="/", d_x="1")).plan()
        assert plan.settled({b"d/x"}, ()) == tree(d="/", d_x="1")

    def test_a_mode_that_was_not_set_is_still_to_be_set(self) -> None:
        plan = Pair.of({}, tree(d="/"), tree(d="/!", d_x="1")).plan()
        assert plan.settled({b"d/x"}, ()) == tree(d="/!", d_x="1")

    def test_it_has_nothing_below_a_file(self) -> None:
        old = tree(p="/", p_x="0")
        plan = Pair.of(old, tree(p="1"), old).plan()
        assert plan.settled((), {b"p"}) == {b"p": entry("1"), b"p/x": None}

    def test_without_a_base_what_is_equal_merges_and_the_rest_is_kept(self) -> None:
        pair = Pair.of({}, tree(a="1", b="s", c="1"), tree(a="1", b="t", d="1"))
        pair.converge()
        assert show(pair.base) == {"a": "1", "b": "s", "b (pc)": "t", "c": "1", "d": "1"}


class TestRestricted:
    def test_only_what_is_asked_for_is_decided(self) -> None:
        pair = Pair.of({}, tree(a="1", b="1"), {})
        assert [change.path for change in pair.plan(paths=[b"b"]).target] == [b"b"]

    def test_the_folders_above_come_along(self) -> None:
        pair = Pair.of({}, tree(d="/", d_e="/", d_e_x="1", d_y="1"), {})
        changed = [change.path for change in pair.plan(paths=[b"d/e/x"]).target]
        assert changed == [b"d", b"d/e", b"d/e/x"]

    def test_what_lies_below_a_removed_folder_comes_along(self) -> None:
        base = tree(d="/", d_x="0", d_y="0")
        pair = Pair.of(base, {}, base | tree(d_x="1"))
        assert pair.plan(paths=[b"d"]) == pair.plan()

    def test_what_lies_below_a_folder_that_moves_comes_along(self) -> None:
        pair = Pair.of({}, tree(p="s"), tree(p="/", p_x="t"))
        assert pair.plan(paths=[b"p"]) == pair.plan()
