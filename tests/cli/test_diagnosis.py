"""The doctor's judgements: facts in, findings out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from relay_kernel.cli.diagnosis import machine as on_machine
from relay_kernel.cli.diagnosis.cell import CellFacts, judge_cell
from relay_kernel.cli.diagnosis.finding import Finding, Outcome
from relay_kernel.cli.diagnosis.planes import judge_envs, judge_files
from relay_kernel.cli.diagnosis.road import (
    AgentFound,
    Dial,
    Tunnel,
    judge_agent,
    judge_dial,
    judge_join,
    judge_login,
    judge_sshd,
    judge_tunnel,
)
from relay_kernel.cli.diagnosis.server import (
    ConfigFacts,
    JupyterFacts,
    judge_config,
    judge_extension,
    judge_kernelspec,
)
from relay_kernel.link.errors import DialError, DialStep
from relay_kernel.link.machine import read_settings, sshd_command
from relay_kernel.link.survey import Disk, Gpus, Machine, SshdSettings, read_survey, survey_here

OK, SKIPPED, WARNING, FAULT = Outcome

WELL = Machine(
    host="desk",
    system="Linux x86_64",
    python=(3, 11, 2),
    executable="/usr/bin/python3",
    packages={"ipykernel": "7.3.1"},
    clock=1e9,
    uv=("/usr/bin/uv", "uv 0.9.1"),
    watches=524288,
    instances=128,
)


def having(**facts: Any) -> Machine:
    """A machine that is well but for these."""
    return msgspec.structs.replace(WELL, **facts)


def sshd(**settings: str) -> SshdSettings:
    return SshdSettings("/etc/ssh/sshd_config", True, settings)


def disk(free: float) -> Disk:
    return Disk("home", "/home/me", int(free), int(1e12))


def cell(**facts: Any) -> CellFacts:
    return CellFacts("pc", **facts)


def files(**pair: Any) -> dict[str, Any]:
    """The file plane's status of one folder."""
    known = {"trouble": "", "paused": "", "linked": True, "conflicts": 0, "pending": 0}
    folder = {"trouble": "", "targets": {"pc": known | pair}}
    return {"complaint": "", "folders": {"notebooks": folder}, "targets": {}}


def env(phase: str, **state: Any) -> dict[str, Any]:
    return {"python3": {"pc": {"phase": phase, "drift": [], "why": "", "step": "", **state}}}


CURRENT = AgentFound("pc", "1.0", "1.0")
OTHER_PYTHON = having(python=(3, 12, 1))
FOUND = JupyterFacts("/jupyter/kernels/relay", has_server=True, enabled=True, searched=("/etc",))

#: What is judged -> the finding, its outcome, what it says or how it is mended.
TABLE: dict[str, tuple[Finding, Outcome, str]] = {
    "python": (on_machine.judge_python(WELL), OK, "3.11.2"),
    "old python": (on_machine.judge_python(having(python=(3, 9, 1))), FAULT, "3.11 or newer"),
    "same python": (on_machine.judge_same_python(WELL, WELL, own=True), OK, "3.11"),
    "other python": (
        on_machine.judge_same_python(WELL, OTHER_PYTHON, own=True),
        *(WARNING, "3.12 there and 3.11 on the server"),
    ),
    "other python of the agent": (
        on_machine.judge_same_python(WELL, OTHER_PYTHON, own=False),
        *(OK, "mirrored environments get the server's"),
    ),
    "ipykernel": (on_machine.judge_ipykernel(WELL, (7, 3)), OK, "7.3.1"),
    "old ipykernel": (
        on_machine.judge_ipykernel(having(packages={"ipykernel": "7.2.0"}), (7, 3)),
        *(FAULT, "-m pip install 'ipykernel>=7.3'"),
    ),
    "no ipykernel": (
        on_machine.judge_ipykernel(having(packages={}), (6, 29)),
        *(FAULT, "-m pip install 'ipykernel>=6.29'"),
    ),
    "uv": (on_machine.judge_uv(WELL), OK, "0.9.1, /usr/bin/uv"),
    "no uv": (on_machine.judge_uv(having(uv=())), WARNING, "-m pip install uv"),
    "uv that does not run": (
        on_machine.judge_uv(having(uv=("/bin/uv", ""))),
        *(FAULT, "/bin/uv does not run"),
    ),
    "no gpu": (on_machine.judge_gpu(WELL), OK, "no NVIDIA GPU"),
    "gpu": (on_machine.judge_gpu(having(gpus=Gpus(("RTX 4090, 24564 MiB",)))), OK, "RTX 4090"),
    "gpu in trouble": (
        on_machine.judge_gpu(having(gpus=Gpus(trouble="Driver/library version mismatch"))),
        *(WARNING, "restart the machine"),
    ),
    "disk": (on_machine.judge_disk(disk(5e11)), OK, "500.0 GB of 1000.0 GB free"),
    "scarce disk": (on_machine.judge_disk(disk(1e9)), WARNING, "make room there"),
    "full disk": (on_machine.judge_disk(disk(1e6)), FAULT, "0.0 GB of 1000.0 GB free"),
    "inotify": (on_machine.judge_inotify(WELL), OK, "524288 watches"),
    "few watches": (
        on_machine.judge_inotify(having(watches=8192)),
        *(WARNING, "sysctl -w fs.inotify.max_user_watches=524288"),
    ),
    "few instances": (
        on_machine.judge_inotify(having(instances=8)),
        *(WARNING, "fs.inotify.max_user_instances=512"),
    ),
    "no inotify": (on_machine.judge_inotify(having(watches=None)), SKIPPED, "has none"),
    "clock": (on_machine.judge_clock(having(ahead=-0.3)), OK, "within 2 s"),
    "clock ahead": (
        on_machine.judge_clock(having(ahead=90.0)),
        *(WARNING, "90 s ahead of the server's"),
    ),
    "clock behind": (
        on_machine.judge_clock(having(ahead=-7200.0)),
        *(FAULT, "timedatectl set-ntp true"),
    ),
    "goodbye": (on_machine.judge_goodbye(having(no_goodbye="")), OK, "are announced"),
    "no goodbye": (
        on_machine.judge_goodbye(having(no_goodbye="Failed to inhibit: Access denied")),
        *(WARNING, "apt install polkitd"),
    ),
    "nobody to say goodbye to": (on_machine.judge_goodbye(WELL), SKIPPED, "no logind"),
    "agent": (judge_agent(CURRENT), OK, "version 1.0"),
    "old agent": (judge_agent(AgentFound("pc", "1.0", "0.9")), WARNING, "version 0.9 there"),
    "no agent": (judge_agent(AgentFound("pc", "1.0")), WARNING, "relay add pc"),
    "no python": (
        judge_agent(AgentFound("pc", "1.0", wrong="no Python")),
        *(FAULT, "install Python 3.11"),
    ),
    "login": (judge_login(ends=False), OK, "go on when the connection breaks"),
    "login that ends all": (judge_login(ends=True), WARNING, "restart systemd-logind"),
    "join without systemd": (judge_join(None, None), SKIPPED, "no systemd"),
    "join by hand": (judge_join("", False), WARNING, "--service"),
    "join as a user's service": (judge_join("user", False), WARNING, "enable-linger"),
    "join as a lingering service": (judge_join("user", True), OK, "service of the user"),
    "join as the system's service": (judge_join("system", False), OK, "service of the system"),
    "config": (judge_config(ConfigFacts("c.toml", ("pc",))), OK, "c.toml: pc"),
    "wrong config": (
        judge_config(ConfigFacts("c.toml", wrong="c.toml, line 2: no")),
        *(FAULT, "correct that line"),
    ),
    "no pc": (judge_config(ConfigFacts("c.toml")), WARNING, "relay add pc --ssh"),
    "kernelspec": (judge_kernelspec(FOUND, "/bin/python"), OK, "/jupyter/kernels/relay"),
    "no kernelspec": (
        judge_kernelspec(JupyterFacts(), "/bin/python"),
        *(FAULT, "/bin/python -m pip install"),
    ),
    "kernelspec of a removed environment": (
        judge_kernelspec(JupyterFacts("/k", "/old/python"), "/bin/python"),
        *(FAULT, "/old/python, which is not there"),
    ),
    "extension": (judge_extension(FOUND), OK, "enabled"),
    "no server": (judge_extension(JupyterFacts()), SKIPPED, "not installed"),
    "extension switched off": (
        judge_extension(JupyterFacts(has_server=True, enabled=False)),
        *(WARNING, "jupyter server extension enable relay_kernel"),
    ),
    "extension without settings": (
        judge_extension(JupyterFacts(has_server=True, searched=("/etc/jupyter",))),
        *(WARNING, "/etc/jupyter"),
    ),
    "cell": (judge_cell(cell(ran_on="pc", seconds=0.012, ready=2.5)), OK, "12 ms"),
    "cell elsewhere": (judge_cell(cell(ran_on="local")), FAULT, "it ran on local"),
    "cell that failed": (judge_cell(cell(error="pc is absent")), FAULT, "relay logs pc"),
}


@pytest.mark.parametrize("case", TABLE)
def test_judgement(case: str) -> None:
    finding, outcome, says = TABLE[case]
    assert finding.outcome is outcome
    assert says in f"{finding.found} {finding.mend}"
    assert bool(finding.mend) == (outcome in {WARNING, FAULT})


#: Settings of an sshd -> the names of what is found, all of it warnings but those marked "!".
SSHD: dict[str, tuple[SshdSettings, list[str]]] = {
    "defaults": (sshd(), []),
    "patient": (sshd(clientaliveinterval="15", clientalivecountmax="3"), []),
    "impatient": (sshd(clientaliveinterval="2s", clientalivecountmax="2"), ["ClientAlive"]),
    "never gives up": (sshd(tcpkeepalive="no"), ["ClientAlive"]),
    "few sessions": (sshd(maxsessions="1"), ["MaxSessions"]),
    "no sessions": (sshd(maxsessions="0"), ["MaxSessions!"]),
}


def named(findings: list[Finding]) -> list[str]:
    """Names of warnings, and of faults with a mark."""
    marks = {WARNING: "", FAULT: "!"}
    return [each.name + marks[each.outcome] for each in findings if each.outcome in marks]


@pytest.mark.parametrize("case", SSHD)
def test_settings_of_an_sshd(case: str) -> None:
    settings, names = SSHD[case]
    assert named(judge_sshd(settings, "the PC")) == names


@pytest.mark.parametrize("settings", [SshdSettings(), SshdSettings("/etc/ssh/sshd_config")])
def test_an_sshd_that_cannot_be_asked(settings: SshdSettings) -> None:
    assert [each.outcome for each in judge_sshd(settings, "the PC")] == [SKIPPED]


#: A reverse tunnel -> how its findings end.
ALIVE = {"clientaliveinterval": "1m"}
TUNNELS: dict[str, tuple[list[Finding], list[str]]] = {
    "well": (judge_tunnel(Tunnel(2222, False, sshd(**ALIVE))), []),
    "not to be seen": (judge_tunnel(Tunnel(2222)), []),
    "without a command": (
        judge_tunnel(Tunnel(2222, True, sshd(**ALIVE))),
        ["'while sleep 60; do echo; done'"],
    ),
    "stale when it is cut off": (
        judge_tunnel(Tunnel(2222, False, sshd())),
        ["ClientAliveCountMax 2"],
    ),
    "forbidden": (
        judge_tunnel(Tunnel(2222, False, sshd(allowtcpforwarding="no", **ALIVE))),
        ["AllowTcpForwarding yes (or remote)"],
    ),
    "down": (judge_tunnel(Tunnel(2222), DialStep.PORT), ["ssh -R 2222:localhost:22 SERVER …"]),
    "stale": (
        judge_tunnel(Tunnel(2222), DialStep.ANSWER),
        ["the PC's next dial has the port again"],
    ),
}


@pytest.mark.parametrize("case", TUNNELS)
def test_a_reverse_tunnel(case: str) -> None:
    findings, mends = TUNNELS[case]
    found = [each.mend for each in findings if each.mend]
    assert len(found) == len(mends)
    assert all(mend.endswith(end) for mend, end in zip(found, mends, strict=True))


@pytest.mark.parametrize("step", DialStep)
def test_a_dial_that_fails_at(step: DialStep) -> None:
    found = judge_dial(Dial("pc", "me@desk", 1.0, step, "the reason"))
    before = list(DialStep).index(step)
    assert [each.outcome for each in found[:before]] == [OK] * before
    assert (found[before].outcome, found[before].found) == (FAULT, "the reason")
    assert "{" not in found[before].mend
    assert {each.outcome for each in found[before + 1 :]} <= {SKIPPED}


#: A plane's word -> outcome, and what is said.
PLANES: dict[str, tuple[list[Finding], Outcome, str]] = {
    "no file plane": (judge_files(None, "pc"), SKIPPED, "the next notebook starts it"),
    "no folders": (judge_files({"folders": {}, "targets": {}}, "pc"), SKIPPED, "no folder"),
    "complaint": (judge_files({"complaint": "no TOML"}, "pc"), FAULT, "no TOML"),
    "equal": (judge_files(files(), "pc"), OK, "equal"),
    "pending": (judge_files(files(pending=3), "pc"), OK, "3 files on their way"),
    "paused": (judge_files(files(paused="all is gone"), "pc"), WARNING, "relay files resume"),
    "trouble": (judge_files(files(trouble="no such folder"), "pc"), FAULT, "no such folder"),
    "unlinked": (judge_files(files(linked=False), "pc"), WARNING, "not linked"),
    "conflicts": (judge_files(files(conflicts=2), "pc"), WARNING, "relay files conflicts"),
    "no environment": (judge_envs({}, "pc"), SKIPPED, "none is mirrored"),
    "ready": (judge_envs(env("ready"), "pc"), OK, "as on the server"),
    "building": (judge_envs(env("building", step="numpy"), "pc"), WARNING, "numpy"),
    "impossible": (judge_envs(env("impossible", why="conda"), "pc"), FAULT, "conda"),
    "drift": (judge_envs(env("ready", drift=list("abcd")), "pc"), WARNING, "a; b; c and 1 more"),
}


@pytest.mark.parametrize("case", PLANES)
def test_planes(case: str) -> None:
    (finding,), outcome, says = PLANES[case]
    assert finding.outcome is outcome
    assert says in f"{finding.found} {finding.mend}"


class TestMachine:
    """The program that says what a machine is like."""

    def test_this_one(self) -> None:
        found = survey_here()
        assert found.packages["relay-kernel"]
        assert {each.name for each in found.disks} == {"home", "state"}

    def test_a_login_shell_that_talks(self) -> None:
        text = b"welcome!\n" + msgspec.json.encode(WELL)
        assert read_survey(text, WELL.clock + 5, "pc").ahead == -5

    @pytest.mark.parametrize("said", [b"", b"no", b"{}", b'{"host": 1}', b"[1]"])
    def test_nonsense(self, said: bytes) -> None:
        with pytest.raises(DialError, match="pc does not say what it is like") as caught:
            read_survey(said, 0.0, "pc")
        assert "\n" not in caught.value.reason

    def test_settings_of_sshd(self, tmp_path: Any) -> None:
        more = tmp_path / "more.conf"
        more.write_text("MaxSessions 3\n")
        main = tmp_path / "sshd_config"
        main.write_text(
            f"# MaxSessions 1\nInclude {more}\nmaxsessions=7\nTCPKeepAlive\tno # for ever\n"
            "Match User me\n  ClientAliveInterval 1\n"
        )
        settings: dict[str, str] = {}
        read_settings(str(main), settings, 16)
        assert settings == {"maxsessions": "3", "tcpkeepalive": "no"}

    def test_the_sshd_above_us(self) -> None:
        lines = ["sh -c x", "sshd: /usr/sbin/sshd -D -f /a/b -o MaxSessions=2 [listener]"]
        assert sshd_command(lines) == ("/a/b", {"maxsessions": "2"})
        assert sshd_command(["sh", "sshd: me@notty"]) == ("/etc/ssh/sshd_config", {})
