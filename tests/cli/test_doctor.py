"""``relay doctor`` where something is wrong, as a person runs it: a real command, a real sshd."""

from __future__ import annotations

import functools
import json
import socket
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from relay_kernel import __version__
from relay_kernel.cli import main
from relay_kernel.cli.diagnosis.finding import Outcome
from relay_kernel.link.errors import DialStep
from tests.cli.test_add import relay
from tests.link.test_install import bare_path
from tests.sshd import Sshd, make_key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from relay_kernel.settings.paths import Places

pytestmark = pytest.mark.sshd

Checks = dict[str, dict[str, str]]
Examined = Callable[..., Checks]


@pytest.fixture
def examined(capsys: pytest.CaptureFixture[str]) -> Examined:
    """Runs ``relay doctor pc --json``, in this process."""
    return functools.partial(_examined, capsys)


def _examined(capsys: pytest.CaptureFixture[str], status: int = 1) -> Checks:
    """The checks of ``pc`` by name; every warning and fault says how it is mended."""
    assert main(["doctor", "pc", "--json"]) == status
    said = capsys.readouterr()
    assert said.err == ""
    checks = json.loads(said.out)["checks"]
    bad = {Outcome.WARNING.value, Outcome.FAULT.value}
    assert all(bool(each["mend"]) == (each["outcome"] in bad) for each in checks)
    assert not [each for each in checks if "\n" in each["found"] + each["mend"]]
    return {each["name"]: each for each in checks if each["where"] == "pc"}


def failed_at(checks: Checks, step: DialStep) -> dict[str, str]:
    """The finding of ``step``, where those before it are well and those behind it skipped."""
    steps = list(DialStep)
    place = steps.index(step)
    found = [checks[f"ssh: {each.value}"]["outcome"] for each in steps]
    assert found == ["ok"] * place + ["fault"] + ["skipped"] * (len(steps) - place - 1)
    assert checks["a cell there and back"]["outcome"] == "skipped"
    return checks[f"ssh: {step.value}"]


class TestRoad:
    def test_the_name_is_wrong(self, examined: Examined, places: Places, pc: Sshd) -> None:
        pc.pair(places)
        text = places.config.read_text().replace(pc.host, "no-such-host.invalid")
        places.config.write_text(text)
        assert "does not resolve" in failed_at(examined(), DialStep.NAME)["found"]

    def test_the_port_is_wrong(self, examined: Examined, places: Places, pc: Sshd) -> None:
        pc.pair(places)
        pc.stop()
        fault = failed_at(examined(), DialStep.PORT)
        assert "refuses the connection" in fault["found"]
        assert "relay add pc --ssh" in fault["mend"]

    def test_what_listens_there_is_no_sshd(
        self, examined: Examined, places: Places, pc: Sshd, other: int
    ) -> None:
        pc.pair(places)
        text = places.config.read_text().replace(str(pc.port), str(other))
        places.config.write_text(text)
        failed_at(examined(), DialStep.ANSWER)

    def test_a_stale_listener_takes_the_connection_and_is_silent(
        self, examined: Examined, places: Places, pc: Sshd, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("relay_kernel.link.ssh.DIAL_TIMEOUT", 0.5)
        pc.pair(places)
        with socket.create_server((pc.host, 0)) as silent:
            port = silent.getsockname()[1]
            places.config.write_text(places.config.read_text().replace(str(pc.port), str(port)))
            assert "still listens" in failed_at(examined(), DialStep.ANSWER)["mend"]

    def test_no_key_is_pinned(self, examined: Examined, places: Places, pc: Sshd) -> None:
        pc.pair(places)
        places.known_hosts.unlink()
        assert failed_at(examined(), DialStep.PIN)["mend"] == "relay add pc"

    def test_the_private_key_is_gone(self, examined: Examined, places: Places, pc: Sshd) -> None:
        pc.pair(places)
        pc.identity.unlink()
        assert str(pc.identity) in failed_at(examined(), DialStep.KEY)["found"]

    def test_the_host_key_has_changed(self, examined: Examined, places: Places, pc: Sshd) -> None:
        pc.pair(places)
        new = pc.new_host_key()
        fault = failed_at(examined(), DialStep.HOST_KEY)
        assert new.fingerprint in fault["found"]
        assert "ssh-keygen -lf" in fault["mend"]

    def test_the_key_is_refused(
        self, examined: Examined, places: Places, pc: Sshd, tmp_path: Path
    ) -> None:
        pc.pair(places)
        pc.let_in(make_key(tmp_path / "stranger").with_suffix(".pub").read_text().strip())
        fault = failed_at(examined(), DialStep.LOGIN)
        assert "refuses the key" in fault["found"]
        assert "ssh-copy-id" in fault["mend"]

    def test_it_runs_no_commands(self, examined: Examined, places: Places, pc: Sshd) -> None:
        pc.pair(places)
        key = pc.identity.with_suffix(".pub").read_text().strip()
        pc.let_in(f'command="echo go away" {key}')
        assert "go away" in failed_at(examined(), DialStep.SHELL)["found"]


class TestAgent:
    def test_there_is_none(self, examined: Examined, places: Places, pc: Sshd) -> None:
        """And the PC is asked all the same, over plain SSH."""
        pc.pair(places)
        checks = examined(status=0)
        assert checks["agent"]["outcome"] == "warning"
        assert "none is installed" in checks["agent"]["found"]
        assert checks["clock"]["outcome"] == "ok"
        assert "has to be brought over" in checks["a cell there and back"]["found"]

    def test_it_is_of_another_version(self, examined: Examined, places: Places, pc: Sshd) -> None:
        pc.pair(places)
        pc.install_agent()
        folder = pc.relay_home / "agents"
        (folder / __version__).rename(folder / "0.0.1")
        assert "version 0.0.1 there" in examined(status=0)["agent"]["found"]

    def test_there_is_no_python(self, examined: Examined, places: Places, tmp_path: Path) -> None:
        with Sshd(tmp_path / "bare", path=bare_path(tmp_path / "bin")) as bare:
            bare.pair(places)
            checks = examined()
        assert checks["agent"]["outcome"] == "fault"
        assert "has no Python" in checks["agent"]["found"]
        assert "install Python" in checks["agent"]["mend"]

    def test_the_python_that_is_named_has_no_relay_kernel(
        self, examined: Examined, places: Places, pc: Sshd, tmp_path: Path
    ) -> None:
        empty = tmp_path / "python"
        empty.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
        empty.chmod(0o755)
        pc.pair(places, python=str(empty))
        agent = examined()["agent"]
        assert agent["outcome"] == "fault"
        assert f"{empty} -m pip install relay-kernel=={__version__}" in agent["mend"]


class TestUsage:
    def test_a_config_that_is_wrong_is_a_finding(self, places: Places) -> None:
        places.config.write_text("[kernel]\nzzz = 1\n")
        said = relay("doctor")
        assert said.status == 1
        assert f"{places.config}, line 2: kernel.zzz" in said.output
        assert "1 fault" in said.output

    def test_no_such_target(self, places: Places) -> None:
        said = relay("doctor", "desk")
        assert said.status == 2
        assert "has no target desk; it has: none" in said.complaint

    def test_without_a_pc(self, places: Places) -> None:
        said = relay("doctor")
        assert (said.status, said.errors) == (0, "")
        assert "-> relay add pc --ssh me@host:port" in said.output


@pytest.fixture
def other() -> Iterator[int]:
    """The port of a server that hangs up on everybody."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                server.accept()[0].close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = server.getsockname()[1]
        yield port
        over.set()
        socket.create_connection(("127.0.0.1", port)).close()
        thread.join(30)
