"""Examine the clips of a person: run all checks, and correct the offset of a clip's sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from readavatar.data.store import ClipStore
from readavatar.doctor.checks import Check, Status, verdict, with_status
from readavatar.doctor.coverage_checks import coverage_checks
from readavatar.doctor.evidence import Evidence, Tick, gather
from readavatar.doctor.fit_checks import fit_checks
from readavatar.doctor.picture_checks import damaged, picture_checks
from readavatar.doctor.sound_checks import sound_checks
from readavatar.errors import UserError

NOTICEABLE_FRAMES = 1.0
"""A smaller offset is not corrected: it is within the error of the measurement."""


def correct_offset(store: ClipStore, evidence: Evidence) -> str:
    """Shift the sound by the measured offset if that is sure and more than a frame.

    Only the delay in ``clip.json`` changes, not the samples. Cached speech features are computed again when needed.

    Args:
        store: The clip.
        evidence: Its current measurements.

    Returns:
        One line that says what was done, or why nothing was done.
    """
    offset = evidence.offset
    if evidence.waveform is None:
        return f"{store.path}: no sound to shift"
    if offset is None or not offset.is_sure:
        return f"{store.path}: the sound is not shifted, since its offset is not sure"
    if abs(offset.frames) <= NOTICEABLE_FRAMES:
        return f"{store.path}: the sound is not shifted: it is {abs(offset.frames):.1f} frames from the lips"
    seconds = offset.frames / store.fps
    store.delay_audio(seconds)
    return (
        f"{store.path}: the sound is shifted by {seconds * 1000:+.0f} ms ({offset.frames:+.1f} frames), in all by "
        f"{store.info.audio_delay * 1000:+.0f} ms"
    )


@dataclass(frozen=True)
class ClipExamination:
    """One clip's own checks."""

    name: str
    evidence: Evidence | None
    """None if the clip is too damaged to be measured."""
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Examination:
    """All checks of one person's clips."""

    clips: tuple[ClipExamination, ...]
    together: tuple[Check, ...]
    """Checks of all clips together."""

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks."""
        return tuple(check for clip in self.clips for check in clip.checks) + self.together

    @property
    def verdict(self) -> str:
        """One sentence for all checks."""
        return verdict(self.checks, "This clip" if len(self.clips) == 1 else f"These {len(self.clips)} clips")

    @property
    def has_failed(self) -> bool:
        """Whether any check fails."""
        return bool(with_status(self.checks, Status.FAIL))


def examine(stores: Sequence[ClipStore], tick: Tick = lambda what, share: None) -> Examination:
    """Measure one person's clips and run all checks.

    Args:
        stores: Prepared clips, fitted or not.
        tick: Called with a description of the current work and the share that is done.
    """
    clips = []
    for store in stores:
        name = str(store.path)

        def report(what: str, share: float, name: str = name) -> None:
            tick(f"{name}: {what}", share)

        try:
            evidence = gather(store, report)
        except UserError as error:
            clips.append(ClipExamination(name, None, (damaged(str(error)),)))
            continue
        checks = (*picture_checks(evidence), *sound_checks(evidence), *fit_checks(evidence))
        clips.append(ClipExamination(name, evidence, checks))
    measured = [clip.evidence for clip in clips if clip.evidence is not None]
    return Examination(tuple(clips), tuple(coverage_checks(measured)) if measured else ())
