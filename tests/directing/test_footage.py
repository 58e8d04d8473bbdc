"""The order in which footage is played."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from readavatar.directing.footage import footage_order, monotone_runs


@given(st.integers(1, 200), st.integers(1, 30), st.data())
def test_neighbours_differ_by_at_most_one_frame(num_frames, num_footage_frames, data):
    start = data.draw(st.integers(0, num_footage_frames - 1))
    order = footage_order(num_frames, num_footage_frames, start)
    assert len(order) == num_frames and order[0] == start
    assert order.min() >= 0 and order.max() < num_footage_frames
    assert (order.diff().abs() <= 1).all()


def test_footage_turns_round_at_its_ends():
    assert footage_order(8, 4, 1).tolist() == [1, 2, 3, 2, 1, 0, 1, 2]


def test_start_outside_the_footage_is_refused():
    with pytest.raises(ValueError, match="start"):
        footage_order(3, 4, 4)


@given(st.integers(1, 100), st.integers(1, 12), st.integers(1, 9))
def test_runs_keep_the_order_and_go_one_way(num_frames, num_footage_frames, longest):
    order = footage_order(num_frames, num_footage_frames)
    runs = monotone_runs(order, longest)
    assert torch.equal(torch.cat(runs), order)
    assert all(len(run) <= longest and len(run.diff().unique()) <= 1 for run in runs)
