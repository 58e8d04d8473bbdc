"""The appearance scorecard on a recording: an avatar speaks it with every emotion, and is compared with real frames."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from readavatar.benchmarks.appearance.identity import (
    Embed,
    Embedded,
    RealFaces,
    aligned_face,
    join_faces,
    likeness_among,
    likeness_to,
    load_embedding,
    real_faces,
)
from readavatar.benchmarks.appearance.painting import training_data
from readavatar.benchmarks.appearance.pictures import write_driven_sheet
from readavatar.benchmarks.scorecard import Row, Score, print_scores, summarise
from readavatar.data.store import ClipStore
from readavatar.data.store.avatar import Avatar
from readavatar.detection import FaceDetector
from readavatar.directing import animate
from readavatar.emotion import NEUTRAL, EmotionSpace
from readavatar.errors import UserError
from readavatar.gaze.judge import detected_landmarks
from readavatar.media.video import probe, read_video
from readavatar.progress import track

_LOGGER = logging.getLogger(__name__)

DRIVEN = "driven"
REAL_FRAMES, OTHER_PEOPLE = "likeness: the person's real frames, to each other", "likeness: other people's, to them"
ON_THE_WAY = "likeness of all emotions, from others' (0) to the person's own (100)"
NUM_MOMENTS = 8
"""For each clip, spread evenly."""
NUM_REFERENCES = 64
"""Real frames of the person. Of every other person there are ``NUM_MOMENTS``."""
_ROW = Row("proxy")


@dataclass(frozen=True)
class Driven:
    """Some moments of a clip in which the avatar speaks."""

    emotion: str
    strength: float
    frames: Float[Tensor, "M 3 H W"]
    """In [0, 1]."""
    landmarks: list[Float[Tensor, "478 2"] | None]
    """None where no face was detected."""
    seconds: list[float]


def bench_appearance_driven(
    avatar: str | Path,
    speech: str | Path,
    *,
    emotions: str = "all",
    strengths: str = "0.3,0.6,1.0",
    others: str | Path | None = None,
    work: str | Path = "bench_appearance",
    sheets: str | Path | None = None,
    console: Console | None = None,
) -> dict[str, Score]:
    """Let an avatar speak a recording with each emotion at each strength, by ``animate``.

    Args:
        avatar: An avatar with both parts.
        speech: A file with sound.
        emotions: Names separated by commas, or ``all``.
        strengths: Numbers in (0, 1], separated by commas.
        others: Folder that contains clip stores of other people, at any depth: their likeness is the lower bound.
        work: Folder for the clips.
        sheets: Folder for a contact sheet of each emotion.
        console: Where a table of the scores is printed; by default nowhere.

    Returns:
        By ``driven: measure``: how similar the rendered faces are to the person's real ones, by the proxy of
        ``benchmarks.appearance.identity``, where a face was detected.

    Raises:
        UserError: The avatar lacks an emotion or a part, or a strength is outside (0, 1].
    """
    opened = Avatar(avatar)
    opened.part_config("appearance")  # raises before anything is rendered
    chosen, levels = parse_emotions(emotions, opened.emotion_space), parse_strengths(strengths)
    references, embed = gather_references(opened, others), load_embedding()
    references_seen = {name: embed(each.faces) for name, each in references.items()}
    person = references_seen[REAL_FRAMES]
    clips = [(NEUTRAL, 0.0), *((emotion, strength) for emotion in chosen for strength in levels)]
    scores, all_values, by_emotion = {}, [], {}
    with ExitStack() as stack:
        detector = stack.enter_context(FaceDetector())
        for number, (emotion, strength) in enumerate(clips, 1):
            text = NEUTRAL if emotion == NEUTRAL else f"{emotion}:{strength:g}"
            _LOGGER.info("%s (%d of %d)", text, number, len(clips))
            path = Path(work) / DRIVEN / f"{opened.card.name}-{Path(speech).stem}-{text.replace(':', '-')}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            animate(avatar, speech, path, emotion=text, crop_only=True)
            driven = look_at(path, emotion, strength, detector)
            by_emotion.setdefault(emotion, []).append(driven)
            values = person_likeness(driven, person, embed)
            all_values += values
            scores[f"{DRIVEN}: likeness, {text}"] = summarise(_ROW, values)
            scores[f"{DRIVEN}: no face found, {text}"] = _share_missed(driven)
    scores |= reference_scores(references, references_seen, all_values)
    scores = {name: score for name, score in scores.items() if score is not None}
    if console is not None:
        print_scores(f"appearance, {opened.card.name} says {Path(speech).name}", DRIVEN, scores, [], console)
    if sheets is not None:
        for emotion in chosen:
            path = Path(sheets) / f"{opened.card.name}-{emotion}.png"
            rows = [*by_emotion[NEUTRAL], *(by_emotion[emotion] if emotion != NEUTRAL else [])]
            captions = [NEUTRAL if each.emotion == NEUTRAL else f"{each.emotion} {each.strength:g}" for each in rows]
            pictures, points = [each.frames for each in rows], [each.landmarks for each in rows]
            write_driven_sheet(path, pictures, points, captions, rows[0].seconds)
            _LOGGER.info("see '%s'", path)
    _LOGGER.info("the clips are in '%s'", Path(work) / DRIVEN)
    return scores


def parse_emotions(text: str, space: EmotionSpace) -> list[str]:
    """Names from ``happy,sad`` or ``all``.

    Raises:
        UserError: A name is not in the space, or the text holds more than names.
    """
    if text.strip() == "all":
        return list(space.names)
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise UserError(f"Expected emotions of {', '.join(space.names)} or all, but got none.")
    for name in names:
        if ":" in name or "+" in name:
            raise UserError(f"Expected names of emotions, and how strong they are as --strengths, but got '{name}'.")
        space.vector(name)
    return list(dict.fromkeys(names))


def parse_strengths(text: str) -> list[float]:
    """Numbers from ``0.3,0.6,1``, ascending.

    Raises:
        UserError: The text is not a list of numbers in (0, 1].
    """
    try:
        values = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        values = []
    if not values or not all(0 < value <= 1 for value in values):
        raise UserError(f"Expected strengths in (0, 1] such as 0.3,0.6,1, but got '{text}'.")
    return sorted(set(values))


def gather_references(avatar: Avatar, others: str | Path | None) -> dict[str, RealFaces]:
    """Real frames of the person's training clips, and of other people.

    Raises:
        UserError: ``others`` contains no clip store.
    """
    training = training_data(avatar.path)
    clips = [ClipStore(clip) for clip in (training[0] if training else []) if (clip / "clip.json").is_file()]
    references = {REAL_FRAMES: real_faces(clips or [avatar.footage], NUM_REFERENCES)}
    if others is not None:
        own = {store.path.resolve() for store in clips}
        found = [path.parent for path in sorted(Path(others).rglob("clip.json")) if path.parent.resolve() not in own]
        if not found:
            raise UserError(f"Expected clip stores of other people in '{others}', but found none.")
        references[OTHER_PEOPLE] = real_faces([ClipStore(path) for path in found], NUM_MOMENTS * len(found))
    return references


def look_at(path: Path, emotion: str, strength: float, detector: FaceDetector) -> Driven:
    """Read moments spread evenly over a clip, one frame in memory at a time, and detect the face in each."""
    video = probe(path)
    places = (torch.arange(NUM_MOMENTS) + 0.5) * video.num_frames / NUM_MOMENTS
    wanted = set(places.long().tolist())
    frames, landmarks, seconds = [], [], []
    reading = track(read_video(path, video.fps), "detecting faces", video.num_frames)
    for index, frame in enumerate(reading):
        if index in wanted:
            frames.append(torch.from_numpy(frame.copy()).permute(2, 0, 1).float() / 255)
            landmarks.append(detected_landmarks(detector, frames[-1]))
            seconds.append(index / float(video.fps))
    return Driven(emotion, strength, torch.stack(frames), landmarks, seconds)


def person_likeness(driven: Driven, person: Embedded, embed: Embed) -> list[float]:
    """The likeness of each moment with a face to the person."""
    pairs = zip(driven.frames, driven.landmarks, strict=True)
    faces = [aligned_face(frame, points) for frame, points in pairs if points is not None]
    return likeness_to(person, embed(join_faces(faces))).tolist() if faces else []


def reference_scores(
    references: dict[str, RealFaces], seen: dict[str, Embedded], painted: Sequence[float]
) -> dict[str, Score | None]:
    """The likeness of real frames and of other people, and where the rendered faces lie between them."""
    own = likeness_among(seen[REAL_FRAMES], references[REAL_FRAMES])
    scores = {f"{DRIVEN}: {REAL_FRAMES}": summarise(_ROW, own.tolist())}
    if OTHER_PEOPLE in seen:
        floor = likeness_to(seen[REAL_FRAMES], seen[OTHER_PEOPLE])
        scores[f"{DRIVEN}: {OTHER_PEOPLE}"] = summarise(_ROW, floor.tolist())
        low, high = float(floor.mean()), float(own.mean()) if len(own) else math.nan
        scores[f"{DRIVEN}: {ON_THE_WAY}"] = summarise(
            Row("%"), [100 * (value - low) / (high - low) for value in painted]
        )
    return scores


def _share_missed(driven: Driven) -> Score | None:
    """Per cent of the moments without a face; None if every moment shows one."""
    missed = [100.0 * (points is None) for points in driven.landmarks]
    return summarise(Row("%"), missed) if any(missed) else None
