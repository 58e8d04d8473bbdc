"""Lips: the truth reaches every aim, and each fault misses the row that is about it."""

from __future__ import annotations

import math

import pytest
import torch
from expression_motions import asleep, delayed, feeling, gaping, small_trial, smoothed, truth

from readavatar.benchmarks.expression.lips import (
    CLOSURES,
    CLOSURES_FOUND,
    EMOTIONAL_LIPS,
    LIP_ERROR,
    LIP_ROWS,
    SILENCE_MEAN,
    SILENCE_WORST,
    measure_lips,
)
from readavatar.benchmarks.expression.takes import constant_emotion, frames_within


@pytest.fixture(scope="module")
def trial():
    return small_trial()


@pytest.fixture(scope="module")
def of_truth(trial):
    return measure_lips(trial, truth(trial))


def test_the_truth_again_reaches_every_aim(of_truth):
    assert math.isnan(of_truth.pop(EMOTIONAL_LIPS))  # of two errors that are none there is no ratio
    missed = [name for name, value in of_truth.items() if LIP_ROWS[name].holds(value) is False]
    assert not missed
    assert of_truth[LIP_ERROR] < 0.05 and of_truth[CLOSURES] == 1.0


def test_late_lips_are_wrong_lips(trial, of_truth):
    late = measure_lips(trial, delayed(trial, 3))
    assert late[LIP_ERROR] > 1 and late[CLOSURES] < 0.9
    assert late[LIP_ERROR] > measure_lips(trial, delayed(trial, 1))[LIP_ERROR] > of_truth[LIP_ERROR]


def test_smooth_lips_do_not_close(trial):
    smooth = measure_lips(trial, smoothed(trial))
    assert smooth[CLOSURES] < 0.9 and smooth[CLOSURES_FOUND] < 0.9


def test_a_mouth_that_hangs_open_neither_closes_nor_rests(trial):
    open_mouth = measure_lips(trial, gaping(trial))
    assert open_mouth[CLOSURES] < 0.1 and open_mouth[SILENCE_MEAN] < 5


def test_a_mouth_that_never_opens_wins_no_recall(trial):
    shut = measure_lips(trial, asleep(trial))
    assert shut[CLOSURES] == 1.0 and shut[SILENCE_WORST] == 100
    assert shut[LIP_ERROR] > 3
    # All its gaps are alike, so that a threshold on them finds everything or nothing: it is the error that tells.
    assert shut[EMOTIONAL_LIPS] > 1.0


def test_lips_that_an_emotion_spoils_fail_against_neutral(trial):
    late, neutral = delayed(trial, 1), feeling(trial, 0.0)
    ignores = lambda take, emotion, seed: late(take, 0 * emotion, seed)  # noqa: E731
    # A late mouth is a little worse where it opens wider, as it does in anger.
    assert measure_lips(trial, late)[EMOTIONAL_LIPS] < 1.3 and measure_lips(trial, ignores)[EMOTIONAL_LIPS] > 2
    assert math.isnan(measure_lips(trial, neutral)[EMOTIONAL_LIPS])  # over a neutral without error there is no ratio


def test_frames_are_within_a_phoneme_by_their_centres(trial):
    line = trial.lines[0]
    silent = frames_within(line, frozenset({""}), shortest=0.3)
    assert 0 < int(silent.sum()) < len(silent)
    longest = max((phoneme for phoneme in line.phonemes if not phoneme.symbol), key=lambda each: each.end - each.start)
    centre = round((longest.start + longest.end) / 2 * line.fps)
    assert bool(silent[centre])
    assert torch.equal(constant_emotion(line, happy=0.5).unique(), torch.tensor([0.0, 0.5]))
