"""Liveliness: as much motion as the truth's and of its kind; a regression's smoothing and a tremble both fail."""

from __future__ import annotations

import pytest
from expression_motions import asleep, feeling, small_trial, smoothed, trembling, truth

from readavatar.benchmarks.expression.lips import (
    FACE_DISTANCE,
    FAST,
    LIFE_ROWS,
    SPREAD,
    UPPER_DISTANCE,
    measure_life,
)


@pytest.fixture(scope="module")
def trial():
    return small_trial()


@pytest.fixture(scope="module")
def of_truth(trial):
    return measure_life(trial, truth(trial))


def test_another_performance_is_as_lively_and_hardly_apart(of_truth):
    assert 0.9 < of_truth[SPREAD] < 1.1
    assert 0.8 < of_truth[FAST] < 1.25  # blinks of a short trial
    assert of_truth[FACE_DISTANCE] < 0.01 and of_truth[UPPER_DISTANCE] < 0.05


def test_a_mean_of_performances_is_muted_and_told_by_its_distance(trial, of_truth):
    muted = measure_life(trial, smoothed(trial))
    assert LIFE_ROWS[FAST].holds(muted[FAST]) is False and muted[FAST] < 0.3
    assert muted[SPREAD] < of_truth[SPREAD]
    assert muted[UPPER_DISTANCE] > 10 * of_truth[UPPER_DISTANCE]
    assert muted[FACE_DISTANCE] > 10 * of_truth[FACE_DISTANCE]


def test_a_tremble_is_too_much_fast_motion(trial):
    assert measure_life(trial, trembling(trial))[FAST] > 1.1


def test_a_face_that_does_nothing_does_not_move(trial, of_truth):
    still = measure_life(trial, asleep(trial))
    assert still[SPREAD] == 0 and still[FAST] == 0
    assert still[UPPER_DISTANCE] > 10 * of_truth[UPPER_DISTANCE]


def test_feeling_half_as_much_moves_less(trial):
    assert measure_life(trial, feeling(trial, 0.5))[SPREAD] < 0.9
