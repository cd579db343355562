"""A bus of its own with a stand-in for logind, to be told when to say what.

The real one runs only where systemd is the first process: see tests/typed/test_boots.py.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import threading
from typing import TYPE_CHECKING, Self

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from jeepney import Message

SOON = 10.0

_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    <allow send_destination="*"/> <allow receive_sender="*"/> <allow own="*"/> <allow user="*"/>
  </policy>
</busconfig>
"""


def find_dbus() -> str:
    """The daemon; without one the test is skipped, in CI it fails."""
    found = shutil.which("dbus-daemon")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("dbus-daemon is missing: install dbus")
        pytest.skip("needs dbus-daemon (dbus)")
    return found


class Bus:
    """A real dbus-daemon on a socket of its own."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "bus"
        self._config = folder / "bus.conf"
        self._config.write_text(_CONFIG.format(socket=self.socket))

    @property
    def address(self) -> str:
        """For ``DBUS_SYSTEM_BUS_ADDRESS``."""
        return f"unix:path={self.socket}"

    def __enter__(self) -> Self:
        self._daemon = subprocess.Popen(
            [find_dbus(), "--nofork", "--print-address", "--config-file", str(self._config)],
            stdout=subprocess.PIPE,
        )
        assert self._daemon.stdout is not None
        assert self._daemon.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self._daemon.terminate()
        self._daemon.wait(SOON)
        assert self._daemon.stdout is not None
        self._daemon.stdout.close()


class Logind:
    """Grants delay locks and sends the two signals, as logind does; nothing else.

    It refuses what logind refuses to whom is logged in from elsewhere: one lock for both signals;
    and where there is no polkit to ask, every lock.
    """

    def __init__(self, bus: Bus) -> None:
        self.has_polkit = True
        self._bus = bus
        self._denials = 0
        self._locks: dict[str, list[int]] = {"shutdown": [], "sleep": []}
        self._changed = threading.Condition()
        self.asked: list[tuple[str, ...]] = []

    def __enter__(self) -> Self:
        from jeepney import message_bus
        from jeepney.io.blocking import Proxy, open_dbus_connection

        self._connection = open_dbus_connection(self._bus.address, enable_fds=True)
        Proxy(message_bus, self._connection).RequestName("org.freedesktop.login1")
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        import socket

        self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(SOON)
        self._connection.close()
        for lock in itertools.chain(*self._locks.values()):
            os.close(lock)

    def held(self) -> None:
        """Wait until somebody holds a lock of either kind."""
        with self._changed:
            assert self._changed.wait_for(lambda: all(self._locks.values()), SOON), "nobody does"

    def refused(self, count: int) -> None:
        """Wait until so many locks have been refused."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._denials >= count, SOON), self._denials

    def announce(self, member: str, begins: bool) -> None:
        """Send ``PrepareForShutdown`` or ``PrepareForSleep``."""
        signal(self._connection, member, begins)

    def released(self, what: str = "shutdown", index: int = -1, within: float = SOON) -> bool:
        """Whether a lock is let go of in time; logind would not wait longer."""
        import select

        return bool(select.select([self._locks[what][index]], [], [], within)[0])

    def taken_anew(self, count: int, what: str = "shutdown") -> bool:
        """Whether so many locks have been granted, in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self._locks[what]) >= count, SOON)

    def _serve(self) -> None:
        """Answer until the connection is shut, which may also be in the midst of an answer."""
        with contextlib.suppress(OSError):
            while True:
                self._answer(self._connection.receive())

    def _answer(self, message: Message) -> None:
        from jeepney import HeaderFields, MessageType, new_error, new_method_return

        fields = message.header.fields
        if message.header.message_type is not MessageType.method_call:
            return
        if fields[HeaderFields.member] != "Inhibit":
            return
        what = message.body[0]
        if what not in self._locks or not self.has_polkit:
            with self._changed:
                self._denials += 1
                self._changed.notify_all()
            denied = "org.freedesktop.DBus.Error.AccessDenied"
            self._connection.send(new_error(message, denied, "s", ("Permission denied",)))
            return
        ours, theirs = os.pipe()
        try:
            self._connection.send(new_method_return(message, "h", (theirs,)))
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        with self._changed:
            self.asked.append(message.body)
            self._locks[what].append(ours)
            self._changed.notify_all()


def signal(connection: object, member: str, begins: bool, to: str | None = None) -> None:
    """Send a signal of logind's interface, whoever we are."""
    from jeepney import DBusAddress, HeaderFields, new_signal

    emitter = DBusAddress("/org/freedesktop/login1", interface="org.freedesktop.login1.Manager")
    message = new_signal(emitter, member, "b", (begins,))
    if to is not None:
        message.header.fields[HeaderFields.destination] = to
    connection.send(message)  # type: ignore[attr-defined]
