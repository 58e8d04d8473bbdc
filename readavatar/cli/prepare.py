"""Turn a video of one person into a clip store: frames around the face, sound, landmarks, masks.

example: readavatar prepare jane.mp4 --out clips/jane --emotion happy:0.66
"""

from __future__ import annotations

import argparse

_EMOTIONS = "angry,contempt,disgusted,fear,happy,sad,surprised"
"""``MEAD_EMOTIONS`` of ``readavatar.emotion``, whose import would take the seconds that help should not."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``prepare``'s arguments."""
    parser.add_argument("video", metavar="VIDEO", help="any video file with one person in it")
    parser.add_argument("--out", required=True, metavar="CLIP", help="folder to make, such as clips/jane")
    parser.add_argument("--size", type=int, default=256, metavar="PIXELS", help="height and width of the crop (256)")
    parser.add_argument("--fps", metavar="RATE", help="frames a second, such as 25 or 30000/1001 (the video's own)")
    parser.add_argument("--sound", metavar="FILE", help="the sound, where it is in a file of its own")
    parser.add_argument(
        "--emotion",
        metavar="EMOTION",
        help="what the person shows, such as happy:0.66, or keyframes '0s neutral, 3s sad:1' (unlabelled: neutral)",
    )
    parser.add_argument(
        "--emotions", metavar="NAMES", default=_EMOTIONS, help=f"names of the emotions, comma-separated ({_EMOTIONS})"
    )


def run(arguments: argparse.Namespace) -> None:
    """Prepare the video."""
    from readavatar.data.preparation.prepare import prepare_clip
    from readavatar.emotion import EmotionSpace, EmotionTrack

    space = EmotionSpace(tuple(name.strip() for name in arguments.emotions.split(",")))
    emotion = EmotionTrack.parse(arguments.emotion, space) if arguments.emotion else None
    store = prepare_clip(
        arguments.video, arguments.out, size=arguments.size, fps=arguments.fps, sound=arguments.sound, emotion=emotion
    )
    info = store.info
    print(
        f"{arguments.out}: {info.num_frames} frames of {info.size}×{info.size} at {store.fps:g} fps"
        f"{'' if info.has_audio else ', no sound'}. Next: readavatar fit --config configs/tracking/default.yaml "
        f"--data.clips {arguments.out}"
    )
