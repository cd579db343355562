"""Looks at the whole state once: what is there, what changed, and what hangs together.

Every value is packed and digested, because that is cheaper than any sound way to know which
were touched. What is immutable and the same object as last time is not even packed.
"""

from __future__ import annotations

from . import bundles, over, partition, reasons
from .budget import TOO_LONG
from .classes import ClassRoot, skeleton
from .identity import functions_of, is_shared, proof_of, same
from .modules import ModuleRoot
from .records import NOTHING

#: A thread may be at work on a container; most are quick.
_TRIES = 3


class Piece:
    """One component that was packed, or could not be.

    Args:
        roots: what it consists of.
        record: the record it had, if it is unchanged.
        dump: None if it could not be packed.
        error: what packing it raised.
    """

    __slots__ = ("classes", "dump", "error", "record", "roots")

    def __init__(self, roots, record=None, dump=None, error=None):
        self.roots = roots
        self.record = record
        self.dump = dump
        # A traceback refers to the value for as long as the collector likes.
        self.error = error and error.with_traceback(None)
        self.classes = dump.classes if dump is not None else set()
        if record is not None:
            self.classes = self.classes | record.classes


class Scan:
    """The state of a kernel at one moment.

    Args:
        state: the kernel.
        pickler: packs for it.
    """

    def __init__(self, state, pickler):
        self.state = state
        self.pickler = pickler
        state.named.look()
        self.values = state.names.roots()
        self.values.update(state.modules.roots())
        self.values.update(state.registered.roots())
        known, root_of = state.named.ids, state.named.root_of
        named = {
            root: stands
            for root, value in self.values.items()
            if id(value) in known and root[0] in "nou" and (stands := root_of(value)) is not None
        }
        #: the values as they are packed: others stand for objects of libraries
        self._packed = {**self.values, **named} if named else self.values
        #: records of components that are unchanged and needed no dump of their own
        self.same = []
        #: all the others; each root is in exactly one piece or record
        self.pieces = []
        #: roots that changed while they were packed
        self.live = set()
        self._taken = set()
        self._joint = {}
        self._bundles = []

    def run(self):
        """Find ``same`` and ``pieces``."""
        for bundle in self.state.bundles:
            if bundles.is_unchanged(bundle, self.values, self.pack):
                self._bundles.append(bundle)
                self.same += bundle.records
                self._taken.update(bundle.roots)
        taken, values = self._taken, self.values
        for record in self.state.records:
            first = record.roots[0]
            if first in taken:
                continue
            # Most of what is not bundled are atoms, and most of these are as they were.
            if record.atom is not NOTHING and values.get(first, NOTHING) is record.atom:
                self.same.append(record)
                taken.add(first)
            else:
                self._revisit(record)
        for root in self.values:
            if root not in self._taken:
                self._take_alone(root)
        self._reach_classes()
        self._join()

    def close(self):
        """Let go of every object: what the user deletes next must really go."""
        for bundle in self.state.bundles:
            bundle.memo, bundle.spans = None, ()
        for piece in self.pieces:
            if piece.dump is not None:
                piece.dump.let_go()
        self.pickler.close()
        self._joint.clear()
        self.pieces, self.values, self._packed = [], {}, {}

    def unchanged(self):
        """Return the records of all that is as it was."""
        return self.same + [piece.record for piece in self.pieces if piece.record]

    def value(self, root):
        """Return what is to be packed for a root."""
        kind, key = root
        if kind == "c":
            return ClassRoot(key, self.state.classes.get(key), self.state.stones.get(key))
        value = self._packed[root]
        return ModuleRoot(key, value, self.state.modules) if kind == "m" else value

    def _values(self, roots):
        values = self._packed
        return tuple([self.value(r) if r[0] in "cm" else values[r] for r in roots])

    def pack(self, roots):
        """Pack roots jointly; a container that changes while it is read gets another try.

        Raises:
            Exception: what the last try raised.
        """
        for left in range(_TRIES - 1, -1, -1):
            try:
                return self.state.budget.pack(self.pickler.pack, self._values(roots))
            except RuntimeError as error:
                if "during iteration" not in str(error):
                    raise
                self.live.update(roots)
                if not left:
                    raise
        raise AssertionError("the last try returns or raises")

    def _add(self, piece):
        self.pieces.append(piece)
        self._taken.update(piece.roots)

    def _keep(self, record):
        self.same.append(record)
        self._taken.update(record.roots)

    # ------------------------------------------------------------- what was there before

    def _revisit(self, record):
        roots = record.roots
        if record.atom is NOTHING and self._is_there(roots):
            if self._still_left(record) or self._is_proven(record):
                self._keep(record)
            else:
                self._repack(record)

    def _is_there(self, roots):
        """Return whether all roots still exist, one of them not only as a class."""
        found = False
        for root in roots:
            if root[0] != "c":
                if root not in self.values:
                    return False
                found = True
            elif self.state.classes.get(root[1]) is None:
                return False
        return found

    def _still_left(self, record):
        if record.live is NOTHING:
            return False
        value = self.values[record.roots[0]]
        if value is not record.live:
            return False
        for_good = type(value).__name__ in reasons.KNOWN and not over.is_over(value)
        return for_good or record.left["reason"].startswith(TOO_LONG)

    def _is_proven(self, record):
        """Return whether the value cannot have changed, as it is made of the same parts."""
        return record.proof is not None and same(
            proof_of(self.value(record.roots[0])), record.proof
        )

    def _repack(self, record):
        roots = record.roots
        try:
            dump = self.pack(roots)
        except Exception as error:
            if len(roots) == 1:
                self._fail(roots, error, record)
            return
        if dump.marks == record.marks and record.live is NOTHING:
            self._add(Piece(roots, record, dump))
        elif len(roots) == 1:
            self._add(Piece(roots, None, dump))
        else:
            # Its members may have parted, so they are looked at one by one.
            self._joint[roots] = dump

    def _fail(self, roots, error, record=None):
        """Note that roots cannot be packed; the same object as last time is no news."""
        if record is not None and record.live is self.values.get(roots[0]):
            self._keep(record)
        else:
            self._add(Piece(roots, error=error))

    def _take_alone(self, root):
        try:
            self._add(Piece((root,), None, self.pack((root,))))
        except Exception as error:
            self._fail((root,), error, self.state.record_of.get(root))

    # ------------------------------------------------------------- classes

    def _reach_classes(self):
        """Take the classes that something mentions, and those that these mention."""
        waiting = [tid for piece in self.pieces for tid in piece.classes]
        waiting += [tid for record in self.same for tid in record.classes]
        while waiting:
            root = "c", waiting.pop()
            if root in self._taken or self.state.classes.get(root[1]) is None:
                continue
            packed, kept = len(self.pieces), len(self.same)
            self._take_class(root)
            for piece in self.pieces[packed:]:
                piece.classes = piece.classes | self._skeleton_classes(piece)
                waiting.extend(piece.classes)
            for record in self.same[kept:]:
                waiting.extend(record.classes)

    def _take_class(self, root):
        record = self.state.record_of.get(root)
        only_classes = record is not None and all(kind == "c" for kind, _ in record.roots)
        if only_classes and self._revisit_classes(record):
            return
        try:
            self._add(Piece((root,), None, self.pack((root,))))
        except Exception as error:
            self._take_class_without(root, error)

    def _revisit_classes(self, record):
        """Return whether the classes of a record could be taken as a whole."""
        roots = record.roots
        if any(root in self._taken or self.state.classes.get(root[1]) is None for root in roots):
            return False
        if self._is_proven(record):
            self._keep(record)
            return True
        try:
            dump = self.pack(roots)
        except Exception:
            return False
        if dump.marks == record.marks:
            self._add(Piece(roots, record, dump))
            return True
        self._joint[roots] = dump
        return False

    def _take_class_without(self, root, error):
        """Take a class without the attributes that cannot be packed."""
        tid = root[1]
        whole = ClassRoot(tid, self.state.classes.get(tid))
        bad = {}
        for name, value in whole.attributes(self.state.cloudpickle).items():
            try:
                self.pickler.pack((value,))
            except Exception as failure:
                bad[name] = value, failure.with_traceback(None)
        self.state.leave_attributes(whole, bad)
        try:
            self._add(Piece((root,), None, self.pack((root,))))
        except Exception:
            self._add(Piece((root,), error=error))

    def _skeleton_classes(self, piece):
        """Return the classes that the classes of a piece are made from."""
        found = set()
        for kind, key in piece.roots:
            if kind != "c":
                continue
            known = self.state.skeletons.get(key)
            if known is None:
                dump = self.pickler.pack(skeleton(self.state.classes.get(key)))
                known = self.state.skeletons[key] = {"dump": dump, "classes": dump.classes}
            found |= known["classes"]
        return found

    # ------------------------------------------------------------- what hangs together

    def _join(self):
        while True:
            memos = [piece.dump.memo if piece.dump else {} for piece in self.pieces]
            memos += [bundle.memo for bundle in self._bundles]
            proven = [record for record in self.same if record.proof is not None]
            memos += [{id(each): (0, each) for each in functions_of(r.proof)} for r in proven]
            groups = partition.Groups(len(memos))
            partition.join_by_objects(groups, memos, self.pickler.seed_ids, self._is_shared)
            partition.join_by_memory(groups, self._spans())
            joined = groups.joined()
            loose = {n - len(self.pieces) for group in joined for n in group} & set(
                range(len(self._bundles) + len(proven))
            )
            if not loose:
                break
            self._loosen(loose, proven)
        self._merge_all(joined)

    def _is_shared(self, thing):
        return is_shared(thing) and self.state.named.find(thing) is None

    def _spans(self):
        spans = [piece.dump.spans if piece.dump else () for piece in self.pieces]
        spans += [bundle.spans for bundle in self._bundles]
        return [(low, high, number) for number, own in enumerate(spans) for low, high, _ in own]

    def _loosen(self, loose, proven):
        """Pack one by one what was kept without a dump of its own but shares with others."""
        records = []
        for number in loose:
            if number < len(self._bundles):
                records += self._bundles[number].records
            else:
                records.append(proven[number - len(self._bundles)])
        self._bundles = [b for number, b in enumerate(self._bundles) if number not in loose]
        gone = {id(record) for record in records}
        self.same = [record for record in self.same if id(record) not in gone]
        for record in records:
            self._add(Piece(record.roots, record, self.pack(record.roots)))

    def _merge_all(self, joined):
        merged, gone = [], set()
        for group in joined:
            joint = self._merge([self.pieces[number] for number in group])
            if joint is not None:
                merged.append(joint)
                gone.update(group)
        if gone:
            self.pieces = [p for n, p in enumerate(self.pieces) if n not in gone] + merged

    def _merge(self, pieces):
        roots = tuple(sorted((root for piece in pieces for root in piece.roots), key=_order))
        dump = self._joint.get(roots)
        if dump is None:
            try:
                dump = self.pack(roots)
            except Exception:
                # Each can be packed by itself: better without what they share than not at all.
                return None
        piece = Piece(roots, None, dump)
        for part in pieces:
            piece.classes = piece.classes | part.classes
        return piece


def _order(root):
    return root[0], str(root[1])
