"""Tables of where a detector sees a model's landmarks."""

from __future__ import annotations

import pytest
import torch

from readavatar.tracking import detector_priors
from readavatar.tracking.detector_priors import (
    MIRRORED,
    UNKNOWN_SPREAD,
    calibration_path,
    read_calibration,
    write_calibration,
)


def test_a_written_table_is_read_again_to_a_hundredth_of_a_millimetre(tmp_path, monkeypatch):
    monkeypatch.setattr(detector_priors, "_FOLDER", tmp_path)
    offsets = 0.003 * torch.randn(68, 3, generator=torch.Generator().manual_seed(0))
    write_calibration(calibration_path("somebody"), offsets, 0.0012, 3)
    found, spread = read_calibration("somebody")
    torch.testing.assert_close(found, offsets, atol=5.1e-6, rtol=0)
    assert spread == pytest.approx(0.0012)


def test_a_model_without_a_table_has_no_known_difference():
    offsets, spread = read_calibration("models/of_nobody")
    assert torch.equal(offsets, torch.zeros(68, 3)) and spread == UNKNOWN_SPREAD


def test_each_landmark_is_its_counterparts_counterpart():
    assert sorted(MIRRORED) == list(range(68))
    assert [MIRRORED[MIRRORED[number]] for number in range(68)] == list(range(68))


@pytest.mark.parametrize("name", ["builtin", "ict"])
def test_the_shipped_tables_are_mirror_symmetric_and_plausible(name):
    offsets, spread = read_calibration(name)
    mirrored = offsets[MIRRORED] * torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(offsets, mirrored, atol=1.1e-5, rtol=0)  # rounded to 0.01 mm
    assert 0.0005 < spread < 0.01
    assert 0.0005 < float(offsets[17:].norm(dim=1).mean()) < 0.01
