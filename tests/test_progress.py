"""Progress bars: none unless they are asked for, and the items are the same either way."""

from __future__ import annotations

from readavatar.progress import download_bar, progress_bars, spinner, track


def test_nothing_is_drawn_unless_it_is_asked_for(capsys):
    assert list(track(range(3), "counting", transient=False)) == [0, 1, 2]
    with spinner("waiting") as describe, download_bar("file", 10) as advance:
        describe("waiting on")
        advance(10)
    assert capsys.readouterr() == ("", "")


def test_a_bar_is_drawn_where_it_is_asked_for(capsys):
    assert list(track(range(3), "counting", enabled=True, transient=False)) == [0, 1, 2]
    assert "counting" in capsys.readouterr().out


def test_all_bars_are_drawn_within_progress_bars_and_none_behind_it(capsys):
    with progress_bars():
        assert list(track(iter(range(3)), "counting", 3, transient=False)) == [0, 1, 2]
    assert "counting" in capsys.readouterr().out
    list(track(range(3), "counting", transient=False))
    assert capsys.readouterr().out == ""


def test_a_transient_bar_leaves_nothing_in_a_file(capsys):
    with progress_bars(), spinner("waiting") as describe, download_bar("file", 10, 5) as advance:
        describe("waiting on")
        advance(5)
        assert list(track(range(3), "counting")) == [0, 1, 2]
    captured = capsys.readouterr()
    assert (captured.out + captured.err).strip() == ""
