"""Judges the way to a PC: each step of the dial, the agent at its end, and the sshd in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from relay_kernel.cli.diagnosis.finding import Finding, fault, ok, skipped, warning
from relay_kernel.cli.diagnosis.machine import dotted
from relay_kernel.link.errors import DialStep
from relay_kernel.link.probe import OLDEST

if TYPE_CHECKING:
    from relay_kernel.link.survey import SshdSettings

#: Sessions that sshd should grant on one connection: an agent's and two more notebooks' at least.
SESSIONS = 4

#: Seconds after which sshd may give up a silent client: a blip should not cost the connection.
PATIENT = 10


@dataclass(frozen=True)
class Dial:
    """What became of a dial over SSH."""

    name: str
    """The target's."""
    ssh: str
    """Where it was dialled."""
    seconds: float = 0.0
    failed: DialStep | None = None
    """The step that failed; ``None``: none did."""
    reason: str = ""
    """Why, in one line that says what to do, too."""


#: How a step that failed is mended; ``{name}`` and ``{ssh}`` are filled in.
MENDS = {
    DialStep.PIN: "relay add {name}",
    DialStep.KEY: "correct identity in config.toml or the entry in ~/.ssh/config, and try: "
    "ssh -v {ssh}",
    DialStep.NAME: "correct ssh in config.toml, or: relay add {name} --ssh me@host:port",
    DialStep.PORT: "switch it on, start its sshd (sudo systemctl start ssh), or correct the port: "
    "relay add {name} --ssh me@host:port",
    DialStep.ANSWER: "see the log of its sshd (journalctl -u ssh); at the near end of a tunnel, "
    "end the old sshd that still listens",
    DialStep.HOST_KEY: "compare the key on that machine (ssh-keygen -lf "
    "/etc/ssh/ssh_host_ed25519_key.pub); if it is the same: relay add {name}",
    DialStep.LOGIN: "put your public key there (ssh-copy-id), or name another: "
    "relay add {name} --identity FILE",
    DialStep.SHELL: "give the user there a shell (chsh), or take command= off the key in its "
    "authorized_keys",
}

_WELL = {
    DialStep.PIN: "its host key is pinned",
    DialStep.KEY: "a private key is there",
    DialStep.NAME: "the name resolves",
    DialStep.PORT: "somebody listens",
    DialStep.ANSWER: "an SSH server answers",
    DialStep.HOST_KEY: "it shows the pinned key",
    DialStep.LOGIN: "it lets you in",
    DialStep.SHELL: "it runs commands",
}


def judge_dial(dial: Dial) -> list[Finding]:
    """One finding for each step, in order; those behind the one that failed are skipped."""
    found = []
    failed: DialStep | None = None
    for step in DialStep:
        name = f"ssh: {step.value}"
        if failed is not None:
            found.append(skipped(name, f"a step before it failed: {failed.value}"))
        elif step is dial.failed:
            failed = step
            mend = MENDS[step].format(name=dial.name, ssh=dial.ssh)
            found.append(fault(name, dial.reason, mend))
        elif step is DialStep.SHELL:
            found.append(ok(name, f"{_WELL[step]}, after {dial.seconds:.1f} s"))
        else:
            found.append(ok(name, _WELL[step]))
    return found


@dataclass(frozen=True)
class AgentFound:
    """The agent on a PC that is dialled."""

    name: str
    """The target's."""
    ours: str
    """The version that it should have."""
    version: str = ""
    """The version that is there; empty: none."""
    wrong: str = ""
    """Why no agent can be there at all, in one line that says what to do."""
    python: str = ""
    """The interpreter that ``config.toml`` names; empty: it names none."""

    @property
    def is_current(self) -> bool:
        """Whether it can be used as it is."""
        return not self.wrong and self.version == self.ours


def judge_agent(agent: AgentFound) -> Finding:
    """Whether this version's agent is there; the hub puts it there where it can."""
    add = f"relay add {agent.name}"
    if agent.wrong and agent.python:
        pip = f"{agent.python} -m pip install relay-kernel=={agent.ours}"
        mend = f"correct python in config.toml, or there: {pip}"
        return fault("agent", agent.wrong, mend)
    if agent.wrong:
        mend = f"install Python {dotted(OLDEST)} or newer there (sudo apt install python3); {add}"
        return fault("agent", agent.wrong, mend)
    if agent.is_current:
        return ok("agent", f"version {agent.version}")
    if agent.version:
        line = f"version {agent.version} there, and {agent.ours} here"
        return warning(
            "agent", f"{line}: the next notebook brings it over, which takes a minute", add
        )
    line = "none is installed: the next notebook brings it over, which takes a minute"
    return warning("agent", line, add)


@dataclass(frozen=True)
class Tunnel:
    """The near end of a reverse tunnel, on the server."""

    port: int
    plain: bool | None = None
    """Whether the PC's ssh runs no command (``-N``), which costs time; ``None``: not known."""
    sshd: SshdSettings | None = None
    """Of the server."""


def judge_sshd(sshd: SshdSettings, whose: str) -> list[Finding]:
    """The settings of an sshd that a link goes through.

    Args:
        sshd: As its file has it.
        whose: ``the PC`` or ``the server``.
    """
    if not sshd.file:
        return [skipped("sshd settings", f"{whose} has no sshd_config")]
    if not sshd.readable:
        return [skipped("sshd settings", f"{sshd.file} of {whose} may not be read")]
    found = [judge_alive(sshd), judge_sessions(sshd)]
    bad = [each for each in found if each is not None]
    return bad or [ok("sshd settings", f"{sshd.file} of {whose} has nothing that hurts")]


def judge_alive(sshd: SshdSettings) -> Finding | None:
    """Whether sshd gives up too soon, or never."""
    interval = seconds(sshd.settings.get("clientaliveinterval", "0"))
    count = whole(sshd.settings.get("clientalivecountmax", "3"))
    if interval and count and interval * count < PATIENT:
        line = f"ClientAliveInterval {interval} x {count}: a blip of that length ends connections"
        return warning("ClientAlive", line, f"in {sshd.file}: ClientAliveInterval 5, CountMax 3")
    if not interval and sshd.settings.get("tcpkeepalive", "yes").lower() == "no":
        line = "TCPKeepAlive no and no ClientAliveInterval: dead connections stay for ever"
        return warning("ClientAlive", line, f"in {sshd.file}: ClientAliveInterval 15")
    return None


def judge_sessions(sshd: SshdSettings) -> Finding | None:
    """Whether one connection carries enough."""
    sessions = whole(sshd.settings.get("maxsessions", "10"))
    if sessions >= SESSIONS:
        return None
    line = f"MaxSessions {sessions}: "
    mend = f"in {sshd.file}: MaxSessions 10"
    if sessions == 0:
        return fault("MaxSessions", line + "no command is run", mend)
    return warning(
        "MaxSessions", line + "nearly every notebook needs a connection of its own", mend
    )


def judge_tunnel(tunnel: Tunnel, failed: DialStep | None = None) -> list[Finding]:
    """What hurts a reverse tunnel, the server's own sshd above all.

    Args:
        tunnel: Its near end.
        failed: Where the dial through it failed.
    """
    sshd = tunnel.sshd
    name = "reverse tunnel"
    found = []
    if failed is DialStep.PORT:
        line = f"nobody listens at port {tunnel.port} of this machine: the tunnel is down"
        found.append(fault(name, line, f"on the PC: ssh -R {tunnel.port}:localhost:22 SERVER …"))
    if failed is DialStep.ANSWER:
        line = f"port {tunnel.port} is taken, and nobody answers behind it: a stale listener"
        mend = f"sudo fuser -k -n tcp {tunnel.port}; the PC's next dial has the port again"
        found.append(fault(name, line, mend))
    if tunnel.plain:
        line = f"port {tunnel.port}: its ssh runs with -N, so sshd holds small packets back (Nagle)"
        # A command that says nothing, like sleep infinity, stays behind when its connection ends.
        command = "'while sleep 60; do echo; done'"
        mend = f"on the PC, in place of -N: ssh -R {tunnel.port}:localhost:22 SERVER {command}"
        found.append(warning(name, line, mend))
    if sshd is not None and sshd.readable:
        forwarding = sshd.settings.get("allowtcpforwarding", "yes").lower()
        if forwarding in {"no", "local"}:
            line = f"AllowTcpForwarding {forwarding} on the server: no tunnel can be made anew"
            mend = f"in {sshd.file} of the server: AllowTcpForwarding yes (or remote)"
            found.append(fault(name, line, mend))
        if not seconds(sshd.settings.get("clientaliveinterval", "0")):
            line = (
                "ClientAliveInterval 0 on the server: the port stays taken when the PC is cut off"
            )
            mend = f"in {sshd.file} of the server: ClientAliveInterval 5, ClientAliveCountMax 2"
            found.append(warning(name, line, mend))
    return found or [ok(name, f"port {tunnel.port} of this machine is the near end of one")]


def judge_login(ends: bool) -> Finding:
    """Whether the agent of a PC that the server dials outlives a connection that breaks."""
    name = "end of a login"
    if not ends:
        return ok(name, "the agent and its kernels go on when the connection breaks")
    line = "KillUserProcesses=yes: the agent and its kernels end when the connection breaks"
    file = "/etc/systemd/logind.conf"
    mend = f"in {file} of the PC: KillUserProcesses=no, then: sudo systemctl restart systemd-logind"
    return warning(name, line, mend)


def judge_join(unit: str | None, linger: bool | None) -> Finding:
    """Whether ``relay join`` is there after the next boot of a PC that dials in."""
    name = "relay join"
    mend = "on the PC: relay join me@server --service"
    if unit is None:
        return skipped(name, "the PC has no systemd: start relay join at its boot in another way")
    if not unit:
        return warning(name, "it runs, and not as a service: not there after a restart", mend)
    if unit == "user" and not linger:
        line = "it runs as a service of the user's, and ends when they log out"
        return warning(name, line, "on the PC: loginctl enable-linger")
    return ok(name, f"runs as a service of the {unit}")


def seconds(text: str) -> int:
    """A time of sshd_config: ``90``, ``15s``, ``2m``."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    text = text.lower()
    if text[-1:] in units:
        return whole(text[:-1]) * units[text[-1]]
    return whole(text)


def whole(text: str) -> int:
    """A number; 0 where it is none."""
    return int(text) if text.isdigit() else 0
