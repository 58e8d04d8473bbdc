"""Progress bars: none unless they are asked for, and the items are the same either way."""

from __future__ import annotations

import pytest

from readavatar.progress import progress_bars, spinner, track


def _draw(enabled: bool | None) -> None:
    assert list(track(range(3), "counting", enabled=enabled)) == [0, 1, 2]
    assert list(track(iter(range(3)), "going", 3, enabled, transient=False)) == [0, 1, 2]
    with spinner("waiting", enabled) as describe:
        describe("waiting on")


def test_nothing_is_drawn_by_default(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    _draw(None)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("enabled", [True, None])
def test_bars_are_drawn_where_they_are_asked_for(capsys, monkeypatch, enabled):
    monkeypatch.setenv("FORCE_COLOR", "1")
    if enabled:
        _draw(enabled)
    else:
        with progress_bars():
            _draw(enabled)
    drawn = capsys.readouterr()
    assert "counting" in drawn.out and "going" in drawn.out
    assert "waiting" in drawn.err


def test_a_function_that_is_told_not_to_draw_does_not(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with progress_bars():
        _draw(False)
    assert capsys.readouterr() == ("", "")


def test_no_bar_is_drawn_behind_progress_bars(capsys):
    with pytest.raises(KeyError), progress_bars():
        raise KeyError
    _draw(None)
    assert capsys.readouterr() == ("", "")


def test_a_bar_that_is_removed_at_the_end_leaves_nothing_in_a_file(capsys):
    _draw(True)
    drawn = capsys.readouterr()
    assert drawn.err == "" and len(drawn.out.splitlines()) == 1 and drawn.out.startswith("going")
