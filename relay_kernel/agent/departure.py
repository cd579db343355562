"""Learns from logind that the machine is about to shut down or to sleep, in time to say goodbye.

A machine that says goodbye is lost at once and not after a minute of silence. logind waits for
whoever holds a delay lock, five seconds at most. Who is not given one hears the same, and is as
quick as possible: the connection ends some milliseconds later. Where there is no D-Bus or no
logind, nothing is announced, and silence says it all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

#: Seconds for the goodbye; logind's own patience is 5 s by default.
BUDGET = 3.5

#: Seconds until a bus that was lost is tried again.
RETRY = 30.0

#: Seconds for logind to answer.
ANSWER_TIMEOUT = 5.0

#: Seconds between two looks at the clocks, and by how much they part in a sleep that counts.
LOOK = 1.0
JUMP = 1.5

_LOGIND = "org.freedesktop.login1"
_PATH = "/org/freedesktop/login1"
_MANAGER = "org.freedesktop.login1.Manager"

#: Signal -> what its lock delays, and what is said of it. One lock for both would be asked for with
#: a right that only somebody at the machine's own screen has (lid switch), so over SSH for nothing.
SIGNALS = {
    "PrepareForShutdown": ("shutdown", "the machine is shutting down"),
    "PrepareForSleep": ("sleep", "the machine is going to sleep"),
}


class Departure:
    """Holds the locks and hears the signals, in a thread of its own.

    Args:
        on_leave: Awaited on the loop when the machine is about to go; has :data:`BUDGET` seconds.
        on_return: Called on the loop when it is back, or does not go after all.
    """

    def __init__(
        self, on_leave: Callable[[str], Awaitable[None]], on_return: Callable[[], None]
    ) -> None:
        self._on_leave = on_leave
        self._on_return = on_return
        self._loop = asyncio.get_running_loop()
        self._over = threading.Event()
        self._connection: Any = None
        self._denied = ""
        self._thread = threading.Thread(target=self._run, name="departure", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Let go of the locks, and hear no more."""
        self._over.set()
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(ANSWER_TIMEOUT)

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self._watch()
            except ImportError:
                log.info("without jeepney, shutdown and sleep are not announced")
                return
            except Exception as error:
                if not self._over.is_set():
                    log.info("shutdown and sleep are not announced: %s", error or type(error))
            self._over.wait(RETRY)

    def _watch(self) -> None:
        from jeepney import MatchRule, message_bus
        from jeepney.io.blocking import Proxy, open_dbus_connection

        rule = MatchRule(type="signal", sender=_LOGIND, interface=_MANAGER, path=_PATH)
        heard = MatchRule(type="signal", interface=_MANAGER, path=_PATH)
        with open_dbus_connection(bus="SYSTEM", enable_fds=True) as connection:
            self._connection = connection
            bus = Proxy(message_bus, connection, timeout=ANSWER_TIMEOUT)
            with connection.filter(heard, queue=deque()) as queue, contextlib.ExitStack() as stack:
                bus.AddMatch(rule)
                locks: dict[str, Any] = {}
                stack.callback(lambda: [lock.close() for lock in locks.values()])
                self._take_all(connection, locks)
                log.info("shutdown and sleep will be announced")
                try:
                    while True:
                        patience = None if locks.keys() == SIGNALS.keys() else RETRY
                        try:
                            signal = connection.recv_until_filtered(queue, timeout=patience)
                        except TimeoutError:
                            self._take_all(connection, locks)
                            continue
                        if self._is_from_logind(bus, signal):
                            self._heed(connection, signal, locks)
                finally:
                    self._connection = None

    def _take_all(self, connection: Any, locks: dict[str, Any]) -> None:
        """Take the locks that are not held yet, as far as they are granted."""
        for member in SIGNALS.keys() - locks.keys():
            try:
                locks[member] = self._take(connection, member)
            except _DeniedError as error:
                if str(error) != self._denied:
                    self._denied = str(error)
                    log.info("a goodbye has to be quick: logind grants no lock: %s", error)

    def _heed(self, connection: Any, signal: Any, locks: dict[str, Any]) -> None:
        """Act on a signal: say goodbye and let go of its lock, or come back and take it again."""
        from jeepney import HeaderFields

        member = signal.header.fields.get(HeaderFields.member)
        if member not in SIGNALS:
            return
        if signal.body[0]:
            leaving = asyncio.run_coroutine_threadsafe(self._leave(SIGNALS[member][1]), self._loop)
            with contextlib.suppress(TimeoutError):
                leaving.result(BUDGET)
        if lock := locks.pop(member, None):
            lock.close()
        if not signal.body[0]:
            self._loop.call_soon_threadsafe(self._on_return)
            self._take_all(connection, locks)

    async def _leave(self, reason: str) -> None:
        log.info("%s", reason)
        await self._on_leave(reason)

    @staticmethod
    def _take(connection: Any, member: str) -> Any:
        """Ask for the delay lock of a signal; closing it lets the machine go."""
        from jeepney import DBusAddress, MessageType, new_method_call

        logind = DBusAddress(_PATH, bus_name=_LOGIND, interface=_MANAGER)
        delayed = SIGNALS[member][0]
        asked = (delayed, "relay-kernel", "to hand its notebooks to the server", "delay")
        call = new_method_call(logind, "Inhibit", "ssss", asked)
        answer = connection.send_and_get_reply(call, timeout=ANSWER_TIMEOUT)
        if answer.header.message_type is MessageType.error:
            raise _DeniedError(str(answer.body[0]) if answer.body else "why?")
        return answer.body[0]

    @staticmethod
    def _is_from_logind(bus: Any, signal: Any) -> bool:
        """Anybody on the bus can send us a signal; only the owner of logind's name counts."""
        from jeepney import HeaderFields

        owner = bus.GetNameOwner(_LOGIND)[0]
        return bool(signal.header.fields.get(HeaderFields.sender) == owner)


class _DeniedError(Exception):
    """logind does not give us a lock."""


def _asleep() -> float:
    """Seconds for which the machine has slept since it was started."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if boot is None else time.clock_gettime(boot) - time.monotonic()


async def watch_sleep(
    on_wake: Callable[[], None], *, asleep: Callable[[], float] = _asleep, look: float = LOOK
) -> None:
    """Call ``on_wake`` after each sleep of the machine, for ever; also where logind is silent.

    Args:
        on_wake: Called on the loop.
        asleep: Seconds slept so far, on the whole.
        look: Seconds between two looks.
    """
    before = asleep()
    while True:
        await asyncio.sleep(look)
        now = asleep()
        if now - before > JUMP:
            log.info("the machine has slept for %.0f s", now - before)
            on_wake()
        before = now
