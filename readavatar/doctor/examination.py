"""Clips in, judgement out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from readavatar.data.clip_store import ClipStore
from readavatar.doctor.checks import Check, Status, verdict, with_status
from readavatar.doctor.coverage_checks import coverage_checks
from readavatar.doctor.evidence import Evidence, Tick, gather
from readavatar.doctor.fit_checks import fit_checks
from readavatar.doctor.picture_checks import damaged, picture_checks
from readavatar.doctor.sound_checks import sound_checks
from readavatar.errors import UserError


@dataclass(frozen=True)
class ClipExamination:
    """One clip's own checks."""

    name: str
    evidence: Evidence | None
    """None where the clip is too damaged to be measured."""
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Examination:
    """Of the clips of one person."""

    clips: tuple[ClipExamination, ...]
    together: tuple[Check, ...]
    """What the clips show together."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """All of them."""
        return tuple(check for clip in self.clips for check in clip.checks) + self.together

    @property
    def verdict(self) -> str:
        """One sentence."""
        return verdict(self.checks, "This clip" if len(self.clips) == 1 else f"These {len(self.clips)} clips")

    @property
    def has_failed(self) -> bool:
        """Whether any check fails."""
        return bool(with_status(self.checks, Status.FAIL))


def examine(stores: Sequence[ClipStore], tick: Tick = lambda what, share: None) -> Examination:
    """Measure and judge one person's clips.

    Args:
        stores: Prepared clips, fitted or not.
        tick: Is told what is being done and the share of all that is done.
    """
    clips = []
    for store in stores:
        name = str(store.path)

        def told(what: str, share: float, name: str = name) -> None:
            tick(f"{name}: {what}", share)

        try:
            evidence = gather(store, told)
        except UserError as error:
            clips.append(ClipExamination(name, None, (damaged(str(error)),)))
            continue
        checks = (*picture_checks(evidence), *sound_checks(evidence), *fit_checks(evidence))
        clips.append(ClipExamination(name, evidence, checks))
    measured = [clip.evidence for clip in clips if clip.evidence is not None]
    return Examination(tuple(clips), tuple(coverage_checks(measured)) if measured else ())
