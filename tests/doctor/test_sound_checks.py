"""Each check of the sound passes on a good clip and fails on one broken in just that way."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from readavatar.doctor.audio_offset import lip_curves, measure_audio_offset
from readavatar.doctor.checks import Status
from readavatar.doctor.evidence import offset_features
from readavatar.doctor.sound_checks import RULES, sound_checks
from readavatar.speech.silence import is_silent

RATE = 16_000


def named(evidence, name):
    return next(check for check in sound_checks(evidence) if check.name == name)


def with_sound(good, waveform):
    """The good clip with another sound; its offset is not measured again."""
    speaking = ~is_silent(waveform, good.store.fps, good.store.num_frames)
    return replace(good, waveform=waveform, speaking=speaking)


def moved(waveform, seconds):
    samples = round(seconds * RATE)
    return torch.roll(waveform, samples) * (torch.arange(len(waveform)) >= samples)


def offset_of(good, waveform, frames=slice(None), seen=None):
    fps, count = good.store.fps, good.store.num_frames
    kinds = [kind[frames] for kind in offset_features(waveform, fps, count)]
    seen = torch.ones(count, dtype=torch.bool) if seen is None else seen
    return measure_audio_offset(kinds, lip_curves(good.landmarks, fps)[frames], seen[frames], fps)


def test_a_good_sound_passes_everything(good):
    assert {check.status for check in sound_checks(good)} == {Status.PASS}


def test_a_clip_without_sound_skips_the_checks_of_the_sound(good):
    checks = sound_checks(replace(good, waveform=None, speaking=torch.zeros_like(good.speaking), offset=None))
    assert len(checks) == len(RULES) and {check.status for check in checks} == {Status.NOT_APPLICABLE}


@pytest.mark.parametrize("frames", [-7, 4])
def test_an_offset_is_found_to_a_fraction_of_a_frame_and_its_correction_is_named(good, frames):
    offset = offset_of(good, moved(good.waveform, -frames / good.store.fps))
    assert offset.is_sure and offset.frames == pytest.approx(good.offset.frames + frames, abs=0.5)
    check = named(replace(good, offset=offset), "audio–video offset")
    assert check.status == Status.FAIL and "--fix-offset" in check.remedy
    assert ("early" if frames > 0 else "late") in check.measured


def test_an_offset_is_found_where_a_part_of_the_faces_is_missing(good):
    seen = torch.ones(good.store.num_frames, dtype=torch.bool)
    seen[200:300] = False
    assert offset_of(good, good.waveform, seen=seen).frames == pytest.approx(good.offset.frames, abs=0.5)


def test_another_sound_gives_no_offset_but_says_that_it_is_unsure(good):
    foreign = offset_of(good, good.waveform.flip(0), slice(0, 400))
    assert not foreign.is_sure
    check = named(replace(good, offset=foreign), "audio–video offset")
    assert check.status == Status.WARN and "unsure" in check.measured and "--fix-offset" not in check.remedy


def test_a_drifting_sound_fails_and_is_not_offered_a_shift(good):
    drifting = replace(good.offset, windows=(-4.0, 0.0, 4.0))
    check = named(replace(good, offset=drifting), "audio–video offset")
    assert check.status == Status.FAIL and "drifts" in check.measured and "--fix-offset" not in check.remedy


def test_lips_that_stand_still_have_no_offset(good):
    still = good.landmarks[:1].expand_as(good.landmarks)
    kinds = offset_features(good.waveform, good.store.fps, good.store.num_frames)
    seen = torch.ones(len(still), dtype=torch.bool)
    assert measure_audio_offset(kinds, lip_curves(still, good.store.fps), seen, good.store.fps) is None


@pytest.mark.parametrize(("gain", "status"), [(0.05, Status.WARN), (0.01, Status.FAIL)])
def test_a_quiet_sound_is_told_from_a_loud_one(good, gain, status):
    assert named(with_sound(good, gain * good.waveform), "sound level").status == status


def test_silence_fails_the_level_and_is_not_taken_for_speech(good):
    silent = replace(good, waveform=torch.zeros_like(good.waveform), speaking=torch.zeros_like(good.speaking))
    assert named(silent, "sound level").status == Status.FAIL


@pytest.mark.parametrize(("gain", "status"), [(3.0, Status.WARN), (30.0, Status.FAIL)])
def test_cut_peaks_are_found(good, gain, status):
    assert named(with_sound(good, (gain * good.waveform).clamp(-1, 1)), "clipped sound").status == status


@pytest.mark.parametrize(("decibels", "status"), [(12, Status.WARN), (0, Status.FAIL)])
def test_noise_is_found(good, decibels, status):
    noise = torch.randn(len(good.waveform), generator=torch.Generator().manual_seed(0))
    level = 10 ** (-(22.6 + decibels) / 20)
    assert named(with_sound(good, good.waveform + level * noise), "noise").status == status


@pytest.mark.parametrize(("count", "status"), [(2, Status.WARN), (40, Status.FAIL)])
def test_lost_packets_are_found_and_pauses_are_not(good, count, status):
    waveform = good.waveform.clone()
    loud = torch.nonzero(waveform.abs() > 0.15)[:, 0]
    for start in loud[torch.linspace(0, len(loud) - 1, count + 2).long()[1:-1]].tolist():
        waveform[start : start + 480] = 0
    assert named(with_sound(good, waveform), "gaps in the sound").status == status


def test_a_sound_that_was_cut_off_leaves_lips_that_move_in_silence(good):
    waveform = good.waveform.clone()
    waveform[len(waveform) // 2 :] = 0
    check = named(with_sound(good, waveform), "lips that move in silence")
    assert check.status == Status.FAIL and check.value > 10
