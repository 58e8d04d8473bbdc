"""Make clip stores from a folder of videos and a CSV table of what they show.

The table has a line of headings and the columns file (the video, relative to the folder) and emotion, such as
happy:0.66, happy:0.2+surprised:0.6, neutral, or keyframes in quotes: "0s neutral, 2s sad:1". An empty emotion leaves a
clip unlabelled.

example: python preprocessing/folder_csv.py ~/videos --csv ~/videos/emotions.csv --out clips/mine
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path, PurePosixPath

from recipe import Found, Item, main

from readavatar.emotion import MEAD_EMOTIONS, EmotionSpace, EmotionTrack
from readavatar.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The table's arguments."""
    parser.add_argument("--csv", type=Path, required=True, metavar="FILE", help="the table")
    parser.add_argument(
        "--emotions", default=",".join(MEAD_EMOTIONS), metavar="NAMES", help="names of the emotions, comma-separated"
    )


def find(arguments: argparse.Namespace) -> Found:
    """One clip for each line of the table; a mistake in any line is told before any clip is made."""
    space = EmotionSpace(tuple(name.strip() for name in arguments.emotions.split(",")))
    return Found([_item(row, number, arguments, space) for number, row in _rows(arguments.csv)])


def _rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    try:
        with open(table, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = [(reader.line_num, row) for row in reader], reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"Expected a CSV table at '{table}', but {error}.") from None
    if not {"file", "emotion"} <= set(columns):
        raise UserError(f"Expected the columns file and emotion in '{table}', but got {', '.join(columns) or 'none'}.")
    return rows


def _item(row: dict[str, str], number: int, arguments: argparse.Namespace, space: EmotionSpace) -> Item:
    place = f"line {number} of '{arguments.csv}'"
    name, emotion = (row["file"] or "").strip(), (row["emotion"] or "").strip()
    store = PurePosixPath(name).with_suffix("") if name else None
    if store is None or store.is_absolute() or ".." in store.parts:
        raise UserError(f"Expected a video's name relative to '{arguments.source}' in {place}, but got '{name}'.")
    if not (arguments.source / name).is_file():
        raise UserError(f"Expected the video '{arguments.source / name}' of {place}, but there is none.")
    try:
        track = EmotionTrack.parse(emotion, space) if emotion else None
    except UserError as error:
        raise UserError(f"{error} ({place})") from None
    return Item(arguments.source / name, store.as_posix(), track)


if __name__ == "__main__":
    sys.exit(main(__doc__, find, add_arguments))
