"""Fixtures that several packages' tests share."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a failed hub look-up otherwise retries for 23 s
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests run in one process a core; more threads only get in the way


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real clips, real speech and a real morphable model; ``READAVATAR_TEST_DATA`` says where they are."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    path = Path(os.environ.get("READAVATAR_TEST_DATA", default))
    if not path.is_dir():
        pytest.skip(f"no real test data at {path} (set READAVATAR_TEST_DATA)")
    return path


@pytest.fixture
def simulated_time(monkeypatch) -> None:
    """``time.sleep`` returns at once and moves ``time.perf_counter`` by exactly the given seconds."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
