"""What holds for any two histories of a small tree since the last time both ends were equal.

A version is a content that one end has at a path and the base has not. It may only be gone when an
operation that saw it removed or replaced it, and the plan sees nothing: it loses none.
"""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from relay_kernel.core.tree import Entry, Kind, ancestors, is_folder
from tests.core.ends import FOLDER, Pair, below, is_whole, put

if TYPE_CHECKING:
    from collections.abc import Iterable

    from relay_kernel.core.reconcile import Change, Plan
    from relay_kernel.core.tree import Tree
    from tests.core.ends import End

SLOW = "RELAY_SLOW" in os.environ
EXAMPLES = settings(max_examples=20_000 if SLOW else 300, deadline=None)

#: All paths of depth three over two names.
PATHS = [b"/".join(names) for depth in (1, 2, 3) for names in product((b"a", b"b"), repeat=depth)]

Deed = tuple[str, bytes, "Entry | bytes | None"]


def all_deeds() -> list[Deed]:
    """What programs do: write, remove, rename, with the folders that this needs."""
    entries = [Entry(Kind.FILE, content, 0o644) for content in (b"0", b"1", b"2")]
    entries += [Entry(Kind.FILE, b"0", 0o755), Entry(Kind.LINK, b"0"), Entry(Kind.LINK, b"1")]
    entries += [FOLDER, Entry(Kind.FOLDER, mode=0o700)]
    deeds: list[Deed] = [("put", path, entry) for entry in entries for path in PATHS]
    deeds += [("remove", path, None) for path in PATHS for _more_often in range(4)]
    deeds += [("rename", path, other) for path in PATHS for other in PATHS if path != other]
    return deeds


HISTORIES = st.lists(st.sampled_from(all_deeds()), max_size=6)


def follow(tree: Tree, history: Iterable[Deed]) -> dict[bytes, Entry]:
    """The tree after these deeds."""
    after = dict(tree)
    for deed, path, what in history:
        if deed == "rename":
            rename(after, path, what)
        elif deed == "remove":
            remove(after, path)
        else:
            write(after, path, what)
    return after


def remove(tree: dict[bytes, Entry], path: bytes) -> None:
    for gone in (path, *below(tree, path)):
        tree.pop(gone, None)


def write(tree: dict[bytes, Entry], path: bytes, what: Entry) -> None:
    for above in ancestors(path):
        if not is_folder(tree.get(above)):
            tree[above] = FOLDER
    if not is_folder(what):
        remove(tree, path)
    tree[path] = what


def rename(tree: dict[bytes, Entry], old: bytes, new: bytes) -> None:
    if old not in tree or (new + b"/").startswith(old + b"/") or old.startswith(new + b"/"):
        return
    moved = {path: tree[path] for path in (old, *below(tree, old))}
    remove(tree, old)
    remove(tree, new)
    for path, what in moved.items():
        write(tree, new + path[len(old) :], what)


def part(first: list[Deed], *since: list[Deed]) -> Pair:
    """Both ends were equal after ``first``; each went on in its own way since."""
    base = follow({}, first)
    return Pair.of(base, *(follow(base, history) for history in since))


PAIRS = st.builds(part, HISTORIES, HISTORIES, HISTORIES)


def told_apart(pair: Pair) -> Pair:
    """Each version gets a content that nothing else has."""
    for who, end in ((b"s", pair.server), (b"t", pair.target)):
        for path, kind, content in versions(end.tree, pair.base):
            end.tree[path] = Entry(kind, b"%s:%s:%s" % (who, path, content), end.tree[path].mode)
    for path, what in pair.base.items():
        for end in (pair.server, pair.target):
            if end.tree.get(path) == what and not is_folder(what):
                end.tree[path] = Entry(what.kind, b"b:" + path, what.mode)
        if not is_folder(what):
            pair.base[path] = Entry(what.kind, b"b:" + path, what.mode)
    return pair


def versions(tree: Tree, base: Tree) -> set[tuple[bytes, Kind, bytes]]:
    """What an end has and the base has not, without what only its mode tells apart."""
    return {
        (path, what.kind, what.content)
        for path, what in tree.items()
        if not is_folder(what)
        and (path not in base or (what.kind, what.content) != bare(base[path]))
    }


def bare(what: Entry) -> tuple[Kind, bytes]:
    return what.kind, what.content


def assert_kept(pair: Pair, plan: Plan, new: Iterable[tuple[bytes, Kind, bytes]]) -> None:
    """Each of these versions is at both ends, at its path or where its conflict put it."""
    copies = {conflict.path: conflict.copy for conflict in plan.conflicts}
    for path, kind, content in new:
        places = {path}
        for top in (path, *ancestors(path)):
            if top in copies:
                places.add(copies[top] + path[len(top) :])
        for end in (pair.server, pair.target):
            found = {bare(end.tree[place]) for place in places if place in end.tree}
            assert (kind, content) in found, (path, content, plan)


@EXAMPLES
@given(PAIRS)
def test_both_ends_and_the_base_become_equal_at_once(pair: Pair) -> None:
    pair.converge()


@EXAMPLES
@given(PAIRS)
def test_no_version_of_either_end_is_lost(pair: Pair) -> None:
    new = [versions(end.tree, pair.base) for end in (pair.server, pair.target)]
    plan = pair.converge()
    assert_kept(pair, plan, new[0] | new[1])


@EXAMPLES
@given(PAIRS)
def test_nothing_comes_back_and_nothing_comes_from_nowhere(pair: Pair) -> None:
    base, server, target = dict(pair.base), dict(pair.server.tree), dict(pair.target.tree)
    plan = pair.converge()
    for path, what in pair.base.items():
        origin = plan.origin(path)
        if origin != path:
            assert bare(target[origin]) == bare(what)
            continue
        assert bare(what) in {bare(tree[path]) for tree in (server, target) if path in tree}
        if path in base and (path not in server or path not in target):
            outlives = any(other in pair.base for other in below(pair.base, path))
            assert what != base[path] or (is_folder(what) and outlives)


@EXAMPLES
@given(PAIRS)
def test_the_roles_change_only_who_keeps_the_name(pair: Pair) -> None:
    def mirrored(path: bytes) -> bytes:
        for conflict in plan.conflicts:
            for one, other in ((conflict.path, conflict.copy), (conflict.copy, conflict.path)):
                if path == one or path.startswith(one + b"/"):
                    return other + path[len(one) :]
        return path

    swapped = Pair.of(pair.base, pair.target.tree, pair.server.tree)
    plan = pair.converge()
    other = swapped.converge()
    assert {c.path for c in plan.conflicts} == {c.path for c in other.conflicts}
    found = {path: bare(what) for path, what in swapped.base.items()}
    assert found == {mirrored(path): bare(what) for path, what in pair.base.items()}


@EXAMPLES
@given(PAIRS, st.sets(st.sampled_from(PATHS)))
def test_a_plan_for_some_paths_is_that_part_of_the_plan_for_all(
    pair: Pair, paths: set[bytes]
) -> None:
    some, whole = pair.plan(paths=paths), pair.plan()
    assert paths & {*touched(whole)} <= set(touched(some))
    for few, all_ in ((some.server, whole.server), (some.target, whole.target)):
        assert [change for change in all_ if change in few] == list(few)
    assert some.agreed.items() <= whole.agreed.items()
    pair.apply(some)
    assert is_whole(pair.base)
    assert not {*touched(pair.plan())} & paths
    pair.converge()


@EXAMPLES
@given(PAIRS)
def test_a_plan_for_all_that_differs_is_the_plan_for_all(pair: Pair) -> None:
    trees = (pair.base, pair.server.tree, pair.target.tree)
    differ = {
        path
        for tree in trees
        for path in tree
        if not trees[0].get(path) == trees[1].get(path) == trees[2].get(path)
    }
    assert pair.plan(paths=differ) == pair.plan()


def touched(plan: Plan) -> list[bytes]:
    return [*(change.path for change in (*plan.server, *plan.target)), *plan.agreed]


@EXAMPLES
@given(PAIRS, st.sets(st.sampled_from(PATHS), max_size=3))
def test_what_is_held_stays_as_it_is_with_the_folders_above(pair: Pair, held: set[bytes]) -> None:
    before = [dict(end.tree) for end in (pair.server, pair.target)]
    new = [versions(tree, pair.base) for tree in before]
    plan = pair.plan(held=held)
    assert not any(held & {path, *ancestors(path)} for path in touched(plan))
    pair.apply(plan)
    assert not pair.plan(held=held)
    for end, was in zip((pair.server, pair.target), before, strict=True):
        assert is_whole(end.tree)
        for path in held:
            assert end.tree.get(path) == was.get(path)
            for above in ancestors(path):
                assert not is_folder(was.get(above)) or is_folder(end.tree.get(above))
    plan = replace(plan, conflicts=plan.conflicts + pair.converge().conflicts)
    assert_kept(pair, plan, new[0] | new[1])


@EXAMPLES
@given(PAIRS.map(told_apart), st.data())
def test_a_plan_that_is_done_in_part_loses_nothing_and_the_next_ones_go_on(
    pair: Pair, data: st.DataObject
) -> None:
    new = versions(pair.server.tree, pair.base) | versions(pair.target.tree, pair.base)
    kept = {(kind, content) for _path, kind, content in new}
    for step in range(3):
        plan = pair.plan()
        made = [apply_some(end, changes, data) for end, changes in work(pair, plan)]
        pair.record(plan, *made)
        kept |= meddle(pair, step, data, kept)
        # The base, too, is whole at any moment: else a later plan would go by a lie.
        assert is_whole(pair.base)
        for end in (pair.server, pair.target):
            assert is_whole(end.tree)
    pair.converge()
    assert kept <= {bare(what) for what in pair.base.values()}


def work(pair: Pair, plan: Plan) -> list[tuple[End, tuple[Change, ...]]]:
    return [(pair.server, plan.server), (pair.target, plan.target)]


def apply_some(end: End, changes: tuple[Change, ...], data: st.DataObject) -> list[Change]:
    """Apply what is drawn, in order; some of it is refused because something else was."""
    wanted = data.draw(st.lists(st.booleans(), min_size=len(changes), max_size=len(changes)))
    return [c for c, want in zip(changes, wanted, strict=True) if want and end.apply(c)]


def meddle(
    pair: Pair, step: int, data: st.DataObject, kept: set[tuple[Kind, bytes]]
) -> set[tuple[Kind, bytes]]:
    """A program at one end goes on meanwhile. What it saw when it wrote need not be kept."""
    end = data.draw(st.sampled_from([pair.server, pair.target]))
    path = data.draw(st.sampled_from([*PATHS, b"a (pc)", b"a/b (pc)"]))
    what = data.draw(st.sampled_from([None, Entry(Kind.FILE, b"new%d" % step, 0o644)]))
    before = {bare(found) for found in end.tree.values()}
    if what is None:
        remove(end.tree, path)
    else:
        write(end.tree, path, what)
    after = {bare(found) for found in end.tree.values()}
    kept -= before - after
    return after - before - {bare(FOLDER)}


def small_trees() -> list[dict[bytes, Entry]]:
    """All trees with one name at the top and one below, over two contents."""
    leaves = [None, Entry(Kind.FILE, b"0", 0o644), Entry(Kind.FILE, b"1", 0o644), FOLDER]
    leaves += [Entry(Kind.LINK, b"0"), Entry(Kind.FILE, b"0", 0o755)]
    found = []
    for top in leaves:
        for lower in leaves if top is FOLDER else [None]:
            tree: dict[bytes, Entry] = {}
            put(tree, b"a", top)
            put(tree, b"a/b", lower)
            found.append(tree)
    return found


def test_all_of_it_holds_for_every_three_trees_of_one_path_and_one_below() -> None:
    for base, server, target in product(small_trees(), repeat=3):
        pair = Pair.of(base, server, target)
        new = versions(server, base) | versions(target, base)
        plan = pair.converge()
        assert_kept(pair, plan, new)
        for path in (b"a", b"a/b"):
            one = Pair.of(base, server, target)
            one.apply(one.plan(paths=[path]))
            assert not one.plan(paths=[path])
