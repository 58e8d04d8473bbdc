"""Make clip stores from your copy of MEAD (Wang et al., ECCV 2020).

Finds <actor>/video/<view>/<emotion>/level_<k>/<nnn>.mp4, takes the sound from
<actor>/audio/<emotion>/level_<k>/<nnn>.m4a where it is there, and labels each clip with its folder's emotion at
strength k/3; neutral is all zeros.

example: python preprocessing/mead.py ~/data/MEAD --out clips/mead --actors M003 W009 --jobs 4
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from recipe import Found, Item, constant_emotion, main, videos_below

LEVELS = 3
PATTERN = re.compile(
    r"(?P<actor>[MW]\d{3})/video/(?P<view>\w+)/"
    r"(?P<emotion>angry|contempt|disgusted|fear|happy|neutral|sad|surprised)/level_(?P<level>[123])/(?P<number>\d+)\.\w+"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """MEAD's own arguments."""
    parser.add_argument("--view", default="front", help="camera: front (default), down, left_30, right_30, …")
    parser.add_argument("--actors", nargs="+", metavar="ACTOR", help="only these, such as M003 W009")


def find(arguments: argparse.Namespace) -> Found:
    """Read emotion and level from the folders' names."""
    items, ignored = [], 0
    for video in videos_below(arguments.source):
        match = re.search(rf"(?:^|/){PATTERN.pattern}$", video.resolve().as_posix())
        if match is None:
            ignored += 1
        elif match["view"] == arguments.view and (not arguments.actors or match["actor"] in arguments.actors):
            emotion, level = match["emotion"], match["level"]
            store = f"{match['actor']}/{match['view']}_{emotion}_level{level}_{match['number']}"
            items.append(Item(video, store, constant_emotion(emotion, int(level) / LEVELS), _sound(video)))
    return Found(items, ignored)


def _sound(video: Path) -> Path | None:
    level, emotion, actor = video.parent, video.parent.parent, video.parents[4]
    sound = actor / "audio" / emotion.name / level.name / f"{video.stem}.m4a"
    return sound if sound.exists() else None


if __name__ == "__main__":
    sys.exit(main(__doc__, find, add_arguments))
