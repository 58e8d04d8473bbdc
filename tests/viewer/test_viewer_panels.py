"""What the panels show of a fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from viewed_clips import SIZE, WRONG_FRAME

from readavatar.rendering.camera import project
from readavatar.types import default_camera
from readavatar.viewer.drawing import SEEN, cut_window, draw_points, landmark_errors, window_camera, window_centres
from readavatar.viewer.panels import Sheet, in_threads
from readavatar.viewer.rendering import GRID, grid_lines, heat
from readavatar.viewer.series import open_subject


@pytest.fixture(scope="module")
def subject(actor_clip):
    return open_subject(actor_clip)


@pytest.fixture(scope="module")
def sheet(actor_clip, subject):
    return Sheet(actor_clip, SIZE, subject.seen, subject.face, subject.model, subject.fitted, subject.truth)


@pytest.fixture(scope="module")
def drawn(sheet, actor_clip):
    return list(sheet.draw(0, actor_clip.num_frames))


def panel(sheet, frame, name) -> np.ndarray:
    """One panel of a drawn frame, in [0, 1]."""
    number = [one.name for one in sheet.panels].index(name)
    left, top = sheet.place(number)
    return frame.sheet[top : top + sheet.size, left : left + sheet.size] / 255


def test_a_sheet_holds_every_panel_once(sheet, drawn, actor_clip):
    places = {sheet.place(number) for number in range(len(sheet.panels))}
    assert len(places) == len(sheet.panels) == 8
    assert drawn[0].sheet.shape == (2 * SIZE, 4 * SIZE, 3)
    assert np.array_equal(panel(sheet, drawn[5], "footage") * 255, actor_clip.frame(5))


def test_the_true_coefficients_render_the_footage_again(sheet, drawn):
    footage, rendered = panel(sheet, drawn[3], "footage"), panel(sheet, drawn[3], "rendered")
    assert np.abs(footage - rendered).mean() < 0.02 and not np.array_equal(footage, rendered)


def test_errors_are_highest_where_the_fit_is_wrong(drawn, subject):
    photometric = torch.tensor([frame.photometric for frame in drawn])
    geometric = torch.tensor([frame.geometric for frame in drawn])
    assert int(photometric.argmax()) == int(geometric.argmax()) == WRONG_FRAME
    assert geometric[WRONG_FRAME] > 0.5 and geometric[:WRONG_FRAME].max() < 1e-2
    assert int(landmark_errors(subject.fitted, subject.seen).argmax()) == WRONG_FRAME


def test_the_map_of_errors_is_bright_at_the_mouth_alone_where_only_the_jaw_is_wrong(sheet, drawn):
    right, wrong = (panel(sheet, drawn[frame], "truth") for frame in (WRONG_FRAME - 1, WRONG_FRAME))
    gain = (wrong - right).clip(0).sum(2)
    assert gain[SIZE // 2 :].sum() > 1.5 * gain[: SIZE // 2].sum()


def test_a_close_up_of_the_camera_and_of_the_frame_show_the_same_place():
    camera = default_camera(40, 40)
    centre, width, resolution = torch.tensor([0.6, 0.45]), 0.5, (20, 40)
    point = torch.tensor([[[0.04, 0.01, -0.8]]])
    x, y = project(point, camera)[0, 0].tolist()
    there_x, there_y = project(point, window_camera(camera, centre, width, resolution))[0, 0].tolist()
    rows, columns = torch.meshgrid(torch.arange(40) + 0.5, torch.arange(40) + 0.5, indexing="ij")
    blob = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8).expand(3, -1, -1)
    cut = cut_window(blob, centre, width, resolution)[0]
    weights = cut / cut.sum()
    seen_x = (weights.sum(0) * (torch.arange(40) + 0.5)).sum()
    seen_y = (weights.sum(1) * (torch.arange(20) + 0.5)).sum()
    assert abs(seen_x - there_x) < 0.3 and abs(seen_y - there_y) < 0.3


def test_a_close_up_follows_the_head_without_the_landmarks_shaking():
    shaking = torch.randn(200, 68, 2, generator=torch.Generator().manual_seed(0)) * 0.01
    moving = shaking + torch.linspace(0, 1, 200)[:, None, None]
    centres = window_centres(moving, "mouth", 25.0)
    assert (centres[:, 0] - torch.linspace(0, 1, 200))[20:-20].abs().max() < 0.01
    assert centres.diff(dim=0).std() < 0.5 * moving[:, 48:].mean(1).diff(dim=0).std()
    assert window_centres(moving[:1], "mouth", 25.0).shape == (1, 2)


def test_grid_lines_lie_on_multiples_and_merge_into_nothing():
    rows = torch.arange(64) * GRID / 16  # a line every sixteen pixels
    places = torch.stack([rows.expand(64, 64), torch.full((64, 64), GRID / 2)])
    lines = grid_lines(places)
    assert torch.equal(lines[5] > 0.5, torch.arange(64) % 16 == 0)
    assert (
        grid_lines(torch.stack([rows * 20, torch.full((64,), GRID / 2)])[:, None].expand(2, 8, 64))[:4, 1:-1].max() == 0
    )


def test_heat_is_dark_at_zero_bright_at_one_and_saturates():
    colours = heat(torch.tensor([0.0, 0.5, 1.0, 7.0]))
    assert colours[:, 0].sum() < 0.1 and colours[:, 0].sum() < colours[:, 1].sum() < colours[:, 2].sum()
    assert torch.equal(colours[:, 2], colours[:, 3])


def test_the_detectors_dots_lie_where_it_saw_them_and_only_there(actor_clip, subject):
    grey = np.full((256, 256, 3), 100, np.uint8)
    image = draw_points(grey, 2, subject.seen, None)
    x, y = (subject.seen.landmarks[2, 30] * 256).long().tolist()
    assert np.abs(image[y, x].astype(int) - SEEN).max() < 40
    assert (image != grey).any(2).mean() < 0.05
    unseen = replace(subject.seen, found=torch.zeros_like(subject.seen.found))
    image = draw_points(grey, 2, unseen, None)
    assert (image[0] != grey[0]).all() and np.array_equal(image[20:-20, 20:-20], grey[20:-20, 20:-20])


def test_threads_keep_the_order_and_pass_on_errors():
    assert list(in_threads(lambda number: number * 2, range(20))) == list(range(0, 40, 2))
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda number: 1 // number, [2, 1, 0]))
