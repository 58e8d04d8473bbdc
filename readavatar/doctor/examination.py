"""Moving a clip's sound to where its lips are.

Clips in, judgement out.
"""

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
"""Less is within the measurement's own error, and is left alone; so a corrected clip is not corrected again."""


def correct_offset(store: ClipStore, evidence: Evidence) -> str:
    """Move the sound by the measured offset where that is sure and more than a frame.

    ``clip.json`` alone is replaced, at once; it says by how much the sound is moved, the samples stay as they came, and
    the speech features that depend on them are computed anew.

    Args:
        store: The clip.
        evidence: Measured from it as it is now.

    Returns:
        One line that says what was done, or why nothing was.
    """
    offset = evidence.offset
    if evidence.waveform is None:
        return f"{store.path}: no sound to move"
    if offset is None or not offset.is_sure:
        return f"{store.path}: the sound stays where it is, since its offset is not sure"
    if abs(offset.frames) <= NOTICEABLE_FRAMES:
        return f"{store.path}: the sound stays where it is, {abs(offset.frames):.1f} frames from the lips"
    seconds = offset.frames / store.fps
    store.delay_audio(seconds)
    return (
        f"{store.path}: the sound is moved by {seconds * 1000:+.0f} ms ({offset.frames:+.1f} frames), in all by "
        f"{store.info.audio_delay * 1000:+.0f} ms"
    )


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
