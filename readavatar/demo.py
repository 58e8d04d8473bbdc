"""The main job, whole, on a person who does not exist.

The digital actor is filmed neutral, happy and angry; the footage is fitted, the two networks are trained on it for a
few minutes, and the actor then says a sentence that was never filmed, changing from neutral through happy to angry.
Every step leaves its result in the output folder and is skipped when the result is there.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import soundfile

from readavatar.directing import animate
from readavatar.directing.report import write_contact_sheet, write_curves, write_report
from readavatar.emotion import EmotionSpace, EmotionTrack
from readavatar.files import replacing_file
from readavatar.media.video import read_video

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
"""What the actor says on film, by emotion."""

NEW_SENTENCE = (
    "Good evening. I never said these words before, but my face knows how. Now look at me, and mind the mood."
)
DIRECTION = "0s neutral, 1.2s neutral, 2.4s happy:1, 3.6s happy:1, 4.8s angry:1"
CURVES = ("jawOpen", "mouthSmile_L", "mouthFunnel", "browDown_L", "browInnerUp_L", "eyeBlink_L")


@dataclass(frozen=True)
class DemoScale:
    """How large a demo is."""

    size: int
    """Pixels of the frames."""
    sentences: int
    """Filmed in each emotion, at most."""
    config: str
    """Which of each stage's configs to add to its default."""


SCALES = {"full": DemoScale(160, 3, "fast"), "quick": DemoScale(96, 1, "quick")}


def run_demo(out: str | Path, fit: Callable[[list[str]], int], scale: str = "full", seed: int = 0) -> Path:
    """Make the demo; what an earlier run finished is not done again.

    Args:
        out: Folder for everything.
        fit: Runs ``fit`` with a command line's arguments (the command line's own, so that this is the user's path).
        scale: One of ``SCALES``.
        seed: Which actor.

    Returns:
        ``out / "clip.mp4"``.
    """
    from readavatar.synthetic import write_actor_clip
    from readavatar.synthetic.voice import synthesise

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
            )

    def train(stage: str) -> Callable[[], None]:
        command = [
            "fit",
            "--config",
            f"configs/{stage}/default.yaml",
            "--config",
            f"configs/{stage}/{settings.config}.yaml",
        ]
        command += ["--data.clips", json.dumps([str(clip) for clip in clips.values()]), "--avatar", str(out / "avatar")]
        return lambda: fit(command)

    def speak() -> None:
        speech = synthesise(NEW_SENTENCE)
        with replacing_file(out / "speech.wav") as temporary:
            soundfile.write(temporary, speech.waveform.numpy(), speech.sample_rate)

    steps.run("film the actor", film)
    for stage in ("tracking", "expression", "appearance"):
        steps.run(f"train {stage}" if stage != "tracking" else "fit the footage", train(stage))
    steps.run("speak a new sentence", speak)
    steps.run("animate", lambda: animate(out / "avatar", out / "speech.wav", out / "clip.mp4", emotion=DIRECTION))
    return out / "clip.mp4"


class _Steps:
    """Runs named steps once each; the record of those that are done is on disk."""

    def __init__(self, path: Path, settings: dict) -> None:
        self.path, self.settings = path, settings
        record = json.loads(path.read_text()) if path.exists() else {}
        self.seconds: dict[str, float] = record["seconds"] if record.get("settings") == settings else {}

    def run(self, name: str, action: Callable[[], object]) -> None:
        if name in self.seconds:
            print(f"{name}: done before ({self.seconds[name]:.0f} s)")
            return
        print(f"{name} …", flush=True)
        start = time.monotonic()
        action()
        self.seconds[name] = round(time.monotonic() - start, 1)
        with replacing_file(self.path) as temporary:
            temporary.write_text(json.dumps({"settings": self.settings, "seconds": self.seconds}, indent=1))
