"""Judges the planes: the files and environments of one target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from relay_kernel.cli.diagnosis.finding import Finding, fault, ok, skipped, warning

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Differences of an environment that one line names.
NAMED = 3


def judge_files(status: Mapping[str, Any] | None, target: str) -> list[Finding]:
    """How the folders stand.

    Args:
        status: As the file plane answers; ``None``: it does not run.
        target: Its name.
    """
    if status is None:
        return [skipped("files", "the file plane does not run: the next notebook starts it")]
    if status.get("complaint"):
        return [fault("files", status["complaint"], "correct that line of config.toml")]
    pairs = {
        f"~/{name}": (folder, folder["targets"].get(target))
        for name, folder in sorted(status["folders"].items())
    }
    error = status["targets"].get(target, {}).get("error", "")
    found = [_judge_pair(name, *pair, error) for name, pair in pairs.items()]
    return found or [skipped("files", "no folder is kept equal: no notebook is open in one")]


def _judge_pair(
    name: str, folder: Mapping[str, Any], pair: Mapping[str, Any] | None, error: str
) -> Finding:
    check = f"files {name}"
    trouble = folder["trouble"] or (pair or {}).get("trouble")
    if trouble:
        return fault(check, str(trouble), "relay files says more")
    if pair is None:
        return skipped(check, "not begun yet")
    if pair["paused"]:
        return warning(check, f"paused: {pair['paused']}", "relay files resume")
    if not pair["linked"]:
        return warning(
            check, f"not linked{f': {error}' if error else ''}", "relay logs --only files"
        )
    if pair["conflicts"]:
        line = f"{pair['conflicts']} conflicts, both versions are kept"
        return warning(check, line, "relay files conflicts")
    if pair["pending"]:
        return ok(check, f"{pair['pending']} files on their way")
    return ok(check, "equal")


def judge_envs(envs: Mapping[str, Mapping[str, Any]], target: str) -> list[Finding]:
    """Whether the environments of the kernels are there."""
    found = [
        _judge_env(kernel, targets[target])
        for kernel, targets in sorted(envs.items())
        if target in targets
    ]
    return found or [skipped("environments", "none is mirrored yet: the next notebook begins it")]


def _judge_env(kernel: str, state: Mapping[str, Any]) -> Finding:
    check = f"environment {kernel}"
    sync = f"relay kernels sync {kernel}"
    if state["phase"] == "impossible":
        return fault(check, state["why"] or "it cannot be had there", "see docs: Environments")
    if state["phase"] != "ready":
        why = state["step"] or state["why"] or state["phase"]
        return warning(check, f"not there yet: {why}", sync)
    drift = list(state["drift"])
    if drift:
        more = f" and {len(drift) - NAMED} more" if len(drift) > NAMED else ""
        return warning(check, f"differs: {'; '.join(drift[:NAMED])}{more}", sync)
    return ok(check, "as on the server")
