"""A benchmark's figures are medians of what was timed, and read back from their file."""

import json
import time

import pytest

from readavatar.benchmarks import measure, write_figures


def test_a_measure_is_the_time_a_frame_without_the_first_run(simulated_time):
    calls = []

    def action():
        calls.append(None)
        time.sleep(0.2 if len(calls) == 1 else 0.02)

    figure = measure(action, per=2, repeats=3)
    assert len(calls) == 4
    assert (figure.low, figure.value, figure.high) == pytest.approx((10, 10, 10))


def test_figures_are_written_with_their_spread(tmp_path):
    write_figures(tmp_path / "f.json", {"a": measure(lambda: None, aim="fast")})
    written = json.loads((tmp_path / "f.json").read_text())
    assert set(written["a"]) == {"value", "low", "high", "unit", "aim"} and written["a"]["aim"] == "fast"
