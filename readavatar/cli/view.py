"""Look at prepared or fitted clips: overlay video, curves and worst frames in one page that any browser opens.

example: readavatar view clips/jane --out jane.html
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from readavatar.errors import UserError
from readavatar.throughput import keep_freed_memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``view``'s arguments."""
    parser.add_argument("clips", nargs="+", metavar="CLIP", help="clip stores, such as clips/jane")
    parser.add_argument(
        "--out", metavar="PAGE.html", help="the page (NAME.html here); with several clips a folder of pages (view)"
    )
    parser.add_argument("--truth", action="store_true", help="draw a digital actor's ground truth instead of the fit")
    parser.add_argument("--start", type=float, default=0.0, metavar="SECONDS", help="where to begin (0)")
    parser.add_argument("--stop", type=float, metavar="SECONDS", help="where to stop (the end)")
    parser.add_argument("--size", type=int, default=256, metavar="PIXELS", help="height and width of each panel (256)")
    parser.add_argument("--video", metavar="OVERLAY.mp4", help="write the overlay video as a file too")


def run(arguments: argparse.Namespace) -> None:
    """Write the pages."""
    keep_freed_memory()
    from readavatar.viewer import view_clip, view_clips

    options = {key: getattr(arguments, key) for key in ("truth", "start", "stop", "size")}
    if len(arguments.clips) == 1:
        clip = arguments.clips[0]
        out = Path(arguments.out or f"{Path(clip).resolve().name}.html")
        if out.is_dir():
            raise UserError(f"Expected a page's name such as '{out}/page.html', but '{out}' is a folder.")
        summaries, page = [view_clip(clip, out, video=arguments.video, **options)], out
    else:
        if arguments.video:
            raise UserError("Expected one clip with --video, but got several; give them one by one.")
        out = Path(arguments.out or "view")
        summaries, page = view_clips(arguments.clips, out, **options), out / "index.html"
    for summary in summaries:
        scores = ""
        if not math.isnan(summary.landmark_error):
            scores = f", landmark error {summary.landmark_error:.2f} %, PSNR {summary.psnr:.1f} dB"
        print(f"{summary.name}: {summary.num_frames} frames{scores}")
    print(f"Open {page} ({page.stat().st_size / 1e6:.1f} MB) in a browser.")
