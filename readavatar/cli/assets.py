"""The files that come from outside: what they are, under which licence, and whether they are here.

example: readavatar assets get face_landmarker

environment:
  READAVATAR_ASSETS  a folder of your own copies, looked in first and never written to; those files are not fetched
  READAVATAR_CACHE   where fetched files (in its folder assets) and computed ones are kept, by default
                     ~/.cache/readavatar
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from readavatar.assets import ASSETS, asset_rows, cache_folder, get_asset, verify_asset
from readavatar.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``assets``'s arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|get|verify")
    actions.add_parser("list", help="every file, its licence and where it is")
    get = actions.add_parser("get", help="fetch files that are missing")
    get.add_argument("names", nargs="*", metavar="NAME", help="default: all that may be fetched")
    verify = actions.add_parser("verify", help="hash the files on this machine again")
    verify.add_argument("names", nargs="*", metavar="NAME", help="default: all that are on this machine")


def run(arguments: argparse.Namespace) -> int:
    """List, get or verify."""
    if arguments.action == "get":
        names = arguments.names or [name for name, asset in ASSETS.items() if asset.sources]
        return _for_each(names, _get)
    if arguments.action == "verify":
        names = arguments.names or [row["name"] for row in asset_rows() if row["state"] != "missing"]
        return _for_each(names, lambda name: f"{name}: {verify_asset(name)} is as published")
    _print_table()
    return 0


def _get(name: str) -> str:
    path = get_asset(name)
    is_own = not path.is_relative_to(cache_folder() / "assets")
    return f"{name}: {path}{' (your own, found in READAVATAR_ASSETS; not fetched)' if is_own else ''}"


def _for_each(names: list[str], action: Callable[[str], str]) -> int:
    """One that fails keeps none of the others waiting."""
    code = 0
    for name in names:
        try:
            print(action(name))
        except UserError as error:
            print(f"readavatar: {error}", file=sys.stderr)
            code = 2
    return code


def _print_table() -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="files from outside")
    for column in ("name", "state", "size", "licence", "description"):
        table.add_column(column, no_wrap=column == "name")
    for row in asset_rows():
        table.add_row(*(row[column] for column in ("name", "state", "size", "licence", "description")))
    Console().print(table)
