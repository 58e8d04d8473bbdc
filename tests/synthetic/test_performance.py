"""The actor's acting: closures, emotion, behaviour, and that it is random only by its seed."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from readavatar.emotion import MEAD_EMOTIONS, EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.morphable import EXPRESSION_NAMES, load_morphable_model
from readavatar.morphable.model import look_expressions
from readavatar.synthetic.behaviour import behave
from readavatar.synthetic.emotions import LOWER_EXPONENT, PATTERNS, emotional_expressions
from readavatar.synthetic.performance import perform
from readavatar.synthetic.sentences import SENTENCES
from readavatar.synthetic.visemes import articulate, mouth_expressions, visemes_of
from readavatar.synthetic.voice import VOICES, Phoneme, silence, speak

SPACE = EmotionSpace()
BILABIAL_TEXT = "Bob moved my map above the piano. Put up the big umbrella."


def _perform(emotion: str = "neutral", text: str | None = BILABIAL_TEXT, seed: int = 0, fps: float = 25, **options):
    track = EmotionTrack.parse(emotion, SPACE)
    if text is None:
        speech = silence(options.pop("duration", 1.0))
    else:
        speech = speak([text], voice=VOICES[0], emotion=track, seed=seed)
    return perform(speech, track, fps=fps, seed=seed, **options)


def _expression(performance, name: str) -> np.ndarray:
    return performance.coefficients.expression_coefficients[:, EXPRESSION_NAMES.index(name)].numpy()


def _lip_gap(performance) -> np.ndarray:
    """Millimetres between the inner lips of the built-in head, the widest of three places."""
    model = load_morphable_model("builtin")
    shape = torch.zeros(1, model.num_shape)
    landmarks = model.landmarks_3d(model(shape, performance.coefficients.expression_coefficients))
    gaps = landmarks[:, [61, 62, 63], 1] - landmarks[:, [67, 66, 65], 1]
    return 1000 * gaps.amax(1).numpy()


def _frames_of(performance, symbols: str) -> list[list[int]]:
    num_frames = performance.coefficients.num_frames
    found = []
    for phoneme in performance.phonemes:
        if phoneme.symbol and phoneme.symbol in symbols:
            inside = [i for i in range(num_frames) if phoneme.start <= (i + 0.5) / performance.fps < phoneme.end]
            found.append(inside or [min(int(phoneme.start * performance.fps), num_frames - 1)])
    return found


@pytest.mark.parametrize("emotion", ["neutral", *MEAD_EMOTIONS, "happy:0.6+surprised:0.7"])
def test_lips_close_at_every_bilabial_in_every_emotion(emotion):
    performance = _perform(emotion)
    gap = _lip_gap(performance)
    closures = _frames_of(performance, "pbm")
    assert len(closures) >= 10
    assert max(gap[frames].min() for frames in closures) < 1.0
    assert gap.max() > 8.0  # and they open in between


@pytest.mark.parametrize("fps", [24, 25, 30, 60])
def test_no_bilabial_falls_between_two_frames(fps):
    performance = _perform(fps=fps)
    closed = _expression(performance, "mouthClose") > 0.95 * _expression(performance, "jawOpen")
    assert all(closed[max(frames[0] - 1, 0) : frames[-1] + 1].any() for frames in _frames_of(performance, "pbm"))


def test_mouth_close_never_exceeds_the_jaw():
    performance = _perform("surprised")
    assert (_expression(performance, "mouthClose") <= _expression(performance, "jawOpen") + 1e-6).all()


def test_rounded_and_spread_vowels_differ():
    def shape_of(symbol: str) -> dict[str, float]:
        phonemes = (Phoneme("", 0.0, 0.2), Phoneme(symbol, 0.2, 0.5, 1.0), Phoneme("", 0.5, 0.7))
        shapes = mouth_expressions(articulate(phonemes, np.array([0.35])))
        return {name: float(value[0]) for name, value in shapes.items()}

    who, he, ha, fee = shape_of("uː"), shape_of("iː"), shape_of("ɑː"), shape_of("f")
    assert who["mouthPucker"] > 0.4 > 0.05 > he["mouthPucker"]
    assert he["mouthStretch_L"] > who["mouthStretch_L"] + 0.1
    assert ha["jawOpen"] > he["jawOpen"] + 0.3
    assert fee["mouthRollLower"] > 0.4 and fee["jawOpen"] < 0.15


def test_coarticulation_brings_rounding_before_the_rounded_vowel():
    def rounding_in_s(vowel: str) -> float:
        phonemes = (Phoneme("", 0.0, 0.2), Phoneme("s", 0.2, 0.3), Phoneme(vowel, 0.3, 0.5), Phoneme("", 0.5, 0.8))
        return float(articulate(phonemes, np.array([0.27])).controls["round"][0])

    assert rounding_in_s("uː") > rounding_in_s("iː") + 0.2


def test_the_tongue_tells_sounds_apart_that_the_lips_do_not():
    def tongue_at(symbol: str) -> np.ndarray:
        phonemes = (Phoneme("ə", 0.0, 0.1), Phoneme(symbol, 0.1, 0.2), Phoneme("ə", 0.2, 0.3))
        controls = articulate(phonemes, np.array([0.15])).controls
        return np.array([controls["tongue_raise"][0], controls["tongue_advance"][0]])

    for first, second in combinations(("θ", "l", "k"), 2):
        assert np.abs(tongue_at(first) - tongue_at(second)).max() > 0.3, (first, second)


def test_sibilants_bite_and_other_sounds_of_a_closed_jaw_do_not():
    def bite_at(symbol: str) -> float:
        phonemes = (Phoneme("ə", 0.0, 0.1), Phoneme(symbol, 0.1, 0.2), Phoneme("ə", 0.2, 0.3))
        return float(articulate(phonemes, np.array([0.15])).controls["bite"][0])

    assert min(map(bite_at, "szʃʒ")) > 0.6 > 0.3 > max(map(bite_at, "θtnliufə"))


def test_long_silence_and_long_speech_are_articulated_alike():
    phonemes = (Phoneme("", 0.0, 600.0), Phoneme("ɑː", 600.0, 600.3, 1.0), Phoneme("", 600.3, 900.0))
    far = articulate(phonemes, np.arange(0, 900, 0.04)).controls
    near = articulate(phonemes, np.arange(600, 600.3, 0.04)).controls
    for name, values in near.items():
        assert np.isfinite(far[name]).all()
        assert np.allclose(far[name][15000 : 15000 + len(values)], values, atol=1e-5), name
    assert far["jaw"][:14000].max() < 1e-6


def test_diphthongs_and_affricates_have_two_visemes_and_silence_has_its_own():
    assert len(visemes_of("aɪ")) == len(visemes_of("tʃ")) == 2
    assert visemes_of("") != visemes_of("ə")


def test_jaw_opening_follows_the_sound_within_two_frames():
    for seed, emotion in ((0, "neutral"), (1, "happy"), (2, "sad")):
        performance = _perform(emotion, " ".join(SENTENCES[seed * 3 : seed * 3 + 3]), seed=seed)
        num_frames = performance.coefficients.num_frames
        energy = performance.waveform.reshape(num_frames, -1).square().mean(1).sqrt().numpy()
        jaw = _expression(performance, "jawOpen")
        energy, jaw = (energy - energy.mean()) / energy.std(), (jaw - jaw.mean()) / jaw.std()
        lags = range(-8, 9)
        agreement = [np.mean(energy[8:-8] * jaw[8 + lag : num_frames - 8 + lag]) for lag in lags]
        assert abs(lags[int(np.argmax(agreement))]) <= 2 and max(agreement) > 0.3


def test_without_emotion_nothing_of_a_pattern_shows():
    neutral = _perform("neutral", None, style=None)
    for name in ("mouthSmile_L", "browDown_L", "noseSneer_L", "mouthFrown_R", "cheekSquint_R", "eyeWide_L"):
        assert not _expression(neutral, name).any(), name
    assert all(not values.any() for values in emotional_expressions(np.zeros((3, 7)), MEAD_EMOTIONS).values())


def test_every_emotion_has_its_own_pattern_over_the_face():
    assert set(PATTERNS) == set(MEAD_EMOTIONS)
    vectors = {
        emotion: np.array([PATTERNS[emotion].get(name, 0.0) for name in EXPRESSION_NAMES]) for emotion in PATTERNS
    }
    for emotion, pattern in PATTERNS.items():
        assert set(pattern) <= set(EXPRESSION_NAMES) and max(pattern.values()) <= 1, emotion
        assert any(name.startswith("brow") for name in pattern) and any(name.startswith("mouth") for name in pattern)
    for first, second in combinations(vectors, 2):
        cosine = vectors[first] @ vectors[second] / np.linalg.norm(vectors[first]) / np.linalg.norm(vectors[second])
        assert cosine < 0.8, (first, second)


def test_strength_is_monotone_but_not_linear():
    strengths = np.linspace(0, 1, 11)
    for column, emotion in enumerate(MEAD_EMOTIONS):
        felt = np.zeros((11, 7))
        felt[:, column] = strengths
        for name, values in emotional_expressions(felt, MEAD_EMOTIONS).items():
            if name in PATTERNS[emotion]:
                assert (np.diff(values) > 0).all(), (emotion, name)
    felt = np.zeros((1, 7))
    felt[0, MEAD_EMOTIONS.index("happy")] = 0.5
    half = emotional_expressions(felt, MEAD_EMOTIONS)
    assert half["mouthSmile_L"][0] == pytest.approx(PATTERNS["happy"]["mouthSmile_L"] * 0.5**LOWER_EXPONENT)
    assert half["cheekSquint_L"][0] < 0.4 * PATTERNS["happy"]["cheekSquint_L"]


def test_mixtures_add_with_saturation():
    mixed = emotional_expressions(np.ones((1, 7)), MEAD_EMOTIONS)
    assert all(0 <= values[0] <= 1 for values in mixed.values())
    single = np.zeros((1, 7))
    single[0, MEAD_EMOTIONS.index("surprised")] = 1
    alone = emotional_expressions(single, MEAD_EMOTIONS)
    assert all(mixed[name][0] >= values[0] for name, values in alone.items())


def test_emotion_also_changes_how_far_speech_opens_the_mouth():
    assert _expression(_perform("angry"), "jawOpen").max() > _expression(_perform("sad"), "jawOpen").max() + 0.1


def test_emotion_changes_the_blinks():
    def blinks_a_minute(emotion: str) -> float:
        blink = _expression(_perform(emotion, None, duration=240.0), "eyeBlink_L")
        return int(((blink[1:] > 0.5) & (blink[:-1] <= 0.5)).sum()) / 4

    neutral, fear, surprised = (blinks_a_minute(emotion) for emotion in ("neutral", "fear", "surprised"))
    assert 10 < neutral < 25 and fear > neutral > surprised


def test_blinks_close_fully_and_last_as_long_as_people_s():
    times = np.arange(0, 120, 0.005)
    blink = behave(times, (), np.full(len(times), 0.3), np.ones(len(times)), np.random.default_rng(0)).blink
    assert blink.max() == 1 and blink.min() == 0
    edges = np.diff(np.concatenate([[0], (blink > 0.01).astype(int), [0]]))
    lengths = 0.005 * (np.flatnonzero(edges == -1) - np.flatnonzero(edges == 1))
    assert len(lengths) > 15 and 0.15 < np.median(lengths) < 0.3


def test_saccades_are_fast_and_small_and_lids_follow_the_gaze():
    times = np.arange(0, 120, 0.005)
    gaze = behave(times, (), np.full(len(times), 0.3), np.ones(len(times)), np.random.default_rng(0)).gaze_target
    speed = np.degrees(np.linalg.norm(np.diff(gaze, axis=0), axis=1)) / 0.005
    assert 150 < speed.max() < 700  # the main sequence's peak velocities for up to 25°
    assert np.mean(speed < 1) > 0.9  # fixations
    assert np.degrees(np.abs(gaze).max()) < 25
    down = look_expressions(torch.tensor([[0.2, -0.3]]))
    assert down["eyeLookDown_L"][0] > 0.4 and down["eyeLookOut_L"][0] > 0.3 and down["eyeLookOut_R"][0] == 0


def test_the_eyes_stay_on_their_target_while_the_head_turns():
    coefficients = _perform("neutral", None, duration=30.0).coefficients
    looking_at = coefficients.gaze + torch.stack([coefficients.rotation[:, 1], -coefficients.rotation[:, 0]], 1)
    steps = looking_at.diff(dim=0).abs().amax(1)
    assert float((steps < 1e-5).float().mean()) > 0.8
    assert 1 < np.degrees(float(coefficients.rotation.abs().max())) < 20


def test_a_seed_gives_the_same_take_bit_for_bit_and_another_seed_another_one():
    first, again, other = _perform(seed=3), _perform(seed=3), _perform(seed=4)
    assert torch.equal(first.coefficients.expression_coefficients, again.coefficients.expression_coefficients)
    assert torch.equal(first.coefficients.gaze, again.coefficients.gaze)
    assert torch.equal(first.coefficients.rotation, again.coefficients.rotation)
    assert torch.equal(first.waveform, again.waveform) and torch.equal(first.tongue, again.tongue)
    assert torch.equal(first.bite, again.bite)
    assert not torch.equal(first.coefficients.rotation[:20], other.coefficients.rotation[:20])


def test_one_waveform_has_many_performances():
    track = EmotionTrack.constant(SPACE)
    speech = speak([BILABIAL_TEXT], voice=VOICES[0], emotion=track, seed=0)
    first, second = (perform(speech, track, fps=25, seed=seed) for seed in (1, 2))
    assert torch.equal(first.waveform, second.waveform) and torch.equal(first.tongue, second.tongue)
    assert np.allclose(_expression(first, "jawOpen"), _expression(second, "jawOpen"))
    brows = [_expression(take, "browOuterUp_L") for take in (first, second)]
    assert not np.allclose(*brows) and not torch.allclose(first.coefficients.gaze, second.coefficients.gaze)


def test_expressions_stay_within_their_bounds_in_the_strongest_mixture():
    everything = "+".join(f"{emotion}:1" for emotion in MEAD_EMOTIONS)
    values = _perform(everything).coefficients.expression_coefficients
    assert values.isfinite().all() and values.min() >= 0 and values.max() <= 1


def test_the_waveform_is_as_long_as_the_frames():
    for fps in (25, 30000 / 1001):
        performance = _perform(fps=fps)
        num_frames = performance.coefficients.num_frames
        assert len(performance.waveform) == round(num_frames / fps * 16_000)
        assert performance.tongue.shape == (num_frames, 2) and performance.bite.shape == (num_frames,)
        assert performance.emotion.shape == (num_frames, 7)


def test_a_muted_shot_keeps_its_mouth_shut_and_still_lives():
    performance = _perform("neutral", None, duration=20.0)
    assert performance.coefficients.num_frames == 500 and not performance.waveform.any()
    assert _lip_gap(performance).max() < 1.0
    assert _expression(performance, "eyeBlink_L").max() > 0.9 and performance.coefficients.gaze.std() > 0.01


def test_an_emotion_without_a_pattern_is_a_user_s_error():
    track = EmotionTrack.constant(EmotionSpace(("happy", "bored")))
    with pytest.raises(UserError, match="bored"):
        perform(silence(1.0), track, fps=25, seed=0)
