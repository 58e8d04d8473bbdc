"""Checks: a measured value, its threshold, why it matters, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from numbers import Real


class Status(StrEnum):
    """The result of a check, the worst first."""

    FAIL = "fail"
    """The training will not give a useful result."""
    WARN = "warn"
    """The training will work, but something will be missing or worse than necessary."""
    PASS = "pass"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Check:
    """One line of the examination."""

    name: str
    status: Status
    measured: str
    threshold: str
    reason: str
    """One sentence: why the threshold matters."""
    remedy: str
    """One sentence: what to do, with the command if there is one."""
    value: float | None = None
    """The measured number, for programs."""


@dataclass(frozen=True)
class Rule:
    """The fixed parts of a check."""

    name: str
    threshold: str
    reason: str
    remedy: str

    def check(self, status: Status, measured: str, value: float | None = None, remedy: str | None = None) -> Check:
        """The check with its measured result."""
        return Check(self.name, status, measured, self.threshold, self.reason, remedy or self.remedy, value)

    def skip(self, why: str) -> Check:
        """The check where it does not apply."""
        return self.check(Status.NOT_APPLICABLE, why)


def at_least(value: Real, warn: Real, fail: Real | None = None) -> Status:
    """Grade a value that should be high."""
    if fail is not None and value < fail:
        return Status.FAIL
    return Status.WARN if value < warn else Status.PASS


def at_most(value: Real, warn: Real, fail: Real | None = None) -> Status:
    """Grade a value that should be low."""
    if fail is not None and value > fail:
        return Status.FAIL
    return Status.WARN if value > warn else Status.PASS


def with_status(checks: Sequence[Check], status: Status) -> list[Check]:
    """The checks with a given status."""
    return [check for check in checks if check.status == status]


def verdict(checks: Sequence[Check], subject: str = "This clip") -> str:
    """One sentence: whether the clip will train well, and which checks do not pass."""
    failed, warned = with_status(checks, Status.FAIL), with_status(checks, Status.WARN)
    passed = with_status(checks, Status.PASS)
    applicable = len(failed) + len(warned) + len(passed)
    lead = f"{subject} will {'not ' if failed else ''}train well: {len(passed)} of {applicable} checks pass"
    parts = [
        f"{len(found)} {word}{'s' if len(found) > 1 else ''} ({', '.join(check.name for check in found)})"
        for found, word in ((failed, "failure"), (warned, "warning"))
        if found
    ]
    return "; ".join([lead, *parts]) + "."
