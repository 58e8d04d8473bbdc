"""Moving a clip's sound to where its lips are."""

from __future__ import annotations

from readavatar.data.clip_store import ClipStore
from readavatar.doctor.evidence import Evidence

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
