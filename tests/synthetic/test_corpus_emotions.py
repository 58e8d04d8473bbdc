"""The dial's every setting is drawn: kinds, strengths, steps and ramps."""

from __future__ import annotations

import numpy as np
import pytest

from readavatar.emotion import EmotionSpace
from readavatar.synthetic import draw_takes, make_character
from readavatar.synthetic.emotions import SHARES, STEP, draw_emotion

SPACE = EmotionSpace()
TRACKS = [draw_emotion(np.random.default_rng(seed), 10.0) for seed in range(600)]


def test_kinds_come_in_their_shares():
    constant = [track.vectors[0] for track in TRACKS if len(track.times) == 1]
    counts = {
        "neutral": sum(not vector.any() for vector in constant),
        "single": sum(int((vector > 0).sum()) == 1 for vector in constant),
        "mixture": sum(int((vector > 0).sum()) == 2 for vector in constant),
        "changing": sum(len(track.times) > 1 for track in TRACKS),
    }
    assert sum(SHARES.values()) == pytest.approx(1)
    for kind, share in SHARES.items():
        assert counts[kind] / len(TRACKS) == pytest.approx(share, abs=0.06), kind


def test_full_strength_mead_s_levels_and_every_emotion_are_among_the_single_ones():
    single = [track.vectors[0] for track in TRACKS if len(track.times) == 1 and int((track.vectors > 0).sum()) == 1]
    for wanted in (1.0, 1 / 3, 2 / 3):
        assert sum(float(vector.max()) == pytest.approx(wanted, abs=1e-6) for vector in single) > 10
    assert {int(vector.argmax()) for vector in single} == set(range(SPACE.num_emotions))


def test_changes_are_steps_and_ramps_within_the_take():
    changing = [track for track in TRACKS if len(track.times) > 1]
    lengths = np.concatenate([np.diff(track.times.numpy())[1::2] for track in changing])
    steps = np.isclose(lengths, STEP, atol=1e-4)
    assert 0.15 < steps.mean() < 0.45 and lengths.max() <= 2.001 and (lengths[~steps] > 0.3).any()
    assert all(track.times[0] == 0 and track.times[-2] < 10 and 3 <= len(track.times) <= 7 for track in changing)


def test_short_takes_have_tracks_too():
    for seed in range(100):
        draw_emotion(np.random.default_rng(seed), 1.0)  # keyframes that did not increase would raise


def test_takes_rest_in_pauses_are_muted_at_times_and_held_out_ones_are_others():
    takes = draw_takes(make_character(11), 4.0, languages=("en",))
    rests = [[p for p in take.phonemes if not p.symbol and p.end - p.start > 0.3] for take in takes]
    assert np.mean([len(found) > 1 for found in rests]) > 0.5
    muted = [take for take in takes if not any(p.symbol for p in take.phonemes)]
    assert 0 < len(muted) < 0.35 * len(takes)
    held_out = draw_takes(make_character(11), 0.3, held_out=True, change_sound=False)
    assert all(not np.array_equal(take.expressions[:50], takes[i].expressions[:50]) for i, take in enumerate(held_out))
