"""Coverage passes on a good clip and fails where something is never shown."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from readavatar.doctor.checks import Status
from readavatar.doctor.coverage_checks import coverage_checks
from readavatar.doctor.evidence import LeftOut
from readavatar.emotion import EmotionSpace, EmotionTrack

INNER_LIPS = ((61, 67), (62, 66), (63, 65))
EYES = ((37, 41), (38, 40), (43, 47), (44, 46))


def named(clips, name):
    return next(check for check in coverage_checks(clips) if check.name == name)


def test_a_good_clip_passes_everything(good):
    assert {check.status for check in coverage_checks([good])} == {Status.PASS}


@pytest.mark.parametrize(("seconds", "status"), [(20, Status.WARN), (4, Status.FAIL)])
def test_little_speech_is_not_enough_and_two_clips_count_together(good, seconds, status):
    speaking = good.speaking.clone()
    speaking[seconds * 25 :] = False
    short = replace(good, speaking=speaking)
    assert named([short], "usable speech").status == status
    assert named([short, good], "usable speech").status == Status.PASS


def test_speech_without_a_visible_face_does_not_count(good):
    hidden = replace(good, left_out=(LeftOut(0, good.store.num_frames - 50, "no face was found"),))
    assert named([hidden], "usable speech").status == Status.FAIL


def test_a_clip_without_sound_names_what_it_still_serves(good):
    silent = replace(good, waveform=None, speaking=torch.zeros_like(good.speaking), offset=None)
    check = named([silent], "usable speech")
    assert check.status == Status.FAIL and "fit and the appearance" in check.remedy
    assert named([silent], "mouth shapes").status == Status.NOT_APPLICABLE


def test_a_head_that_never_turns_is_a_warning(good):
    assert named([replace(good, angles=0.1 * good.angles)], "head poses").status == Status.WARN


def test_a_head_seen_from_the_side_is_a_warning(good):
    check = named([replace(good, angles=good.angles + torch.tensor([50.0, 0.0]))], "head poses")
    assert check.status == Status.WARN and "beyond 45°" in check.measured


def test_lips_that_never_close_fail_and_lack_a_mouth_shape(good):
    landmarks = good.landmarks.clone()
    for upper, lower in INNER_LIPS:
        landmarks[:, upper, 1] -= 2.0
        landmarks[:, lower, 1] += 2.0
    parted = replace(good, landmarks=landmarks)
    assert named([parted], "closed mouth").status == Status.FAIL
    assert named([parted], "mouth shapes").status == Status.WARN


def test_lips_that_hardly_move_fail_the_mouth_shapes(good):
    mean = good.landmarks.mean(0, keepdim=True)
    assert named([replace(good, landmarks=mean + 0.01 * (good.landmarks - mean))], "mouth shapes").status == Status.FAIL


def test_a_stare_is_a_warning(good):
    landmarks = good.landmarks.clone()
    for upper, lower in EYES:
        landmarks[:, upper, 1] -= 9.0
        landmarks[:, lower, 1] += 9.0
    assert named([replace(good, landmarks=landmarks)], "blinks").status == Status.WARN


def test_unlabelled_and_only_neutral_clips_are_warned_of(good):
    assert named([replace(good, emotion=None)], "emotions").status == Status.WARN
    neutral = replace(good, emotion=EmotionTrack.constant(EmotionSpace()))
    check = named([neutral], "emotions")
    assert check.status == Status.WARN and "neutral" in check.measured
    assert named([neutral, good], "emotions").status == Status.PASS


def test_a_label_after_the_clips_end_is_a_warning(good):
    late = EmotionTrack.parse("0s happy:1, 500s sad:1", EmotionSpace())
    check = named([replace(good, emotion=late)], "emotions")
    assert check.status == Status.WARN and "after the clip's end" in check.measured
