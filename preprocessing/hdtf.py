"""Make clip stores from your copy of HDTF (Zhang et al., CVPR 2021), or of any folder of unlabelled videos.

Takes every video below the folder; the clips get the videos' names and no emotion (unlabelled clips train the tracking
and the appearance stage).

example: python preprocessing/hdtf.py ~/data/HDTF --out clips/hdtf --limit 20
"""

from __future__ import annotations

import argparse
import sys

from recipe import Found, Item, main, videos_below


def find(arguments: argparse.Namespace) -> Found:
    """One clip for each video."""
    videos = videos_below(arguments.source)
    return Found([Item(video, video.relative_to(arguments.source).with_suffix("").as_posix()) for video in videos])


if __name__ == "__main__":
    sys.exit(main(__doc__, find))
