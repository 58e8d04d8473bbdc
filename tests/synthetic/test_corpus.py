"""Characters' takes: exactly what is asked, the same every time, and of every kind."""

from __future__ import annotations

import pytest
import torch

from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.synthetic import draw_takes, make_character, play

SPACE = EmotionSpace()
NEUTRAL = EmotionTrack.constant(SPACE)
SENTENCES = ["Bob moved my map above the piano."]


def test_a_seed_gives_the_same_character_and_the_same_takes():
    assert make_character(3) == make_character(3) != make_character(4)
    first, again = (draw_takes(make_character(3), 0.4) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.waveform, other.waveform) and torch.equal(one.expressions, other.expressions)


def test_takes_fill_the_minutes_and_fit_their_sound():
    takes = draw_takes(make_character(5), 1.0, fps=30)
    assert 60 <= sum(take.duration for take in takes) < 75 and all(take.person == 5 for take in takes)
    for take in takes:
        assert 6 <= take.duration <= 15.1
        assert len(take.waveform) == round(len(take.expressions) / 30 * 16_000)
        assert take.emotion.shape == (len(take.expressions), 7) and take.expressions.shape[1] == 53
        assert take.expressions.min() >= 0 and take.expressions.max() <= 1


def test_the_dial_and_not_the_voice_moves_the_face():
    character, happy = make_character(6), EmotionTrack.parse("happy", SPACE)
    neutral, acted = (play(character, 0, SENTENCES, face, voice_emotion=NEUTRAL) for face in (NEUTRAL, happy))
    assert torch.equal(neutral.waveform, acted.waveform)
    assert not torch.allclose(neutral.expressions, acted.expressions, atol=0.1)


def test_what_cannot_be_drawn_is_a_user_s_error():
    with pytest.raises(UserError, match="minutes"):
        draw_takes(make_character(0), 0)
    with pytest.raises(UserError, match="klingon"):
        draw_takes(make_character(0), 1, languages=("klingon",))
