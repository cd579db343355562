"""Judges the server: its configuration, and the Jupyter that starts R."""

from __future__ import annotations

from dataclasses import dataclass, field

from relay_kernel.cli.diagnosis.finding import Finding, fault, ok, skipped, warning


@dataclass(frozen=True)
class ConfigFacts:
    """``config.toml``, as it was read."""

    path: str
    targets: tuple[str, ...] = ()
    wrong: str = ""
    """The one line that :class:`relay_kernel.settings.config.ConfigError` has for it."""


def judge_config(config: ConfigFacts) -> Finding:
    """Whether it can be used, and names a PC."""
    if config.wrong:
        return fault("config.toml", config.wrong, f"correct that line of {config.path}")
    if not config.targets:
        mend = "relay add pc --ssh me@host:port, or relay add pc --dials-in"
        return warning("config.toml", f"{config.path} names no PC: cells run here", mend)
    return ok("config.toml", f"{config.path}: {', '.join(config.targets)}")


@dataclass(frozen=True)
class JupyterFacts:
    """What Jupyter finds in this environment."""

    kernelspec: str = ""
    """The folder of the kernelspec ``relay``; empty: there is none."""
    missing_program: str = ""
    """The program that the kernelspec starts, if that is not there."""
    has_server: bool = False
    """Whether Jupyter Server is installed here."""
    enabled: bool | None = None
    """Whether our extension is; ``None``: no file says so."""
    searched: tuple[str, ...] = field(default=())
    """Where its settings were looked for."""


def judge_kernelspec(jupyter: JupyterFacts, python: str) -> Finding:
    """Whether "Python 3 (relay)" can be opened.

    Args:
        jupyter: What was found.
        python: The interpreter that has relay-kernel.
    """
    mend = f"{python} -m pip install --force-reinstall --no-deps relay-kernel"
    if not jupyter.kernelspec:
        return fault("kernelspec", "Jupyter lists no kernelspec relay here", mend)
    if jupyter.missing_program:
        line = f"{jupyter.kernelspec} starts {jupyter.missing_program}, which is not there"
        return fault("kernelspec", line, f"write {python} as the first word of its argv")
    return ok("kernelspec", jupyter.kernelspec)


def judge_extension(jupyter: JupyterFacts) -> Finding:
    """Whether relay kernels are listed by themselves."""
    name = "server extension"
    mend = "jupyter server extension enable relay_kernel"
    if not jupyter.has_server:
        return skipped(name, "Jupyter Server is not installed in this environment")
    if jupyter.enabled:
        return ok(name, "enabled")
    if jupyter.enabled is None:
        return warning(name, f"no settings enable it in {', '.join(jupyter.searched)}", mend)
    return warning(name, "switched off: new kernels get no relay-NAME by themselves", mend)
