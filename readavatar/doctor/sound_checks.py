"""Checks of a clip's sound."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from readavatar.doctor.audio_offset import LEAST_MARGIN, MAX_OFFSET, MOST_SPREAD
from readavatar.doctor.checks import Check, Rule, Status, at_least, at_most
from readavatar.doctor.evidence import Evidence
from readavatar.doctor.measurements import lip_opening, runs
from readavatar.media.waveform import SAMPLE_RATE
from readavatar.speech.silence import block_power, speech_level

NO_SOUND = "no sound"
EARLY_SECONDS, LATE_SECONDS = 0.045, 0.125
"""Least delay of sound before and after its picture that viewers notice (ITU-R BT.1359-1)."""
CLIP_LEVEL = 0.985
"""Relative to full scale."""
_FLAT_TOP = 3
"""Samples in a row at one extreme: a clipped peak, not one that only reaches full scale."""
QUIET, TOO_QUIET = -40.0, -55.0
"""dBFS of the speech: 16 bits leave 50 and 35 dB above their own noise."""
NOISY, TOO_NOISY = 15.0, 6.0
"""dB of the speech above the sound in its pauses."""
_DROPOUT_SECONDS = 0.02
"""Zeros in a row within speech: a lost packet is 20 ms or more, a digital pause begins and ends softly."""
_STEEP = 10.0
"""A dropout ends if the next millisecond is within so many dB of the speech level."""
_PAUSE_SECONDS = 1.0
_LIVELY = 0.6
"""Relative to the lips' speed in speech; the lips of a listener reach a third of it."""

OFFSET = Rule(
    "audio–video offset",
    "|offset| ≤ 1 frame; fails if viewers notice it: sound 45 ms early or 125 ms late",
    "With an offset in training, the lips of all generated clips are early or late (ITU-R BT.1359-1).",
    "",
)
LEVEL = Rule(
    "sound level",
    f"speech ≥ {QUIET:g} dBFS; fails below {TOO_QUIET:g}",
    "In quiet speech, noise covers the consonants; channels of opposite phase cancel when mixed to mono.",
    "Give the louder original, or one channel of it: 'readavatar prepare VIDEO --sound FILE --out CLIP'.",
)
CLIPPING = Rule(
    "clipped sound",
    "≤ 0.1 % of the speech; fails above 2 %",
    "Clipped peaks add harmonics, which change the speech features.",
    "Record again at a lower level; the peaks cannot be restored.",
)
NOISE = Rule(
    "noise",
    f"speech ≥ {NOISY:g} dB above its pauses; fails below {TOO_NOISY:g}",
    "Music or noise changes the speech features while the lips do not move.",
    "Remove music and noise from the sound, then 'readavatar prepare VIDEO --sound FILE --out CLIP'.",
)
DROPOUTS = Rule(
    "gaps in the sound",
    "none; fails above 5 a minute",
    "A lost packet is a stretch of zeros within a word, while the lips keep moving.",
    "Export the sound again from the original recording.",
)
SILENT_LIPS = Rule(
    "lips that move in silence",
    "≤ 1 s; fails above 10 % of the clip",
    "Where the sound is missing, the network learns to move the lips in silence.",
    "Check the sound's start and end against the video, and prepare the clip again.",
)
RULES = (OFFSET, LEVEL, CLIPPING, NOISE, DROPOUTS, SILENT_LIPS)


def sound_checks(evidence: Evidence) -> list[Check]:
    """All checks of the sound; not applicable without one."""
    if evidence.waveform is None:
        return [rule.skip(NO_SOUND) for rule in RULES]
    if not bool(evidence.speaking.any()):
        return [OFFSET.skip("no speech"), LEVEL.check(Status.FAIL, "silence: no sample above −60 dBFS")] + [
            rule.skip("no speech") for rule in RULES[2:]
        ]
    waveform = evidence.waveform
    level = speech_level(waveform)
    decibels = 20 * math.log10(level)
    return [
        _offset(evidence),
        LEVEL.check(at_least(decibels, QUIET, TOO_QUIET), f"{decibels:.0f} dBFS", decibels),
        _clipping(evidence, waveform),
        _noise(evidence, waveform, level),
        _dropouts(waveform, level, evidence.seconds),
        _silent_lips(evidence),
    ]


def _offset(evidence: Evidence) -> Check:
    offset, store = evidence.offset, evidence.store
    if offset is None:
        return OFFSET.skip("too little speech, or lips that do not move")
    where = f"{offset.frames:+.1f} frames"
    if not offset.is_sure and offset.margin < LEAST_MARGIN:
        measured = f"unsure: no offset within ±{MAX_OFFSET} frames stands out ({offset.margin:.0f} nats at {where})"
        remedy = "Watch lips and sound at a p or b; if they agree, continue; if not, check the sound file."
        return OFFSET.check(Status.WARN, measured, None, remedy)
    if not offset.is_sure:
        measured = f"drifts by {offset.spread:.1f} frames within the clip (windows: {_windows(offset.windows)})"
        remedy = f"Cut the video where it drifts: windows of a clip may differ by {MOST_SPREAD:g} frames."
        return OFFSET.check(Status.FAIL, measured, None, remedy)
    seconds = offset.frames / store.fps
    limit = EARLY_SECONDS if seconds > 0 else LATE_SECONDS
    status = at_most(abs(offset.frames), 1.0)
    # At a high frame rate, one frame is less than viewers notice.
    status = Status.FAIL if status != Status.PASS and abs(seconds) > limit else status
    side = "early" if seconds > 0 else "late"
    measured = f"sound {abs(offset.frames):.1f} frames ({abs(seconds) * 1000:.0f} ms) {side}"
    remedy = (
        f"'readavatar doctor {store.path} --fix-offset' shifts the sound by {seconds * 1000:+.0f} ms."
        if status != Status.PASS
        else "Nothing to do."
    )
    return OFFSET.check(status, measured, offset.frames, remedy)


def _windows(frames: tuple[float, ...]) -> str:
    return ", ".join(f"{value:+.1f}" for value in frames)


def _clipping(evidence: Evidence, waveform: Float[Tensor, " n"]) -> Check:
    flat = torch.zeros(len(waveform), dtype=torch.bool)
    for extreme in (waveform >= CLIP_LEVEL, waveform <= -CLIP_LEVEL):
        for first, last in runs(extreme):
            if last - first >= _FLAT_TOP:
                flat[first:last] = True
    speech = max(1.0, float(evidence.speaking.sum()) / evidence.store.fps * SAMPLE_RATE)
    share = 100 * float(flat.sum()) / speech
    return CLIPPING.check(at_most(share, 0.1, 2.0), f"{share:.2g} % of the speech", share)


def _noise(evidence: Evidence, waveform: Float[Tensor, " n"], level: float) -> Check:
    power = block_power(waveform, SAMPLE_RATE // 100)
    power = power[power > 0]
    # The quietest tenth without digital silence: pauses and closures, also if the clip has no long pauses.
    floor = float(power.quantile(0.1)) if len(power) < 1 << 24 else float(power[:: len(power) >> 23].quantile(0.1))
    ratio = 20 * math.log10(level) - 10 * math.log10(max(floor, 1e-12))
    return NOISE.check(at_least(ratio, NOISY, TOO_NOISY), f"speech {ratio:.0f} dB above the pauses", ratio)


def _dropouts(waveform: Float[Tensor, " n"], level: float, seconds: float) -> Check:
    near = SAMPLE_RATE // 1000
    loud = (level * 10 ** (-_STEEP / 20)) ** 2
    count = 0
    for first, last in runs(waveform == 0):
        beside = waveform[max(first - near, 0) : first], waveform[last : last + near]
        is_long = last - first >= _DROPOUT_SECONDS * SAMPLE_RATE
        if is_long and all(len(part) == near and float(part.square().mean()) > loud for part in beside):
            count += 1
    status = at_most(count, 0.5, max(1.0, 5 * seconds / 60))
    return DROPOUTS.check(status, f"{count}", float(count))


def _silent_lips(evidence: Evidence) -> Check:
    """Pauses of a second and more in which the lips move as in speech."""
    speed = torch.nn.functional.pad(lip_opening(evidence.landmarks).diff().abs(), (1, 0))
    usual = float(speed[evidence.usable_speech].mean()) if bool(evidence.usable_speech.any()) else math.inf
    fps = evidence.store.fps
    lively = 0
    for first, last in runs(~evidence.speaking & evidence.seen):
        if last - first >= _PAUSE_SECONDS * fps and float(speed[first:last].mean()) > _LIVELY * usual:
            lively += last - first
    seconds = lively / fps
    status = at_most(seconds, 1.0, max(1.0, 0.1 * evidence.seconds))
    return SILENT_LIPS.check(status, f"{seconds:.1f} s", seconds)
