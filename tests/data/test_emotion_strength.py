"""Claims on strengths that are measured on the face where clips are labelled with names alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from readavatar.data.datasets.annotations import average_windows, measured_strengths
from readavatar.data.datasets.expression_windows import ExpressionClip
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.synthetic.characters import make_character
from readavatar.synthetic.corpus import play

FPS = 25.0
NAMES = ("happy", "sad")
SENTENCES = ("Mum baked a pie by the map.", "The old farmer counted nine brown sheep.", "She will be here on Friday.")


def _clip(strength: torch.Tensor, emotion: int | None, seed: int, person: int = 0, label: float = 1.0):
    """Six coefficients: speech moves 0–2 by more than emotions do; happy shows in 2 and 3, sad in 4; 5 is still."""
    generator = torch.Generator().manual_seed(seed)
    num_frames = len(strength)
    expressions = torch.zeros(num_frames, 6)
    syllables = torch.rand(1, 3, num_frames // 6 + 2, generator=generator)
    expressions[:, :3] = torch.nn.functional.interpolate(syllables, num_frames, mode="linear")[0].T
    for column in {0: (2, 3), 1: (4,)}.get(emotion, ()):
        expressions[:, column] += 0.3 * strength
    labels = torch.zeros(num_frames, 2)
    if emotion is not None:
        labels[:, emotion] = label
    return ExpressionClip(torch.zeros(num_frames, 1), labels, expressions, torch.ones(num_frames).bool(), person)


def _constant(value: float, num_frames: int = 100) -> torch.Tensor:
    return torch.full((num_frames,), value)


@pytest.fixture
def clips() -> list[ExpressionClip]:
    """Neutral ones, happy ones of rising strength, sad ones of falling."""
    rising = [0.2, 0.4, 0.6, 0.8, 1.0]
    neutral = [_clip(_constant(0.0), None, seed) for seed in range(3)]
    happy = [_clip(_constant(value), 0, 10 + seed) for seed, value in enumerate(rising)]
    return neutral + happy + [_clip(_constant(value), 1, 20 + seed) for seed, value in enumerate(rising[::-1])]


def test_hidden_strengths_are_found(clips):
    strengths = [strength.mean(0) for strength in measured_strengths(clips, NAMES, FPS)]
    rising = torch.tensor([0.2, 0.4, 0.6, 0.8, 1.0])
    torch.testing.assert_close(torch.stack(strengths[3:8])[:, 0], rising, atol=0.08, rtol=0)
    torch.testing.assert_close(torch.stack(strengths[8:])[:, 1], rising.flip(0), atol=0.08, rtol=0)
    assert all(not bool(strength.any()) for strength in strengths[:3]), "neutral stays neutral"
    assert not torch.stack(strengths[3:8])[:, 1].any(), "no strength of an emotion that is not named"


def test_a_strength_that_changes_within_a_clip_is_followed(clips):
    ramp = torch.linspace(0.0, 1.0, 250)
    found = measured_strengths([*clips, _clip(ramp, 0, 99)], NAMES, FPS)[-1][:, 0]
    inside = slice(25, -25)
    assert (found - ramp)[inside].abs().mean() < 0.08
    assert found.diff().abs().max() < 0.05  # over 25 frames a second: no steps
    assert found.min() >= 0 and found.max() <= 1


def test_labels_that_say_more_than_a_name_are_kept(clips):
    graded = [*clips, _clip(_constant(0.9), 0, 30, label=2 / 3)]
    found = measured_strengths(graded, NAMES, FPS)
    for clip, strength in zip(graded, found, strict=True):
        torch.testing.assert_close(strength[:, 0], clip.emotion[:, 0])
    assert 0.1 < found[-2][:, 1].mean() < 0.3, "the other emotion has names alone, and is measured"


def test_each_person_has_a_scale_of_their_own(clips):
    shy = [
        _clip(0.4 * _constant(value), emotion, 40 + seed, person=1)
        for seed, (value, emotion) in enumerate([(0.0, None), (0.25, 0), (0.5, 0), (0.75, 0), (1.0, 0)])
    ]
    alone = measured_strengths(clips, NAMES, FPS)
    both = measured_strengths([*clips, *shy], NAMES, FPS)
    for expected, actual in zip(alone, both, strict=False):
        torch.testing.assert_close(actual, expected)
    assert both[-1][:, 0].mean() > 0.85 and 0.1 < both[-4][:, 0].mean() < 0.45


def test_without_neutral_clips_the_faces_zero_is_neutral(clips):
    found = measured_strengths(clips[3:], NAMES, FPS)
    means = torch.stack([strength[:, 0].mean() for strength in found[:5]])
    assert bool((means.diff() > 0).all())


def test_frames_without_a_face_are_filled_from_their_neighbours(clips):
    clip = clips[-1]
    broken = clip.expressions.clone()
    broken[40:60] = 50.0
    is_valid = clip.is_valid.clone()
    is_valid[40:60] = False
    hidden = ExpressionClip(clip.speech, clip.emotion, broken, is_valid)
    torch.testing.assert_close(
        measured_strengths([*clips[:-1], hidden], NAMES, FPS)[-1],
        measured_strengths(clips, NAMES, FPS)[-1],
        atol=0.1,
        rtol=0,
    )


def test_window_means_are_of_a_second_and_of_valid_frames():
    is_valid = torch.ones(200).bool()
    step = torch.arange(200)[:, None].ge(100).float()
    means = average_windows(step, is_valid, FPS)
    assert means[:75].max() == 0 and means[125:].min() == pytest.approx(1)
    assert means[99] == pytest.approx(0.48, abs=0.03)
    torch.testing.assert_close(average_windows(torch.ones(30, 2), torch.ones(30).bool(), FPS), torch.ones(30, 2))
    nowhere = average_windows(step, torch.zeros(200).bool(), FPS)
    assert not bool(nowhere.any()) and bool(nowhere.isfinite().all())


def test_an_emotion_that_looks_like_neutral_is_a_users_mistake():
    with pytest.raises(UserError, match="labelled 'happy'"):
        measured_strengths([ExpressionClip(*_still(None)), ExpressionClip(*_still(0))], NAMES, FPS)


def _still(emotion: int | None):
    labels = torch.zeros(50, 2)
    if emotion is not None:
        labels[:, emotion] = 1
    return torch.zeros(50, 1), labels, torch.full((50, 6), 0.1), torch.ones(50).bool()


def test_a_digital_actors_strengths_are_ranked_as_they_were_played():
    generator, space = np.random.default_rng(0), EmotionSpace(NAMES)
    character, clips, played = make_character(51), [], []
    for take in range(16):
        emotion = (None, 0, 1)[min(2, (take + 3) // 7)]  # four neutral, seven happy, five sad
        vector = torch.zeros(2)
        if emotion is not None:
            vector[emotion] = float(generator.uniform(0.1, 1))
        track = EmotionTrack.constant(space, vector)
        shown = play(character, take, [SENTENCES[take % 3]], track, fps=FPS, duration=4.0)
        labels = (shown.emotion > 0).float()
        is_valid = torch.ones(len(labels)).bool()
        clips.append(ExpressionClip(torch.zeros(len(labels), 1), labels, shown.expressions, is_valid))
        played.append(vector)
    found = torch.stack([strength.mean(0) for strength in measured_strengths(clips, NAMES, FPS)])
    for emotion in range(2):
        shown = torch.stack(played)[:, emotion] > 0
        correlation = spearmanr(found[shown, emotion], torch.stack(played)[shown, emotion]).statistic
        assert correlation >= 0.9, (NAMES[emotion], correlation)


def test_what_is_held_out_decides_nothing(clips):
    # The last happy clip would set the scale: its end is twice as happy as anything before.
    grown = [*clips[:7], _clip(torch.cat([_constant(1.0), _constant(2.0)]), 0, 14), *clips[8:]]
    known = [len(clip.speech) for clip in clips]
    for kept, whole in zip(
        measured_strengths(clips, NAMES, FPS, known), measured_strengths(clips, NAMES, FPS), strict=True
    ):
        assert torch.equal(kept, whole)
    first = measured_strengths(grown, NAMES, FPS, known)
    assert float(first[7][110:, 0].min()) == 1.0, "beyond full strength"
    assert float(first[6][:, 0].mean()) > 1.5 * float(measured_strengths(grown, NAMES, FPS)[6][:, 0].mean())
