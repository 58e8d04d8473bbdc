"""Obedience: a reader of other actors' emotions tells a face that does what it is asked from one that does not."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from expression_motions import delayed, feeling, small_trial, smoothed, truth

from readavatar.benchmarks.expression.dial import (
    CHANGE_ROWS,
    DELAY_MEAN,
    DELAY_WORST,
    DIAL_ERROR,
    DIAL_ROWS,
    JERK,
    MIXTURES,
    RAMP_SECONDS,
    RANK_WORST,
    RECOGNISED,
    RISE_MEAN,
    STEP_BACK,
    STEP_BACK_ERRORS,
    UNANSWERED,
    change_track,
    measure_changes,
    measure_dial,
    turn_dial,
)
from readavatar.benchmarks.expression.motion import SPACE
from readavatar.benchmarks.expression.reader import EmotionReader, ReaderSettings, find_reader, reader_takes
from readavatar.benchmarks.expression.takes import constant_emotion
from readavatar.morphable import EXPRESSION_NAMES

QUICK = ReaderSettings(num_characters=16, sentences=4, emotions=5, seconds=2.0, steps=500)


@pytest.fixture(scope="module")
def trial():
    return small_trial()


@pytest.fixture(scope="module")
def reader(tmp_path_factory) -> EmotionReader:
    return find_reader(tmp_path_factory.mktemp("reader"), QUICK)


def _dial(trial, motion, reader):
    return measure_dial(trial, motion, reader, turn_dial(trial, motion, reader))


def test_a_reader_reads_strengths_on_actors_it_has_not_seen(reader):
    expressions, emotion = reader_takes(dataclasses.replace(QUICK, first_seed=5101, num_characters=2))
    with torch.no_grad():
        read = reader(expressions).mean(1)
    assert float((read - emotion)[emotion > 0].abs().mean()) < 0.1
    assert float((read - emotion)[emotion == 0].abs().mean()) < 0.05


def test_a_reader_does_not_look_at_the_gaze(reader, trial):
    take = trial.lines[0]
    looking = take.expressions.clone()
    looking[:, EXPRESSION_NAMES.index("eyeLookDown_L")] = 1.0
    assert torch.equal(reader.read(looking), reader.read(take.expressions))


def test_a_reader_is_trained_once(tmp_path):
    tiny = ReaderSettings(num_characters=1, sentences=1, emotions=2, seconds=2.0, steps=3)
    first = find_reader(tmp_path, tiny)
    (kept,) = tmp_path.glob("*.safetensors")
    written = kept.stat().st_mtime_ns
    second = find_reader(tmp_path, tiny)
    assert kept.stat().st_mtime_ns == written
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    find_reader(tmp_path, dataclasses.replace(tiny, steps=4))
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_the_truth_obeys_the_dial(trial, reader):
    measured = _dial(trial, truth(trial), reader)
    assert measured.pop(MIXTURES) < 0.15  # this reader is trained on little
    missed = [name for name, value in measured.items() if DIAL_ROWS[name].holds(value) is False]
    assert not missed, measured


def test_a_face_that_ignores_the_emotion_is_not_recognised(trial, reader):
    measured = _dial(trial, feeling(trial, 0.0), reader)
    assert measured[RECOGNISED] < 30 and measured[RANK_WORST] < 0.97 and measured[MIXTURES] > 0.4


def test_a_face_that_feels_half_ranks_well_and_is_told_by_the_error(trial, reader):
    measured = _dial(trial, feeling(trial, 0.5), reader)
    assert measured[RANK_WORST] > 0.97 and measured[DIAL_ERROR] > 0.2 and measured[MIXTURES] > 0.1


def test_a_dial_that_turns_back_is_caught(trial, reader):
    act = truth(trial)
    turned_back = lambda take, emotion, seed: act(take, (1.6 * emotion) % 1.01, seed)  # noqa: E731
    measured = _dial(trial, turned_back, reader)
    assert measured[STEP_BACK] > 0.3 and measured[STEP_BACK_ERRORS] > 2


def test_the_truth_changes_in_time(trial, reader):
    measured, changes = measure_changes(trial, truth(trial), reader)
    missed = [name for name, row in CHANGE_ROWS.items() if row.holds(measured[name]) is False]
    assert not missed, measured
    assert measured[JERK] == pytest.approx(1.0, abs=0.05) and len(changes) == 4 * SPACE.num_emotions


def test_a_late_emotion_is_late_by_as_much(trial, reader):
    measured, _ = measure_changes(trial, delayed(trial, 8), reader)
    assert measured[DELAY_MEAN] == pytest.approx(8 / 25, abs=0.05)
    assert CHANGE_ROWS[DELAY_WORST].holds(measured[DELAY_WORST]) is False


def test_a_lazy_emotion_rises_slowly(trial, reader):
    measured, _ = measure_changes(trial, smoothed(trial, 21), reader)
    assert measured[RISE_MEAN] > 0.2 > measured[DELAY_MEAN] and measured[JERK] < 0.5


def test_a_face_that_ignores_a_change_gives_no_answer(trial, reader):
    measured, _ = measure_changes(trial, feeling(trial, 0.0), reader)
    assert measured[UNANSWERED] == 100 and math.isnan(measured[DELAY_MEAN])


def test_a_change_is_a_ramp_in_the_middle(trial):
    line = trial.lines[0]
    asked, middle = change_track(line, None, "happy")
    happy = asked[:, SPACE.names.index("happy")]
    half = round(RAMP_SECONDS * line.fps / 2)
    assert happy[: middle - half].abs().max() == 0 and happy[middle + half :].min() == 1
    assert happy[middle - 1] + happy[middle] == pytest.approx(1.0)
    assert constant_emotion(line, happy=1.0)[0].tolist() == SPACE.vector("happy").tolist()
