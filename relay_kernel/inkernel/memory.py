"""How much memory this process may still take, and how much a component will."""

from __future__ import annotations

import os

try:
    import resource
except ImportError:
    resource = None

#: Bytes. What is smaller is loaded without asking.
LARGE = 16 << 20
#: Objects take more room than their pickle: 31 MB of small dicts become some 100 MB.
_GROWTH = 3
#: Part of each limit that stays free for the cells, within these bounds in bytes.
_SPARE, _LEAST, _MOST = 0.05, 32 << 20, 1 << 30


def need(wire):
    """Return the bytes that a component will take, about; 0 for what has to be there anyway."""
    if any(kind not in "nou" for kind, _ in wire["roots"]):
        return 0
    buffers = sum(blob.get("size", 0) for blob in wire.get("buffers", ()))
    return buffers + _GROWTH * wire["data"].get("size", 0)


def available(spare=True):
    """Return the bytes that this process may still take, or None if that is not known.

    Args:
        spare: whether to leave some for the cells.
    """
    found = []
    for total, free in _limits():
        kept = min(_MOST, max(_LEAST, _SPARE * total)) if spare else 0
        found.append(int(free - kept))
    return max(0, min(found)) if found else None


def _limits():
    """Yield (bytes in all, bytes free) of each limit that there is."""
    for limit in (_machine, _address_space, *_groups()):
        try:
            found = limit()
        except (OSError, ValueError, KeyError, IndexError):
            continue
        if found is not None:
            yield found


def _machine():
    table = _table("/proc/meminfo")
    return table["MemTotal:"] * 1024, table["MemAvailable:"] * 1024


def _address_space():
    if resource is None:
        return None
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return None
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return limit, limit - used


def _groups():
    """Return a function for each control group (version 2) that this process is in."""
    try:
        with open("/proc/self/cgroup") as file:
            path = next(line[3:].strip() for line in file if line.startswith("0::"))
    except (OSError, StopIteration):
        return []
    parts = [part for part in path.split("/") if part]
    folders = ["/".join(["/sys/fs/cgroup", *parts[:count]]) for count in range(len(parts) + 1)]
    return [lambda folder=folder: _group(folder) for folder in folders]


def _group(folder):
    with open(folder + "/memory.max") as file:
        limit = int(file.read())
    with open(folder + "/memory.current") as file:
        used = int(file.read())
    # Files that were read are given up when there is need.
    return limit, limit - used + _table(folder + "/memory.stat").get("inactive_file", 0)


def _table(path):
    with open(path) as file:
        rows = [line.split() for line in file]
    return {row[0]: int(row[1]) for row in rows if len(row) > 1}
