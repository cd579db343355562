"""What was typed: ``In``, ``_i`` and so on. It only grows, so old parts are not read again."""

from __future__ import annotations

import json

from .blobs import marks

#: Entries a segment, largest first. Of each smaller size there are few, so the manifest stays
#: short, and a new cell adds one entry instead of packing the last 64 again.
_SIZES = (64, 8, 1)


class History:
    """The input history of the shell, in segments that keep their blobs.

    Args:
        shell: the IPython shell.
        store: where segments are kept.
    """

    def __init__(self, shell, store):
        self.shell = shell
        self.store = store
        # (first entry, entries) -> (blob, last entry as an object: the same one means unchanged)
        self._segments = {}

    @property
    def _raw(self):
        return self.shell.history_manager.input_hist_raw

    @property
    def _parsed(self):
        return self.shell.history_manager.input_hist_parsed

    def capture(self):
        """Return the history as it travels: ``{"total": n, "segments": [[at, size, blob]]}``."""
        total = len(self._raw)
        segments = [[at, size, self._blob(at, size)] for at, size in _cut(total)]
        self._forget_others(segments)
        return {"total": total, "segments": segments}

    def _blob(self, at, size):
        last = self._raw[at + size - 1]
        known = self._segments.get((at, size))
        if known is not None and known[1] is last:
            return known[0]
        entries = [self._entry(number) for number in range(at, at + size)]
        data = memoryview(json.dumps(entries).encode())
        blob = self.store.keep(data, marks(data), {})
        self._segments[at, size] = (blob, last)
        return blob

    def _entry(self, number):
        raw = self._raw[number]
        parsed = self._parsed[number] if number < len(self._parsed) else raw
        return [raw] if parsed == raw else [raw, parsed]

    def _forget_others(self, segments):
        self._segments = {(at, size): self._segments[at, size] for at, size, _ in segments}

    def distrust(self):
        """Believe no more that any segment is in the store."""
        self._segments = {}

    def stage(self, wire):
        """Read what this kernel does not have yet.

        Returns:
            Something for :meth:`commit`.

        Raises:
            ChunkError: a segment is missing or damaged.
        """
        staged = []
        for at, size, blob in wire["segments"]:
            known = self._segments.get((at, size))
            same = known and known[0] == blob and self._raw[at + size - 1 : at + size] == [known[1]]
            entries = None if same else json.loads(self.store.read(blob).decode())
            staged.append((at, size, blob, entries))
        return wire["total"], staged

    def commit(self, staged):
        """Make the history what :meth:`stage` read."""
        total, segments = staged
        before, changed = len(self._raw), {}
        for at, size, _, entries in segments:
            if entries is not None:
                changed.update(self._write(at, size, entries))
        del self._raw[total:], self._parsed[total:]
        for number in range(total, before):
            self.shell.user_ns.pop(f"_i{number}", None)
        self._segments = {
            (at, size): (blob, self._raw[at + size - 1]) for at, size, blob, _ in segments
        }
        self._put_last()
        self._record(before, total, changed)

    def _write(self, at, size, entries):
        """Put entries in their place; return those that are new there, by number."""
        changed = {
            number: entry
            for number, entry in enumerate(entries, at)
            if self._raw[number : number + 1] != [entry[0]]
        }
        self._raw[at : at + size] = [entry[0] for entry in entries]
        self._parsed[at : at + size] = [entry[-1] for entry in entries]
        for number, entry in enumerate(entries, at):
            self.shell.push({f"_i{number}": entry[0]}, interactive=False)
        return changed

    def _record(self, before, total, changed):
        """Have IPython's database hold the same, as if all had been typed here, in this session."""
        manager = self.shell.history_manager
        rows = [(number, entry[-1], entry[0]) for number, entry in sorted(changed.items())]
        try:
            if total < before or any(number < before for number, *_ in rows):
                self._replace(manager, total, rows)
            elif rows:
                with manager.db_input_cache_lock:
                    manager.db_input_cache.extend(rows)
                _wake(manager)
        except Exception:
            # The database is a convenience, and others write to it too.
            return

    def _replace(self, manager, total, rows):
        # It has these line numbers already, and one that comes twice is complained of in a cell.
        manager.writeout_cache()
        session = manager.session_number
        with manager.db as db:
            db.execute("DELETE FROM history WHERE session = ? AND line >= ?", (session, total))
            db.executemany(
                "INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?)",
                [(session, *row) for row in rows],
            )

    def _put_last(self):
        manager, names = self.shell.history_manager, self.shell.user_ns
        last = [*reversed(self._raw[1:]), "", "", "", ""][:4]
        manager._i00, manager._i, manager._ii, manager._iii = last
        names["_i"], names["_ii"], names["_iii"] = last[1:]


def _wake(manager):
    """Have IPython's own thread write what is new, as it does after a cell."""
    flag = getattr(manager, "save_flag", None)
    if flag is not None:
        flag.set()


def _cut(total):
    """Yield (first entry, entries) of the segments; entry 0 is IPython's own empty one."""
    at = 1
    for size in _SIZES:
        while total - at >= size:
            yield at, size
            at += size
