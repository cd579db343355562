"""What a user meets in ``config.toml``: defaults, order, one clear line for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay_kernel.core.errors import RelayError
from relay_kernel.settings.config import (
    Config,
    ConfigError,
    FilesConfig,
    KernelConfig,
    TargetConfig,
    load_config,
)

FULL = """\
# mine
[targets.slow]
dials_in = true
order = 2

[targets.pc]
ssh = "me@192.0.2.7:2222"
identity = "~/.ssh/id_ed25519"
order = 1
python = "/opt/py/bin/python"

[kernel]
on_loss = "ask"
lost_after = 30
wait_at_submit = 0
heartbeat = 0.5

[files]
folders = ["~/notebooks"]
ignore = [".venv/"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def test_a_missing_file_is_the_default(file: Path) -> None:
    assert load_config(file) == Config()
    assert Config().kernel == KernelConfig("rerun", 60.0, 5.0, 1.0)


def test_everything_is_read(file: Path) -> None:
    file.write_text(FULL)
    config = load_config(file)
    assert [target.name for target in config.targets] == ["pc", "slow"]
    assert config.target("pc") == TargetConfig(
        name="pc",
        ssh="me@192.0.2.7:2222",
        identity=Path.home() / ".ssh/id_ed25519",
        order=1,
        python="/opt/py/bin/python",
    )
    assert config.target("slow") == TargetConfig("slow", dials_in=True, order=2)
    assert config.target("local") is None
    assert config.kernel == KernelConfig("ask", 30.0, 0.0, 0.5)
    assert config.files == FilesConfig((Path.home() / "notebooks",), (".venv/",))


def test_equal_order_goes_by_name(file: Path) -> None:
    file.write_text('[targets.b]\nssh="b"\n[targets.a]\nssh="a"\n')
    assert [target.name for target in load_config(file).targets] == ["a", "b"]


MISTAKES = {
    "no TOML": ("[kernel]\non_loss = rerun\n", 2, "this is not TOML"),
    "no TOML at the end": ('[targets.pc]\nssh = "x\n', 2, "this is not TOML"),
    "twice": ('[kernel]\nheartbeat=1\nheartbeat=2\n', 3, "this is not TOML"),
    "unknown table": ("[kernl]\n", 1, "kernl is not known; did you mean kernel?"),
    "unknown key": ("[kernel]\n\non_los = 'stop'\n", 3, "is not known; did you mean on_loss?"),
    "far off": ("[kernel]\nzzz = 1\n", 2, "allowed are bytes_per_component, heartbeat, keep_"),
    "choice": ('[kernel]\non_loss = "x"\n', 2, 'is "x", but must be one of rerun, stop, ask'),
    "type": ('[kernel]\nlost_after = "long"\n', 2, 'must be a number from 1 to 86400'),
    "range": ("[kernel]\nheartbeat = 0\n", 2, "is 0, but must be a number from 0.05 to 60"),
    "bool": ("[kernel]\nlost_after = true\n", 2, "kernel.lost_after is true"),
    "not a number": ("[kernel]\nlost_after = nan\n", 2, "kernel.lost_after is nan"),
    "local": ('\n[targets.local]\nssh = "x"\n', 2, "targets.local is the server's own name"),
    "name": ('[targets."My PC"]\nssh = "x"\n', 1, "allowed are a-z, 0-9, _ and -"),
    "neither": ("[kernel]\n[targets.pc]\norder = 1\n", 2, "has neither ssh nor dials_in"),
    "both": ('[targets.pc]\nssh = "x"\ndials_in = true\n', 1, "has both ssh and dials_in"),
    "address": ('[targets.pc]\nssh = "me@@pc"\n', 2, "targets.pc.ssh is wrong"),
    "port": ('[targets.pc]\nssh = "me@pc:70000"\n', 2, "allowed is 1 to 65535"),
    "option": ('[targets.pc]\nssh = "-oProxyCommand=x"\n', 2, "is not an SSH address"),
    "order": ('[targets.pc]\nssh = "x"\norder = 1.5\n', 3, "must be a whole number from 0 to 999"),
    "flag": ("[targets.pc]\ndials_in = 1\n", 2, "dials_in is 1, but must be true or false"),
    "empty": ('[targets.pc]\nssh = ""\n', 2, "must be a text in quotes"),
    "table": ("targets = 3\n", 1, "targets is 3, but must be a table: [targets]"),
    "target": ("[targets]\npc = 'me@pc'\n", 2, "must be a table: [targets.pc]"),
    "inline": ("\ntargets = {pc = {ssh = 'x', ordr = 2}}\n", 2, "did you mean order?"),
    "dotted": ("kernel.heartbeat = 1\nkernel.on_loss = 'x'\n", 2, "kernel.on_loss"),
    "folders": ('[files]\nfolders = "~/x"\n', 2, "must be a list of texts"),
    "outside": ('[files]\nfolders = [\n  "~/x",\n  "/etc",\n]\n', 2, "holds /etc, which is not"),
    "multi-line text": ('[kernel]\na = """\n[files]\n"""\n', 2, "kernel.a is not known"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named_by_file_line_and_key(
    file: Path, text: str, line: int, said: str
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    shown = str(caught.value)
    assert shown.startswith(f"{file}, line {line}: ")
    assert said in shown
    assert "\n" not in shown
    assert isinstance(caught.value, RelayError)
    assert not caught.value.retryable


def test_what_cannot_be_read_is_named(file: Path) -> None:
    file.mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(file)


def test_bytes_that_are_no_text_are_named(file: Path) -> None:
    file.write_bytes(b"\xff\xfe[")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(file)
