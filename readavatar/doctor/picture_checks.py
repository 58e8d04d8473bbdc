"""Checks of a clip's files and pictures."""

from __future__ import annotations

from collections import Counter

import numpy as np

from readavatar.doctor.checks import Check, Rule, Status, at_least, at_most
from readavatar.doctor.evidence import DUPLICATE, Evidence
from readavatar.doctor.measurements import EYE_CORNERS_MILLIMETRES, interocular
from readavatar.errors import UserError
from readavatar.media.container import open_media, reading, video_stream
from readavatar.media.frame_rate import JITTER

_GAP_MILLIMETRES = 2.0
"""A gap between the lips that viewers see as open."""
SMALL_FACE = EYE_CORNERS_MILLIMETRES / _GAP_MILLIMETRES
"""Pixels between the eyes' outer corners at which that gap is one pixel."""
TINY_FACE = SMALL_FACE / 2

FILES = Rule(
    "files",
    "all whole",
    "A missing or damaged file stops the training, or is treated as silence.",
    "Prepare the clip again from its video: 'readavatar prepare VIDEO --out CLIP'.",
)
RESOLUTION = Rule(
    "resolution of the face",
    f"≥ {SMALL_FACE:.0f} pixels between the eyes' outer corners; fails below {TINY_FACE:.0f}",
    "A gap of 2 mm between the lips is then one pixel; smaller gaps are not visible.",
    "Give a larger or closer video, or prepare with a larger --size if the video has the pixels.",
)
CONFIDENCE = Rule(
    "face found",
    "in ≥ 99 % of the frames; fails below 90 %",
    "Frames without a face are filled in by interpolation, which flattens the motion.",
    "Cut the video to where the face is seen.",
)
LEAVE_OUT = Rule(
    "frames to leave out",
    "≤ 2 %; fails above 20 %",
    "Cuts, wrong landmarks, and blurred, frozen or blank pictures are wrong training data.",
    "Cut the listed times out of the video and prepare the rest; single frames do little harm.",
)
RATE = Rule(
    "frame rate",
    "≤ 2 % of the frames repeat the one before; fails above 12 %",
    "A converted or variable frame rate repeats frames: the lips stop while the sound continues.",
    "Prepare from the original, or at its real rate: 'readavatar prepare VIDEO --fps 25 --out CLIP'.",
)
RULES = (FILES, RESOLUTION, CONFIDENCE, LEAVE_OUT, RATE)


def picture_checks(evidence: Evidence) -> list[Check]:
    """All checks of files and pictures."""
    return [
        _files(evidence),
        _resolution(evidence),
        _confidence(evidence),
        _leave_out(evidence),
        _rate(evidence),
    ]


def damaged(problem: str) -> Check:
    """The only check of a clip that cannot be measured."""
    return FILES.check(Status.FAIL, problem)


def _files(evidence: Evidence) -> Check:
    if not evidence.problems:
        return FILES.check(Status.PASS, "all whole", 0.0)
    more = f" (and {len(evidence.problems) - 1} more)" if len(evidence.problems) > 1 else ""
    return FILES.check(Status.FAIL, evidence.problems[0] + more, float(len(evidence.problems)))


def _resolution(evidence: Evidence) -> Check:
    if not bool(evidence.seen.any()):
        return RESOLUTION.skip("no face")
    info = evidence.store.info
    stored = float(interocular(evidence.landmarks)[evidence.seen].median())
    source = stored * info.crop.size / info.size
    measured = f"{source:.0f} pixels in the video, {stored:.0f} in the clip"
    value = min(stored, source)
    return RESOLUTION.check(at_least(value, SMALL_FACE, TINY_FACE), measured, value)


def _confidence(evidence: Evidence) -> Check:
    share = 100 * float(evidence.seen.float().mean())
    return CONFIDENCE.check(at_least(share, 99, 90), f"in {share:.1f} % of the frames", share)


def _leave_out(evidence: Evidence) -> Check:
    count = int((~evidence.usable).sum())
    share = 100 * count / len(evidence.usable)
    frames = Counter()
    for part in evidence.left_out:
        frames[part.reason.partition(":")[0]] += part.last - part.first
    reasons = ", ".join(f"{reason}: {number}" for reason, number in frames.most_common(3))
    measured = f"{count} of {len(evidence.usable)} ({share:.1f} %){': ' + reasons if reasons else ''}"
    return LEAVE_OUT.check(at_most(share, 2, 20), measured, share)


def _rate(evidence: Evidence) -> Check:
    change = evidence.statistics.change
    known = ~change.isnan()
    share = 100 * float((change[known] < DUPLICATE).float().mean()) if bool(known.any()) else 0.0
    varying = _varying_share(evidence)
    status = at_most(share, 2, 12)
    measured = f"{share:.1f} % repeated"
    if varying is not None and varying > 0.02:
        measured += f"; {100 * varying:.0f} % of the video's own frames last longer or shorter than the rest"
        status = Status.WARN if status == Status.PASS else status
    return RATE.check(status, measured, share)


def _varying_share(evidence: Evidence) -> float | None:
    """Share of the source's frames with another duration than the usual one; None if the source cannot be read."""
    source = evidence.store.source
    if source is None or not source.exists():
        return None
    try:
        with open_media(source) as container, reading(source):
            stream = video_stream(container)
            if stream is None:
                return None
            times = sorted(
                float(packet.pts * packet.time_base) for packet in container.demux(stream) if packet.pts is not None
            )
    except UserError:
        return None
    intervals = np.diff(times)
    if len(intervals) < 2:
        return None
    # Two timestamps, each rounded.
    return float((np.abs(intervals - np.median(intervals)) > 2 * JITTER).mean())
