"""The files that come from outside: what they are, under which licence, and whether they are here.

example: readavatar assets get face_landmarker
"""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from readavatar import assets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``assets``'s arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|get|verify")
    actions.add_parser("list", help="every file, its licence and where it is")
    for action, text in (("get", "fetch files that are missing"), ("verify", "check files that are here")):
        names = actions.add_parser(action, help=text).add_argument("names", nargs="*", metavar="NAME")
        names.help = "default: all that can be fetched" if action == "get" else "default: all"
