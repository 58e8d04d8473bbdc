"""What makes faces differ and keeps them alike where they must be: habits, inertia, closures, rest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from readavatar.emotion import MEAD_EMOTIONS, EmotionSpace, EmotionTrack
from readavatar.morphable import EXPRESSION_NAMES
from readavatar.synthetic import HELD_OUT_SENTENCES, Style, make_character, perform, play, silence
from readavatar.synthetic.performance import felt_emotion
from readavatar.synthetic.retarget import at_rest
from readavatar.synthetic.visemes import visemes_of
from readavatar.synthetic.voice import Phoneme

SPACE = EmotionSpace()
FPS = 25


def _curve(take, name: str) -> np.ndarray:
    return take.expressions[:, EXPRESSION_NAMES.index(name)].numpy()


def _perform(style: Style | None, emotion: str = "happy", duration: float = 8.0):
    track = EmotionTrack.parse(emotion, SPACE)
    return perform(silence(duration), track, fps=FPS, seed=0, style=style).coefficients.expression_coefficients


@pytest.mark.parametrize("fps", [25, 60])
def test_a_step_of_the_dial_rises_in_a_sixth_of_a_second_on_the_face(fps):
    step = EmotionTrack.parse("0s neutral, 2s neutral, 2.01s happy:0.8", SPACE)
    times = (np.arange(4 * fps) + 0.5) / fps
    happy = felt_emotion(step, times)[:, MEAD_EMOTIONS.index("happy")]
    early, late = (np.interp(share * 0.8, happy, times) for share in (0.1, 0.9))
    assert 0.13 < late - early < 0.2 and abs((early + late) / 2 - 2.005) < 0.02
    assert np.diff(happy).min() >= -1e-9 and np.diff(happy).max() < 0.35 * 0.8 * 25 / fps + 0.05
    assert happy[0] == 0 and happy[-1] == pytest.approx(0.8)


def test_a_constant_emotion_is_felt_bit_for_bit_as_asked():
    track = EmotionTrack.parse("happy:0.3+sad:0.7", SPACE)
    times = (np.arange(100) + 0.5) / 25
    assert np.array_equal(felt_emotion(track, times), track.sample_frames(100, 25.0).double().numpy())


def test_the_track_is_kept_as_asked_while_the_face_follows_it():
    step = EmotionTrack.parse("0s neutral, 1s neutral, 1.01s surprised", SPACE)
    take = play(make_character(1), 0, [], step, duration=2.0)
    assert torch.equal(take.emotion, step.sample_frames(50, 25.0))
    assert torch.unique(take.emotion).numel() == 2
    assert np.abs(np.diff(_curve(take, "browOuterUp_L"))).max() < 0.5


def test_a_style_without_habits_acts_as_ever():
    assert torch.equal(_perform(Style()), _perform(Style(habits={}, blinking=1.0, resting_closure=0.0)))
    assert torch.equal(_perform(Style()), _perform(None))


def test_habits_scale_and_offset_an_expression_and_leave_the_others():
    smile, lid, brow = (EXPRESSION_NAMES.index(name) for name in ("mouthSmile_L", "eyeBlink_R", "browDown_L"))
    plain = _perform(Style())
    habitual = _perform(Style(habits={"mouthSmile_L": (0.5, 0.0), "eyeBlink_R": (1.0, 0.05)}))
    assert torch.allclose(habitual[:, smile], 0.5 * plain[:, smile], atol=1e-6)
    assert torch.equal(habitual[:, brow], plain[:, brow])
    open_frames, shut_frames = plain[:, lid] < 1e-6, plain[:, lid] == 1
    assert open_frames.any() and torch.allclose(habitual[open_frames, lid], torch.tensor(0.05), atol=1e-3)
    assert shut_frames.any() and (habitual[shut_frames, lid] == 1).all()


def test_blinking_is_a_factor_on_how_often_lids_close():
    def blinks(factor: float) -> int:
        lid = _perform(Style(blinking=factor), "neutral", 120.0)[:, EXPRESSION_NAMES.index("eyeBlink_L")]
        return int(((lid[1:] > 0.5) & (lid[:-1] <= 0.5)).sum())

    assert blinks(2.0) > 1.4 * blinks(1.0) > 1.4 * 1.4 * blinks(0.5)


@pytest.mark.parametrize("seed", range(8))
def test_bilabials_close_on_every_face_in_every_emotion(seed):
    character = make_character(seed)
    for emotion in ("neutral", *MEAD_EMOTIONS):
        take = play(character, 0, [HELD_OUT_SENTENCES[seed]], EmotionTrack.parse(emotion, SPACE))
        closed = _curve(take, "mouthClose") > 0.95 * _curve(take, "jawOpen")
        parted = np.maximum(_curve(take, "mouthUpperUp_L"), _curve(take, "mouthLowerDown_L")) > 0.05
        times = (np.arange(len(closed)) + 0.5) / FPS
        for phoneme in take.phonemes:
            if phoneme.symbol and visemes_of(phoneme.symbol)[0].closure:
                near = (times > phoneme.start - 0.04) & (times < phoneme.end + 0.02)
                assert (closed & ~parted)[near].any(), (emotion, phoneme)


def test_characters_close_their_mouths_in_silence_and_keep_their_smiles():
    character = make_character(2)
    for emotion in MEAD_EMOTIONS:
        track = EmotionTrack.parse(emotion, SPACE)
        take = play(character, 0, [], track, duration=2.0)
        assert np.abs(_curve(take, "mouthClose") - _curve(take, "jawOpen")).max() < 1e-6
        assert _curve(take, "mouthUpperUp_L").max() == _curve(take, "mouthLowerDown_L").max() == 0
        relaxed = replace(character, style=replace(character.style, resting_closure=0.0))
        for name in ("mouthSmile_L", "mouthFrown_L", "browDown_R", "browInnerUp_L"):
            open_mouthed = play(relaxed, 0, [], track, duration=2.0)
            assert np.array_equal(_curve(take, name), _curve(open_mouthed, name)), name


def test_a_mouth_rests_in_long_silences_only_and_never_while_it_speaks():
    phonemes = (
        Phoneme("", 0.0, 0.4), Phoneme("a", 0.4, 1.0), Phoneme("", 1.0, 1.2), Phoneme("a", 1.2, 1.6),
        Phoneme("", 1.6, 2.0), Phoneme("a", 2.0, 2.4), Phoneme("", 2.4, 3.0),
    )  # fmt: skip
    times = np.arange(0.0, 3.0, 0.01)
    rest = at_rest(phonemes, times)
    for phoneme in phonemes:
        inside = rest[(times >= phoneme.start) & (times < phoneme.end)]
        if phoneme.symbol or phoneme.end - phoneme.start < 0.3:
            assert not inside.any()
        else:
            assert inside.max() == 1
    assert rest[0] == 1 and rest[-1] == 1
    assert np.array_equal(at_rest((Phoneme("", 0.0, 1.0),), times[:100]), np.ones(100))


def test_lips_that_rest_do_not_part_before_they_close_for_a_sound():
    phonemes = (Phoneme("", 0.0, 0.5), Phoneme("m", 0.5, 0.6), Phoneme("a", 0.6, 1.0), Phoneme("", 1.0, 1.5))
    times = np.arange(0.0, 1.5, 0.01)
    rest = at_rest(phonemes, times)
    assert (rest[times < 0.49] == 1).all() and rest[(times > 0.51) & (times < 1.0)].max() == 0
    take = play(make_character(1), 0, ["My map."], EmotionTrack.parse("surprised", SPACE))
    before = take.phonemes[1].start
    assert take.phonemes[1].symbol == "m"
    frames = (np.arange(len(take.expressions)) + 0.5) / FPS < before
    assert np.abs(_curve(take, "mouthClose") - _curve(take, "jawOpen"))[frames].max() < 1e-6
