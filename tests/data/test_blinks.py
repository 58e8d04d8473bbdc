"""Claims on finding blinks."""

from __future__ import annotations

import pytest
import torch

from readavatar.data.datasets.annotations import LidGap, blink_frames, blink_pulses, pulse_frames
from readavatar.morphable import load_morphable_model
from readavatar.synthetic import draw_takes, make_character
from readavatar.synthetic.retarget import retarget


def test_every_blink_of_an_actor_is_found_and_nothing_else():
    model = load_morphable_model("builtin")
    lids = LidGap(model)
    names = list(model.expression_names)
    for take in draw_takes(make_character(3), 0.5, change_sound=False):
        expressions = retarget(take.expressions, model)
        closed = expressions[:, names.index("eyeBlink_L")]
        found = blink_frames(lids(expressions), take.fps).long().tolist()
        inner = closed[1:-1]
        true = 1 + torch.nonzero((inner > 0.5) & (inner >= closed[:-2]) & (inner > closed[2:]))[:, 0]
        assert len(found) == len(true) and all(min(abs(frame - true)) <= 1 for frame in found)


def test_lowered_and_narrow_lids_are_no_blinks():
    gap = torch.full((100,), 0.01)
    gap[30:60] = 0.004  # for over a second
    gap[80:83] = 0.008  # a squint
    assert len(blink_frames(gap, 25.0)) == 0
    gap[10:14] = torch.tensor([0.006, 0.001, 0.001, 0.006])
    assert blink_frames(gap, 25.0).tolist() in ([11.0], [12.0])


def test_a_pulse_tells_when_and_its_area_how_many():
    pulses = blink_pulses(torch.tensor([10.0, 40.0]), 60, 25.0)
    assert pulses[10] == pulses[40] == 1 and pulses[25] < 1e-6
    assert float(pulses.sum()) == pytest.approx(2 * pulse_frames(25.0), rel=1e-3)
    assert not blink_pulses(torch.zeros(0), 5, 25.0).any()
