"""Checks of all clips of a person together: enough speech, poses, mouth shapes, emotions, lip closures and blinks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool
from torch import Tensor

from readavatar.doctor.checks import Check, Rule, Status, at_least, at_most
from readavatar.doctor.evidence import Evidence
from readavatar.doctor.measurements import SHAPES, count_times, lid_opening, mouth_shapes, runs
from readavatar.emotion import NEUTRAL

_SOUNDS_A_SECOND = 12.0
"""In running speech (Crystal & House 1990)."""
_RARE_SHARE = 0.01
"""Share of a rare sound among all sounds (English zh, th, oi …)."""
LITTLE_SPEECH = round(1 / (_SOUNDS_A_SECOND * _RARE_SHARE))
"""Seconds in which one rare sound is expected."""
ENOUGH_SPEECH = 5 * LITTLE_SPEECH
SHAPE_TIMES = 5
"""Least number of times for each mouth shape: one may be chance, and the end of a clip is held out."""
SHAPE_FLUTTER = 2
"""Frames; shorter openings and closings are noise of the landmarks."""
BILABIALS_A_MINUTE = 0.075 * _SOUNDS_A_SECOND * 60
"""English m, b and p are 7.5 % of all sounds (Mines et al. 1978)."""
_BLINKING = 0.5
"""Relative to the usual opening of the lids."""
_LONGEST_BLINK = 0.6
"""Seconds; a longer closing is not a blink."""
_BLINK_SECONDS = 20.0
"""In less time, having no blink may be chance."""
_SHOWN_STRENGTH = 0.3
"""Least strength of a labelled emotion that counts as shown."""
_EMOTION_SECONDS = 2.0
TURNED = 6.0
"""Least range in degrees: it moves the nose's tip, 30 mm in front of the eyes, by 3 mm or two pixels."""
_SIDEWAYS = 45.0
"""Degrees of yaw beyond which half of the face is hidden."""

SPEECH = Rule(
    "usable speech",
    f"≥ {ENOUGH_SPEECH} s with the face visible; fails below {LITTLE_SPEECH} s",
    "At 12 sounds per second, a rare one (1 %) occurs about once in 8 s; several are needed to learn its mouth shape.",
    "Record more: a minute or two of reading aloud; several clips of one person count together.",
)
POSES = Rule(
    "head poses",
    f"yaw and pitch each range over ≥ {TURNED:g}°; ≤ 5 % of the frames beyond {_SIDEWAYS:g}° of yaw",
    "If the head never turns, the sides of the face are not visible, and the fit cannot determine its shape.",
    "Let the person turn and nod a little while they speak; leave out frames from the side.",
)
VISEMES = Rule(
    "mouth shapes",
    f"closed, rounded, spread, wide open and slightly open, each ≥ {SHAPE_TIMES} times; fails with under three",
    "The network cannot generate mouth shapes that were not recorded; landmarks distinguish five groups of visemes.",
    "Record a text with all sounds of the language, spoken clearly.",
)
EMOTIONS = Rule(
    "emotions",
    f"labelled, with one or more besides neutral for ≥ {_EMOTION_SECONDS:g} s",
    "An avatar can only show emotions that are labelled in its person's clips.",
    "Record and prepare a clip of each: 'readavatar prepare VIDEO --emotion happy:1 --out CLIP', or label this one.",
)
CLOSURES = Rule(
    "closed mouth",
    f"≥ {BILABIALS_A_MINUTE / 4:.0f} closures a minute of speech; fails without any",
    f"m, b and p close the lips about {BILABIALS_A_MINUTE:.0f} times a minute; below a quarter, most are missed.",
    "Look at the lips' curve: a beard, a low frame rate or blur hides closures, and the network learns open lips.",
)
BLINKS = Rule(
    "blinks",
    "2 to 60 a minute",
    "People blink 10 to 30 times a minute; an avatar blinks as often as its training clips.",
    "Use a longer take; reflections on glasses and a low resolution hide blinks.",
)
RULES = (SPEECH, POSES, VISEMES, EMOTIONS, CLOSURES, BLINKS)


def coverage_checks(clips: Sequence[Evidence]) -> list[Check]:
    """All checks of one person's clips."""
    return [_speech(clips), _poses(clips), _visemes(clips), _emotions(clips), _closures(clips), _blinks(clips)]


def blinks(evidence: Evidence) -> list[tuple[int, int]]:
    """Stretches [first, last) of frames with closed eyes, short enough for a blink."""
    closed = (lid_opening(evidence.landmarks, evidence.seen) < _BLINKING) & evidence.seen
    return [run for run in runs(closed) if run[1] - run[0] <= _LONGEST_BLINK * evidence.store.fps]


def closures(evidence: Evidence) -> list[tuple[int, int]]:
    """Stretches [first, last) of usable speech with closed lips; single open frames between them are ignored."""
    closed = mouth_shapes(evidence.landmarks, evidence.usable)["closed"]
    merged: list[tuple[int, int]] = []
    for first, last in runs(closed & evidence.usable_speech):
        if merged and first - merged[-1][1] < SHAPE_FLUTTER:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged


def _seconds(flags: Bool[Tensor, " T"], evidence: Evidence) -> float:
    return float(flags.sum()) / evidence.store.fps


def _speech_seconds(clips: Sequence[Evidence]) -> float:
    return sum(_seconds(evidence.usable_speech, evidence) for evidence in clips)


def _speech(clips: Sequence[Evidence]) -> Check:
    seconds, total = _speech_seconds(clips), sum(evidence.seconds for evidence in clips)
    silent = sum(evidence.waveform is None for evidence in clips)
    measured = f"{seconds:.1f} s of {total:.1f} s"
    if silent:
        measured += ", no sound" if silent == len(clips) == 1 else f", {silent} of {len(clips)} clips without sound"
    remedy = SPEECH.remedy
    if seconds == 0 and silent == len(clips):
        remedy = "A clip without sound can only be used for the fit and the appearance; add clips with speech."
    return SPEECH.check(at_least(seconds, ENOUGH_SPEECH, LITTLE_SPEECH), measured, seconds, remedy)


def _poses(clips: Sequence[Evidence]) -> Check:
    angles = torch.cat([evidence.angles[evidence.usable] for evidence in clips])
    if len(angles) == 0:
        return POSES.skip("no usable frame")
    low, high = angles.quantile(0.02, dim=0).tolist(), angles.quantile(0.98, dim=0).tolist()
    ranges = [upper - lower for lower, upper in zip(low, high, strict=True)]
    sideways = float((angles[:, 0].abs() > _SIDEWAYS).float().mean())
    measured = f"yaw {low[0]:+.0f} to {high[0]:+.0f}°, pitch {low[1]:+.0f} to {high[1]:+.0f}°"
    status = at_least(min(ranges), TURNED)
    if sideways > 0.05:
        status, measured = Status.WARN, f"{measured}; {100 * sideways:.0f} % beyond {_SIDEWAYS:g}°"
    return POSES.check(status, measured, min(ranges))


def shape_times(clips: Sequence[Evidence]) -> dict[str, int]:
    """How often each group of mouth shapes occurs in usable speech."""
    times = dict.fromkeys(SHAPES, 0)
    for evidence in clips:
        for name, flags in mouth_shapes(evidence.landmarks, evidence.usable).items():
            times[name] += count_times(flags & evidence.speaking)
    return times


def _visemes(clips: Sequence[Evidence]) -> Check:
    if _speech_seconds(clips) == 0:
        return VISEMES.skip("no speech")
    times = shape_times(clips)
    enough = sum(count >= SHAPE_TIMES for count in times.values())
    measured = ", ".join(f"{name} {count}×" for name, count in times.items())
    return VISEMES.check(at_least(enough, len(SHAPES), 3), measured, float(enough))


def _emotions(clips: Sequence[Evidence]) -> Check:
    seconds: dict[str, float] = {}
    unlabelled, late = 0, 0
    for evidence in clips:
        if evidence.emotion is None:
            unlabelled += 1
            continue
        late += int(bool((evidence.emotion.times >= evidence.seconds).any()))
        track = evidence.emotion.sample_frames(evidence.store.num_frames, evidence.store.fps)[evidence.usable]
        shown = {name: track[:, index] >= _SHOWN_STRENGTH for index, name in enumerate(evidence.emotion.space.names)}
        shown[NEUTRAL] = track.amax(1) < _SHOWN_STRENGTH
        for name, flags in shown.items():
            seconds[name] = seconds.get(name, 0.0) + _seconds(flags, evidence)
    named = [f"{name} {value:.1f} s" for name, value in seconds.items() if value > 0]
    notes = [f"{unlabelled} of {len(clips)} clips unlabelled"] if unlabelled and len(clips) > 1 else []
    notes += [f"{late} with labels after the clip's end"] if late else []
    enough = [name for name, value in seconds.items() if name != NEUTRAL and value >= _EMOTION_SECONDS]
    status = Status.PASS if enough and not unlabelled and not late else Status.WARN
    return EMOTIONS.check(status, ", ".join(named + notes) or "unlabelled", float(len(enough)))


def _closures(clips: Sequence[Evidence]) -> Check:
    minutes = _speech_seconds(clips) / 60
    if minutes * 60 < LITTLE_SPEECH:
        return CLOSURES.skip(f"{minutes * 60:.1f} s of speech are too short")
    count = sum(len(closures(evidence)) for evidence in clips)
    rate = count / minutes
    status = Status.FAIL if count == 0 else at_least(rate, BILABIALS_A_MINUTE / 4)
    return CLOSURES.check(status, f"{count}, {rate:.0f} a minute of speech", rate)


def _blinks(clips: Sequence[Evidence]) -> Check:
    minutes = sum(_seconds(evidence.seen, evidence) for evidence in clips) / 60
    count = sum(len(blinks(evidence)) for evidence in clips)
    if minutes * 60 < _BLINK_SECONDS:
        return BLINKS.skip(f"{count} in {minutes * 60:.1f} s, too short")
    rate = count / minutes
    status = Status.WARN if at_least(rate, 2) == Status.WARN else at_most(rate, 60)
    return BLINKS.check(status, f"{count}, {rate:.0f} a minute", rate)
