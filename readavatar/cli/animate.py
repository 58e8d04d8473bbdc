"""Say any audio with any emotion: the avatar's own footage, re-spoken.

example: readavatar animate avatars/jane --audio speech.wav --emotion "0s neutral, 2s happy:0.8" --out out.mp4
"""

from __future__ import annotations

import argparse

from readavatar.throughput import keep_freed_memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``animate``'s arguments."""
    parser.add_argument("avatar", metavar="AVATAR", help="an avatar's folder, such as avatars/jane")
    parser.add_argument("--audio", required=True, metavar="FILE", help="speech: any audio file, or a video's sound")
    parser.add_argument("--out", required=True, metavar="FILE.mp4", help="the clip to write")
    parser.add_argument(
        "--emotion",
        default="neutral",
        metavar="TRACK",
        help="'happy:0.8', '0s neutral, 1.5s happy:0.8, 4s happy:0.2+surprised:0.6', or a .json file (neutral)",
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed moves differently to the same speech (0)")
    parser.add_argument(
        "--style", metavar="NAME", help="move like another of the people that it was trained with (data.people)"
    )
    parser.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="where in the footage to begin (0)")
    parser.add_argument("--crop", action="store_true", help="write the face's crop alone, not the whole footage")
    parser.add_argument(
        "--device",
        default="auto",
        metavar="NAME",
        help="where to compute: cpu, cuda, cuda:1 or mps (auto: a GPU if there is one)",
    )


def run(arguments: argparse.Namespace) -> None:
    """Animate the avatar."""
    keep_freed_memory()
    from readavatar.directing import animate

    summary = animate(
        arguments.avatar,
        arguments.audio,
        arguments.out,
        emotion=arguments.emotion,
        seed=arguments.seed,
        style=arguments.style,
        start=arguments.start,
        crop_only=arguments.crop,
        device=arguments.device,
    )
    print(summary)
