"""Likeness counts what is inside the face and nothing besides; a table says how sure it is."""

from __future__ import annotations

import math

import pytest
import torch
from rich.console import Console
from tiny_footage import face_points

from readavatar.benchmarks.appearance.footage import print_comparison, score_over_seconds, single
from readavatar.benchmarks.appearance.likeness import (
    FLICKER,
    LIVELINESS,
    LPIPS_ALEX,
    MOUTH_LPIPS,
    MOUTH_PSNR,
    PAINTED,
    PSNR,
    SSIM,
    Moment,
    bounding_window,
    landmark_hull,
    measure_likeness,
    mouth_window,
)
from readavatar.benchmarks.appearance.painting import Painting
from readavatar.benchmarks.scorecard import Row

SIZE = 96
POINTS = face_points()[:, :2] * torch.tensor([400.0, -400.0]) + SIZE / 2
FRAMES = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
MOMENT = Moment(7, FRAMES, POINTS.expand(2, -1, -1))
HULL = landmark_hull(POINTS, SIZE, SIZE)


def _measure(images: torch.Tensor, alphas: torch.Tensor | None = None, lpips: dict | None = None) -> dict:
    alphas = torch.ones(2, 1, SIZE, SIZE) if alphas is None else alphas
    return measure_likeness(Painting(images, alphas), MOMENT, lpips or {})


def test_the_footage_itself_is_flawless():
    values = _measure(FRAMES)
    assert math.isinf(values[PSNR]) and math.isinf(values[MOUTH_PSNR]) and values[SSIM] == pytest.approx(1)
    assert values[FLICKER] == 0 and values[LIVELINESS] == pytest.approx(1) and values[PAINTED] == pytest.approx(100)


def test_only_pixels_inside_the_hull_count():
    wrong_outside = torch.where(HULL > 0, FRAMES, 1 - FRAMES)
    values = _measure(wrong_outside)
    assert math.isinf(values[PSNR]) and values[FLICKER] == 0
    off_by_a_tenth = torch.where(HULL > 0, FRAMES + 0.1, FRAMES)
    assert _measure(off_by_a_tenth)[PSNR] == pytest.approx(20.0, abs=1e-3)


def test_a_hull_holds_the_pixels_whose_centres_it_surrounds():
    square = torch.tensor([[10.0, 20.0], [30.0, 20.0], [30.0, 50.0], [10.0, 50.0], [20.0, 30.0]])
    mask = landmark_hull(square, 60, 40)[0]
    assert mask.sum() == 20 * 30 and mask[20, 10] == 1 and mask[19, 10] == 0 and mask[49, 29] == 1 and mask[49, 30] == 0
    assert bounding_window(mask) == (slice(20, 50), slice(10, 30))
    with pytest.raises(ValueError, match="holds none"):
        bounding_window(torch.zeros(4, 4))


def test_the_mouths_box_holds_shut_lips_and_what_is_around_them():
    window = mouth_window(POINTS, SIZE, SIZE)
    lips = POINTS[48:]
    assert window.columns.start <= lips[:, 0].min() and window.columns.stop >= lips[:, 0].max()
    height, width = window.rows.stop - window.rows.start, window.columns.stop - window.columns.start
    assert height >= 0.45 * width and width == pytest.approx(1.3 * float(lips[:, 0].max() - lips[:, 0].min()), abs=2)
    outside = mouth_window(POINTS + 1000, SIZE, SIZE)
    assert outside.rows == slice(SIZE - 1, SIZE)


def test_flicker_is_change_that_the_footage_does_not_have():
    still = FRAMES[:1].expand(2, -1, -1, -1)
    assert _measure(still)[LIVELINESS] == 0
    offset = FRAMES + 0.1  # wrong, but steadily so
    assert _measure(offset)[FLICKER] == pytest.approx(0, abs=1e-4)
    flickering = FRAMES + torch.tensor([0.0, 2 / 255])[:, None, None, None]
    assert _measure(flickering)[FLICKER] == pytest.approx(2, abs=1e-3)


def test_lpips_sees_the_hulls_box_with_its_mask_and_crops_that_are_large_enough():
    seen = []

    class Distance(torch.nn.Module):
        def forward(self, predicted, target, mask=None):
            seen.append((predicted, mask))
            return (predicted - target).abs().mean((1, 2, 3))

    values = _measure(FRAMES, lpips={"alex": Distance()})
    assert values[LPIPS_ALEX] == values[MOUTH_LPIPS] == 0
    (face, mask), (mouth, no_mask) = seen
    assert mask is not None and no_mask is None and mask.shape[-2:] == face.shape[-2:]
    assert 0 < mask.mean() < 1 and min(face.shape[-2:]) < SIZE and min(mouth.shape[-2:]) == 64


def test_what_is_painted_is_told():
    half = torch.ones(2, 1, SIZE, SIZE)
    half[..., : SIZE // 2] = 0
    assert _measure(FRAMES, half)[PAINTED] == pytest.approx(100 * float(HULL[..., SIZE // 2 :].sum() / HULL.sum()))


def test_a_figures_interval_is_over_seconds_and_leaves_out_what_was_not_measured():
    places, values = [0, 3, 6, 25, 28, 50], [1.0, 1.0, 1.0, 4.0, math.nan, 7.0]
    score = score_over_seconds(Row("dB", at_least=2.0), values, places, 25.0)
    assert score.n == 3 and score.value == pytest.approx(14 / 5) and score.holds
    assert score.low >= 1 and score.high <= 7
    nothing = score_over_seconds(Row("dB", at_least=2.0), [math.nan], [0], 25.0)
    assert nothing.n == 0 and math.isnan(nothing.value) and nothing.holds is None


def test_painters_stand_side_by_side(capsys):
    aim = Row("dB", at_least=31.0)
    print_comparison("title", {"a: PSNR": single(aim, 30.0), "b: PSNR": single(Row("dB"), 27.7)}, ["a", "b"], Console())
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "PSNR" in line]
    assert "30.0" in line and "27.7" in line and "≥ 31" in line and "no" in line
