"""The front door: ``readavatar COMMAND …``.

``fit``, ``validate`` and ``test`` are LightningCLI's, over the stages' configs; every other command is a
module of this package with ``add_arguments(parser)`` and ``run(arguments)``. A user's mistake (``UserError``) ends in
one line and exit code 2.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import sys
from collections.abc import Sequence

from readavatar import __version__
from readavatar.cli.log_filters import install_log_filters
from readavatar.cli.terminal import terminal_output
from readavatar.errors import UserError

STAGE_COMMANDS = {
    "fit": "train a stage: tracking, expression or appearance",
    "validate": "validate a stage",
    "test": "measure a stage on held-out seconds",
}
COMMANDS = {
    "demo": "make, train and direct the digital actor: needs no file from outside",
    "prepare": "turn a video into a clip store",
    "view": "look at a clip and its fit in a browser: overlay video, curves, worst frames",
    "doctor": "say whether clips will train, before they are trained on",
    "animate": "say any audio with any emotion, in the person's own footage",
    "sweep": "run a Weights & Biases sweep file on this machine",
    "ablate": "train a stage without one of its parts at a time, and say what each is worth",
    "bench": "measure what readavatar does: its speed here, its errors against known truth",
    "assets": "list, get or verify the files that come from outside",
}

_EPILOG = """\
example: readavatar demo --out demo

a real person, step by step:
  readavatar prepare jane.mp4 --out clips/jane
  readavatar fit --config configs/tracking/default.yaml --data.clips clips/jane
  readavatar fit --config configs/expression/default.yaml --data.clips clips/jane
  readavatar fit --config configs/appearance/default.yaml --data.clips clips/jane
  readavatar animate avatars/jane --audio speech.wav --emotion "0s neutral, 2s happy:0.8" --out out.mp4
"""

_UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.ENOTDIR}
"""The disk is full or guarded, or a file stands where a folder is wanted."""


@terminal_output()
def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the process's exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    install_log_filters()
    try:
        if arguments and arguments[0] in STAGE_COMMANDS:
            if {"-h", "--help"} & set(arguments):
                print(_module("stage_help").format_stage_help(arguments[0], STAGE_COMMANDS[arguments[0]]), end="")
                return 0
            arguments = ["--help" if argument == "--help-all" else argument for argument in arguments]
            return _module("stages").run(arguments)
        parser = _parser(arguments[0] if arguments else None)
        parsed = parser.parse_args(arguments)
        if parsed.command is None:
            parser.print_help()
            return 0
        return _module(parsed.command).run(parsed) or 0
    except UserError as error:
        return _fail(str(error))
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        place = f" at '{error.filename}'" if error.filename else ""
        return _fail(
            f"Expected to be able to write{place}, but {error.strerror}; free some space or choose another place."
        )
    except KeyboardInterrupt:
        print("readavatar: stopped; give the same command again to resume from the last good state.", file=sys.stderr)
        return 130


def _fail(message: str) -> int:
    print(f"readavatar: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _module(command: str):
    return importlib.import_module(f"readavatar.cli.{command}")


def _parser(command: str | None) -> argparse.ArgumentParser:
    """The parser of all commands; only ``command``'s own module is imported, to be quick."""
    parser = argparse.ArgumentParser(
        prog="readavatar",
        description="Emotional talking avatars of a real person (after READ Avatars, BMVC 2023).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"readavatar {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, description in {**COMMANDS, **STAGE_COMMANDS}.items():
        subparser = subparsers.add_parser(
            name, help=description, formatter_class=argparse.RawDescriptionHelpFormatter, description=description
        )
        if name == command:
            module = _module(name)
            subparser.description, _, subparser.epilog = module.__doc__.partition("\n\n")
            module.add_arguments(subparser)
    return parser
