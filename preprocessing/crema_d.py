"""Make clip stores from your copy of CREMA-D (Cao et al., 2014).

Finds <actor>_<sentence>_<emotion>_<intensity>.flv (or .mp4), such as VideoFlash/1001_IEO_ANG_HI.flv: intensities LO, MD
and HI are strengths 1/3, 2/3 and 1. Eleven of the twelve sentences were recorded without an intensity (XX): these get
2/3, the middle of what the actors gave when they were asked for one. Neutral is all zeros.

example: python preprocessing/crema_d.py ~/data/CREMA-D/VideoFlash --out clips/crema_d --jobs 4
"""

from __future__ import annotations

import argparse
import re
import sys

from recipe import Found, Item, constant_emotion, main, videos_below

EMOTIONS = {"ANG": "angry", "DIS": "disgusted", "FEA": "fear", "HAP": "happy", "NEU": "neutral", "SAD": "sad"}
STRENGTHS = {"LO": 1 / 3, "MD": 2 / 3, "HI": 1.0, "XX": 2 / 3, "X": 2 / 3}
"""One file of the dataset ends in a single X."""
PATTERN = re.compile(r"(?P<actor>\d{4})_(?P<sentence>[A-Z]{3})_(?P<emotion>[A-Z]{3})_(?P<intensity>[A-Z]{1,2})")


def find(arguments: argparse.Namespace) -> Found:
    """Read emotion and intensity from the files' names."""
    items, ignored = [], 0
    for video in videos_below(arguments.source):
        match = PATTERN.fullmatch(video.stem)
        if match is None or match["emotion"] not in EMOTIONS or match["intensity"] not in STRENGTHS:
            ignored += 1
            continue
        emotion = constant_emotion(EMOTIONS[match["emotion"]], STRENGTHS[match["intensity"]])
        items.append(Item(video, f"{match['actor']}/{video.stem}", emotion))
    return Found(items, ignored)


if __name__ == "__main__":
    sys.exit(main(__doc__, find))
