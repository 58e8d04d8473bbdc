from __future__ import annotations

import time

import pytest
import torch

from readavatar.appearance.inference import uses_bfloat16

CPU = torch.device("cpu")


@pytest.mark.parametrize("slow", [True, False])
def test_the_faster_precision_is_taken(slow, simulated_time):
    def work(bfloat16):
        time.sleep(0.02 if bfloat16 == slow else 0.001)

    assert uses_bfloat16("auto", work, CPU) != slow


@pytest.mark.parametrize(("precision", "expected"), [("fp32", False), ("bf16", True)])
def test_a_precision_that_is_asked_for_is_not_tried(precision, expected):
    def work(bfloat16):
        raise AssertionError

    assert uses_bfloat16(precision, work, CPU) is expected
