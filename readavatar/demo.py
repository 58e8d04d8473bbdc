"""The demo: all steps from film to animated clip, on a digital actor.

The digital actor is filmed neutral, happy and angry; the footage is fitted, the two networks are trained on it for a
few minutes, and the actor then speaks sentences that were not filmed, first neutral, then happy, then angry. Every step
writes its result to the output folder, and is skipped if the result exists.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from readavatar.assets import find_asset
from readavatar.data.preparation.faces import select_person
from readavatar.data.store import ClipStore
from readavatar.detection import detect_video
from readavatar.directing import Animation, animate
from readavatar.directing.report import write_contact_sheet, write_curves, write_report
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.errors import UserError
from readavatar.files import replacing_file
from readavatar.media.video import read_video
from readavatar.media.waveform import SAMPLE_RATE, read_waveform
from readavatar.morphable import load_morphable_model
from readavatar.synthetic import make_actor, speak, write_actor_clip
from readavatar.training import train
from readavatar.viewer import view_clip

_LOGGER = logging.getLogger(__name__)

SENTENCES = {
    "neutral": (
        "The boat left the harbour before the morning fog had gone.",
        "Please put both of the blue maps back on the shelf.",
        "We measured every room twice and wrote the figures down.",
    ),
    "happy": (
        "My brother found a puppy by the river on Monday.",
        "They baked a loaf of bread and shared it with the whole village.",
    ),
    "angry": (
        "Nobody moved the old van from the front of the shop.",
        "You promised to bring the papers back by five.",
    ),
}
"""Sentences on film, by emotion."""

NEW_SENTENCES = (
    "Good evening.",
    "I never said these words before, but my face knows how.",
    "Now look at me, and mind the mood.",
)
DIRECTION = "0s neutral, 1.1s neutral, 1.6s happy:1, 4.6s happy:1, 5.2s angry:1"
"""One emotion for each sentence; the voice has the emotion at the sentence's beginning."""

MODEL = "builtin"
ZOOM = 1.2
"""The head nearly fills the frame, since there are few pixels."""
SHEET_FRAMES = 18
FIT_PAGE = "fit.html"
VIEWED = "happy"
"""The filmed clip whose fit the report shows."""
VIEWED_SECONDS, VIEWED_SIZE = 3.0, 192
CURVES = ("jawOpen", "mouthSmile_L", "mouthFunnel", "browDown_L", "browInnerUp_L", "eyeBlink_L")


@dataclass(frozen=True)
class DemoScale:
    """Size of a demo."""

    size: int
    """Pixels of the frames."""
    sentences: int
    """Largest number of sentences filmed in each emotion."""
    config: str
    """Name of the config of each stage that is applied over its default."""


SCALES = {"full": DemoScale(160, 3, "fast"), "quick": DemoScale(96, 1, "quick")}


def run_demo(out: str | Path, scale: str = "full", seed: int = 0) -> Path:
    """Make the demo; steps that an earlier run finished are skipped.

    Args:
        out: Folder for all results.
        scale: One of ``SCALES``.
        seed: Of the actor.

    Returns:
        ``out / "clip.mp4"``.
    """
    out = Path(out)
    settings = SCALES[scale]
    space = EmotionSpace()
    steps = _Steps(out / "steps.json", {"scale": scale, "seed": seed})
    clips = {name: out / "clips" / name for name in SENTENCES}

    def film() -> None:
        for index, (name, sentences) in enumerate(SENTENCES.items()):
            emotion = EmotionTrack.parse(name if name == "neutral" else f"0s {name}:0.4, 4s {name}:1", space)
            write_actor_clip(
                clips[name],
                seed=seed,
                take=index,
                sentences=list(sentences[: settings.sentences]),
                emotion=emotion,
                size=settings.size,
                zoom=ZOOM,
                morphable_model=MODEL,
            )
        steps.note("landmarks", _see(list(clips.values())))

    def learn(stage: str) -> Callable[[], object]:
        return lambda: train(
            stage,
            list(clips.values()),
            configs=[f"configs/{stage}/{settings.config}.yaml"],
            overrides={"model.morphable_model": MODEL} if stage == "tracking" else {},
            avatar=out / "avatar",
            progress=True,
        )

    def show() -> None:
        view_clip(clips[VIEWED], out / FIT_PAGE, stop=VIEWED_SECONDS, size=VIEWED_SIZE)

    def say() -> None:
        voice = make_actor(seed, load_morphable_model(MODEL)).voice
        speech = speak(NEW_SENTENCES, voice=voice, emotion=EmotionTrack.parse(DIRECTION, space), seed=seed)
        with replacing_file(out / "speech.wav") as temporary:
            soundfile.write(temporary, speech.waveform.numpy(), SAMPLE_RATE)

    def direct() -> None:
        animation = animate(out / "avatar", out / "speech.wav", out / "clip.mp4", emotion=DIRECTION, seed=seed)
        _picture(out, animation)

    steps.run("film the actor", film)
    steps.run("fit the footage", learn("tracking"))
    steps.run("show the fit", show)
    for stage in ("expression", "appearance"):
        steps.run(f"train {stage}", learn(stage))
    steps.run("speak a new sentence", say)
    steps.run("animate", direct)
    _write_report(out, steps, scale)
    return out / "clip.mp4"


def _see(clips: list[Path]) -> str:
    """Replace the projected landmarks by the detector's if it is installed; returns the landmarks' source as text."""
    projected = "its own projected landmarks"
    if importlib.util.find_spec("mediapipe") is None or find_asset("face_landmarker") is None:
        return f"{projected} (the face detector is not on this machine: 'readavatar assets get face_landmarker')"
    stores = [ClipStore(clip) for clip in clips]
    seen = []
    for store in stores:
        size, frames = store.info.size, (store.frame(index) for index in range(store.num_frames))
        try:
            seen.append(select_person(detect_video(frames), size, size, store.fps, store.path.name).landmarks)
        except UserError as error:
            return f"{projected} (the face detector failed: {error})"
    for store, landmarks in zip(stores, seen, strict=True):
        store.write_landmarks(landmarks)
    return "the face detector's landmarks"


def _picture(out: Path, animation: Animation) -> None:
    """The contact sheet and the curves of the new clip."""
    frames = list(read_video(out / "clip.mp4"))
    shown = np.linspace(0, len(frames) - 1, SHEET_FRAMES).round().astype(int)
    space = EmotionSpace(animation.emotion_names)
    captions = [
        f"{(i + 0.5) / animation.fps:.1f} s {space.describe(animation.emotion[i].round(decimals=1))}" for i in shown
    ]
    write_contact_sheet(out / "contact_sheet.png", [frames[i] for i in shown], captions)
    write_curves(
        out / "curves.png",
        animation.fps,
        read_waveform(out / "speech.wav", SAMPLE_RATE),
        SAMPLE_RATE,
        animation.emotion,
        animation.emotion_names,
        animation.expressions,
        animation.expression_names,
        CURVES,
    )


def _write_report(out: Path, steps: _Steps, scale: str) -> None:
    note = (
        f"The digital actor (the built-in head) speaks sentences that were not filmed: '{' '.join(NEW_SENTENCES)}' The "
        f"requested emotion is '{DIRECTION}'. The actor was filmed for the demo in three emotions and fitted from "
        f"{steps.notes['landmarks']}. Everything here is synthetic."
    )
    rows = [(name, f"{value:.0f} s") for name, value in steps.seconds.items()]
    rows.append(("all", f"{sum(steps.seconds.values()):.0f} s"))
    pictures = {
        "Frames of the clip, and the requested emotion": out / "contact_sheet.png",
        "Sound, requested emotion and generated motion": out / "curves.png",
    }
    title = "readavatar demo" + (" (quick: low quality, to check the installation)" if scale == "quick" else "")
    pages = {f"The {VIEWED} footage and its fit, frame by frame (dashed: the actor's truth)": FIT_PAGE}
    write_report(out / "report.html", title, "clip.mp4", pictures, rows, note, pages)


class _Steps:
    """Runs named steps once each; finished steps are recorded on disk."""

    def __init__(self, path: Path, settings: dict) -> None:
        self.path, self.settings = path, settings
        record = json.loads(path.read_text()) if path.exists() else {}
        record = record if record.get("settings") == settings else {}
        self.seconds: dict[str, float] = record.get("seconds", {})
        self.notes: dict[str, str] = record.get("notes", {})

    def run(self, name: str, action: Callable[[], object]) -> None:
        """Run a step if no earlier run did."""
        if name in self.seconds:
            _LOGGER.info("%s: done before (%.0f s)", name, self.seconds[name])
            return
        _LOGGER.info("%s …", name)
        start = time.monotonic()
        action()
        self.seconds[name] = round(time.monotonic() - start, 1)
        with replacing_file(self.path) as temporary:
            record = {"settings": self.settings, "seconds": self.seconds, "notes": self.notes}
            temporary.write_text(json.dumps(record, indent=1))

    def note(self, name: str, text: str) -> None:
        """Log a text, and add it to the report."""
        _LOGGER.info("%s: %s", name, text)
        self.notes[name] = text
