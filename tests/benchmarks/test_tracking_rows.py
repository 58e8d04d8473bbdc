"""Rows are summed up over independent samples, hold or fail by their aims, and are written as every benchmark's are."""

import json
import math

import pytest
import torch
from rich.console import Console

from readavatar.benchmarks import write_figures
from readavatar.benchmarks.scorecard import Row, print_scores, summarise, summarise_subjects
from readavatar.benchmarks.tracking.footage import (
    Windows,
    emotion_transfer,
    expressions_at_limit,
    hidden_expressions,
    without_neutral,
)
from readavatar.morphable import load_morphable_model


def test_a_row_is_the_mean_over_samples_within_its_interval():
    score = summarise(Row("mm", at_most=2.5), [1.0, 2.0, 3.0, math.nan])
    assert score.value == pytest.approx(2.0) and score.n == 3
    assert 1.0 <= score.low < score.value < score.high <= 3.0
    assert score.holds and score.aim == "≤ 2.5"


def test_a_row_that_every_sample_must_hold_fails_with_its_worst():
    score = summarise(Row("of 1", at_most=0.15, is_worst=True), [0.0, 0.1, 0.2])
    assert (score.low, score.value, score.high) == (0.0, 0.2, 0.2)
    assert score.holds is False


def test_a_row_without_a_sample_is_left_out():
    assert summarise(Row("mm"), [math.nan]) is None
    assert summarise_subjects("actors", {"gaze": Row("°")}, {"actor 1": {"gaze": []}}) == {}


def test_an_aim_of_two_sides_holds_between_them():
    row = Row("ratio", at_least=0.8, at_most=1.25)
    assert [row.holds(value) for value in (0.7, 0.8, 1.25, 1.3)] == [False, True, True, False]
    assert row.aim == "0.8–1.25" and Row("mm").holds(5.0) is None


def test_scores_are_written_and_printed_with_each_subjects_own(tmp_path, capsys):
    rows = {"gaze": Row("°", at_most=3.0)}
    scores = summarise_subjects("actors", rows, {"actor 1": {"gaze": [2.0]}, "actor 2": {"gaze": [6.0]}})
    assert {name: score.value for name, score in scores.items()} == {
        "actors: gaze": 4.0, "actor 1: gaze": 2.0, "actor 2: gaze": 6.0,
    }  # fmt: skip
    write_figures(tmp_path / "scores.json", scores)
    written = json.loads((tmp_path / "scores.json").read_text())["actors: gaze"]
    assert {"value", "low", "high", "unit", "aim"} <= set(written) and written["n"] == 2 and written["holds"] is False
    print_scores("title", "actors", scores, ["actor 1", "actor 2"], Console())
    printed = capsys.readouterr().out
    assert "4.00" in printed and "6.00" in printed and "≤ 3" in printed and "no" in printed


def _person(offset: float, swapped: bool = False) -> Windows:
    """Two emotions a unit apart, and neutral; all moved by what is the person's own."""
    happy, sad = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    means = torch.stack([torch.zeros(2), sad if swapped else happy, happy if swapped else sad])
    return Windows(means.repeat(3, 1) + torch.tensor([offset, 0.0]), ("neutral", "happy", "sad") * 3)


def test_an_emotion_that_means_the_same_is_recognised_across_people():
    assert emotion_transfer({"a": _person(0.0), "b": _person(0.1)}) == ([100.0, 100.0], pytest.approx(100 / 3))
    accuracies, _ = emotion_transfer({"a": _person(0.0), "b": _person(0.0, swapped=True)})
    assert accuracies == pytest.approx([100 / 3, 100 / 3])


def test_subtracting_the_own_neutral_takes_out_what_is_the_persons():
    apart = {"a": _person(0.0), "b": _person(5.0)}
    assert emotion_transfer(apart)[0] != [100.0, 100.0]
    assert emotion_transfer({name: without_neutral(windows) for name, windows in apart.items()})[0] == [100.0, 100.0]


def test_each_coefficient_counts_in_units_of_its_own_spread():
    large_noise = torch.tensor([[0.0], [9.0], [3.0], [6.0]])
    small_sign = torch.tensor([[0.0], [0.0], [0.1], [0.1]])
    labels = ("neutral", "neutral", "happy", "happy")
    first = Windows(torch.cat([large_noise, small_sign], 1), labels)
    second = Windows(torch.cat([large_noise.flip(0), small_sign], 1), labels)
    assert emotion_transfer({"a": first, "b": second})[0] == [100.0, 100.0]


def test_only_emotions_that_both_people_show_are_compared():
    happy_only = Windows(torch.ones(4, 2), ("happy",) * 4)
    assert emotion_transfer({"a": _person(0.0), "b": happy_only}) == ([], 0.0)
    assert without_neutral(happy_only) is None
    neutral_and_happy = Windows(_person(0.0).means[:2], ("neutral", "happy"))
    accuracies, chance = emotion_transfer({"a": _person(0.0), "b": neutral_and_happy, "c": None})
    assert accuracies == [100.0, 100.0] and chance == 50.0


def test_an_expression_at_its_limit_counts_where_it_stays_there():
    model = load_morphable_model("builtin")
    expressions = torch.zeros(100, model.num_expressions)
    expressions[:4, model.expression_names.index("eyeBlink_L")] = 1.0
    expressions[:6, model.expression_names.index("jawOpen")] = 1.0
    assert expressions_at_limit(expressions, model) == ["jawOpen"]


def test_unseen_expressions_are_told_by_their_names():
    names = ("cheekPuff_L", "jawOpen", "jawForward")
    found = hidden_expressions(torch.tensor([[0.2, 0.9, 0.0], [0.4, 0.9, 0.0]]), names)
    assert found == pytest.approx({"cheekPuff_L": 0.3, "jawForward": 0.0})
