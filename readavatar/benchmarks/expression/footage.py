"""The expression scorecard on footage: the held-out end of a fitted clip, against a ridge regression.

The regression predicts the mouth's opening from a few frames of speech features. It is the least that a network has to
beat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from rich.console import Console
from torch import Tensor

from readavatar.assets import find_asset
from readavatar.benchmarks.expression.motion import load_encoder_of
from readavatar.benchmarks.expression.sync import MOST_OFFSET, SyncJudge, find_judge
from readavatar.benchmarks.scorecard import Row, Score, print_scores
from readavatar.data.datasets.speech_features import clip_speech_features
from readavatar.data.store import ClipStore
from readavatar.data.store.avatar import Avatar, load_network
from readavatar.errors import UserError
from readavatar.expression import ExpressionGenerator, generate_expressions
from readavatar.expression.face_space import FaceSpace
from readavatar.media.frame_rate import resample_frames
from readavatar.metrics import motion_std, pearson_correlation, pooled_std
from readavatar.morphable import EXPRESSION_NAMES, load_morphable_model
from readavatar.progress import track
from readavatar.speech import SpeechEncoder, load_speech_encoder

REACH = 3
"""Frames to either side."""
NUM_FOLDS = 5
PENALTIES = tuple(10.0**exponent for exponent in range(0, 8))


def frame_windows(features: Float[Tensor, "T D"], reach: int = REACH) -> Float[Tensor, "T W"]:
    """Each frame's features beside those of ``reach`` frames on either side; the ends are repeated."""
    frames = torch.arange(len(features))[:, None] + torch.arange(-reach, reach + 1)
    return features[frames.clamp(0, len(features) - 1)].flatten(1)


def predict_by_ridge(
    features: Float[Tensor, "T W"],
    target: Float[Tensor, " T"],
    test: Float[Tensor, "U W"],
    penalties: Sequence[float] = PENALTIES,
) -> Float[Tensor, " U"]:
    """Ridge regression of standardised features, with the penalty that predicts left-out stretches best.

    Args:
        features: Of the training frames, in order.
        target: Likewise.
        test: Of the frames to predict.
        penalties: Candidates, compared by the mean correlation over ``NUM_FOLDS`` stretches, each left out in turn
            (neighbouring frames are similar, so that leaving out single frames would choose too weak a penalty).
    """
    scores = torch.zeros(len(penalties))
    for left_out in torch.arange(len(target)).chunk(NUM_FOLDS):
        kept = torch.ones(len(target), dtype=torch.bool)
        kept[left_out] = False
        predicted = _fit_and_predict(features[kept], target[kept], features[left_out], penalties)
        scores += pearson_correlation(predicted, target[left_out][:, None].expand_as(predicted))
    return _fit_and_predict(features, target, test, [penalties[int(scores.argmax())]])[:, 0]


def _fit_and_predict(
    features: Float[Tensor, "T W"], target: Float[Tensor, " T"], test: Float[Tensor, "U W"], penalties: Sequence[float]
) -> Float[Tensor, "U P"]:
    """Solved in the dual, since windows have more features than a clip has frames. One decomposition serves all
    penalties."""
    mean, std = features.mean(0), features.std(0).clamp(min=1e-6)
    features, test = ((each - mean).double() / std for each in (features, test))
    level = target.double().mean()
    values, vectors = torch.linalg.eigh(features @ features.mT)
    answer = vectors.mT @ (target.double() - level)
    shrunk = answer[:, None] / (values.clamp(min=0)[:, None] + torch.tensor(penalties, dtype=torch.float64))
    return (test @ (features.mT @ (vectors @ shrunk)) + level).float()


FOOTAGE = "footage"
NUM_SAMPLES = 8
WHISPER_LAYERS = (1, 2, 3, 4)
OF_MEAN = f"mouth opening: correlation, mean of {NUM_SAMPLES} samples"
OF_SAMPLES = "mouth opening: correlation of single samples"
OPENING_SPREAD = "mouth opening: standard deviation of each sample, over the real"
UPPER_SPREAD = "upper face: standard deviation of each sample, over the real"
SAMPLE_OFFSETS = "sync by an independent judge: offset of each sample"
REAL_OFFSET = "sync by an independent judge: offset of the real lips"
_AIMS_OF_MEAN = {"log_mel": 0.60, "whisper": 0.78}
"""By the encoder's name."""
_SPREAD_ROW = Row("ratio", at_least=0.9, at_most=1.1)


def bench_expression_footage(
    clip: str | Path,
    avatar: str | Path | None = None,
    held_out: float = 12.0,
    work: str | Path = "bench_expression",
    console: Console | None = None,
) -> dict[str, Score]:
    """Measure a ridge regression and, if given, an avatar on a clip's held-out end.

    Args:
        clip: A fitted clip with sound.
        avatar: Trained on the clip without its last ``held_out`` seconds, or on other people.
        held_out: Seconds.
        work: Folder that keeps the sync judge.
        console: Where a table of the scores is printed; by default nowhere.

    Returns:
        By ``footage: row``. An avatar's spreads are means over the samples with their range; they hold if all samples
        do.

    Raises:
        UserError: The clip is not fitted, has no sound or is too short; or the avatar has another morphable model.
    """
    store = ClipStore(clip)
    face = store.tracking()
    count = round(held_out * store.fps)
    if not 0 < count <= store.num_frames // 2:
        raise UserError(
            f"Expected a held-out end of more than 0 s and at most half of '{clip}' ({store.num_frames / store.fps:.1f}"
            f" s), but got {held_out} s."
        )
    space = FaceSpace(load_morphable_model(face.morphable_model))
    true, seen = face.coefficients.expression_coefficients, store.landmarks().landmark_confidence > 0
    scores = {f"{FOOTAGE}: {name}": score for name, score in ridge_scores(store, space, true, seen, count).items()}
    if avatar is not None:
        samples = draw_samples(avatar, store)
        encoder = Avatar(avatar).part_config("expression")["speech_encoder"]["name"]
        held = [each[-count:][seen[-count:]] for each in (*samples, true)]
        measured = sample_scores(torch.stack(held[:-1]), held[-1], space, _AIMS_OF_MEAN.get(encoder))
        if set(face.expression_names) == set(EXPRESSION_NAMES):
            columns = [face.expression_names.index(name) for name in EXPRESSION_NAMES]
            measured |= sync_scores(store, true[:, columns], samples[..., columns], find_judge(work))
        scores |= {f"{FOOTAGE}: {name}": score for name, score in measured.items()}
    if console is not None:
        print_scores(f"expression, the last {held_out:g} s of {store.path.name}", FOOTAGE, scores, [], console)
    return scores


def sample_scores(
    samples: Float[Tensor, "S T E"], true: Float[Tensor, "T E"], space: FaceSpace, least_of_mean: float | None = None
) -> dict[str, Score]:
    """Correlation and spread of motions generated for one sound, against the real one.

    Many motions fit one sound. A single sample correlates less than the mean of samples, and the mean moves less than a
    single sample; both are reported.

    Args:
        samples: S generated motions.
        true: As tracked.
        space: Converts coefficients to distances on the face.
        least_of_mean: The aim for the mean's correlation.
    """
    opening, openings = space.opening(true), [space.opening(sample) for sample in samples]
    upper = pooled_std([space.displacement("upper_face", true)])
    uppers = [pooled_std([space.displacement("upper_face", sample)]) / upper for sample in samples]
    of_mean = float(pearson_correlation(space.opening(samples.mean(0)), opening))
    row = Row("r", at_least=least_of_mean)
    return {
        OF_MEAN: Score(of_mean, of_mean, of_mean, "r", row.aim, 1, row.holds(of_mean)),
        OF_SAMPLES: _over_samples(Row("r"), [float(pearson_correlation(each, opening)) for each in openings]),
        OPENING_SPREAD: _over_samples(
            _SPREAD_ROW, [float(motion_std(each) / motion_std(opening)) for each in openings]
        ),
        UPPER_SPREAD: _over_samples(Row("ratio"), uppers),
    }


def sync_scores(
    store: ClipStore, true: Float[Tensor, "T E"], samples: Float[Tensor, "S T E"], judge: SyncJudge
) -> dict[str, Score]:
    """By how many frames each sample is late, and the real lips; over the whole clip, since 12 s are too short.

    Args:
        store: The clip, for its sound.
        true: As tracked, in the order of ``EXPRESSION_NAMES``.
        samples: S generated motions, in the same order.
        judge: The sync judge.
    """
    waveform, fps = store.waveform(), store.fps
    asked = Row("frames", at_least=-MOST_OFFSET, at_most=MOST_OFFSET)
    scores = {}
    for name, row, motions in ((REAL_OFFSET, Row("frames"), [true]), (SAMPLE_OFFSETS, asked, list(samples))):
        found = [judge.offset(waveform, motion, fps) for motion in motions]
        if frames := [offset.frames for offset in found if offset is not None and offset.is_sure]:
            scores[name] = _over_samples(row, frames)
    return scores


def _over_samples(row: Row, values: list[float]) -> Score:
    """The mean with the range. It holds if all values do."""
    holds = None if row.holds(values[0]) is None else all(row.holds(value) for value in values)
    return Score(sum(values) / len(values), min(values), max(values), row.unit, row.aim, len(values), holds)


def draw_samples(avatar: str | Path, store: ClipStore) -> Float[Tensor, "S T E"]:
    """Generate motions for a clip's sound and labelled emotion, at the clip's frame rate.

    Raises:
        UserError: The avatar's expressions are not those that the clip was fitted with.
    """
    part = Avatar(avatar).part("expression")
    face = store.tracking()
    if tuple(part.config["expression_names"]) != tuple(face.expression_names):
        raise UserError(
            f"Expected a clip fitted with '{part.config['morphable_model']}' as the avatar '{avatar}' was, but "
            f"'{store.path}' is fitted with '{face.morphable_model}'."
        )
    generator, encoder = load_network(ExpressionGenerator(**part.config["network"]), part), load_encoder_of(avatar)
    fps, count = float(part.config["fps"]), store.num_frames
    count = count if fps == store.fps else math.ceil(count / store.fps * fps) + 1
    speech = encoder.encode(store.waveform(), fps, count)
    emotion = _labels(store, tuple(part.config["emotion_names"]), count, fps)
    drawn = [generate_expressions(generator, speech, emotion, seed=seed) for seed in range(NUM_SAMPLES)]
    if fps != store.fps:
        drawn = [resample_frames(each, fps, store.fps, store.num_frames) for each in drawn]
    return torch.stack(drawn)


def _labels(store: ClipStore, names: tuple[str, ...], num_frames: int, fps: float) -> Float[Tensor, "T N"]:
    emotion, labels = torch.zeros(num_frames, len(names)), store.emotion()
    if labels is not None:
        sampled = labels.sample_frames(num_frames, fps)
        for column, name in enumerate(labels.space.names):
            if name in names:
                emotion[:, names.index(name)] = sampled[:, column]
    return emotion


def ridge_scores(
    store: ClipStore, space: FaceSpace, true: Float[Tensor, "T E"], seen: Bool[Tensor, " T"], count: int
) -> dict[str, Score]:
    """Correlation and spread of the mouth's opening, predicted from each installed encoder."""
    opening, scores = space.opening(true), {}
    training, test = torch.nonzero(seen[:-count])[:, 0], torch.nonzero(seen[-count:])[:, 0] + len(seen) - count
    for what, encoder in track(_encoders(), "ridge regressions"):
        windows = frame_windows(clip_speech_features(store, encoder, store.fps, store.num_frames))
        predicted = predict_by_ridge(windows[training], opening[training], windows[test])
        correlation = float(pearson_correlation(predicted, opening[test]))
        spread = float(motion_std(predicted) / motion_std(opening[test]))
        name = f"ridge, ±{REACH} frames, {what}"
        scores[f"{name}: correlation"] = Score(correlation, correlation, correlation, "r", "", 1)
        scores[f"{name}: standard deviation"] = Score(spread, spread, spread, "ratio", "", 1)
    return scores


def _encoders() -> list[tuple[str, SpeechEncoder]]:
    encoders = [("log-mel", load_speech_encoder("log_mel"))]
    if find_asset("whisper_tiny_en"):
        encoders += [
            (f"Whisper layer {layer}", load_speech_encoder("whisper", layers=[layer])) for layer in WHISPER_LAYERS
        ]
    return encoders
