"""Check whether prepared or fitted clips are good enough to train on.

example: readavatar doctor clips/jane --html jane.html

Several clips are examined as one person's. Exit code: 0 if nothing fails (there may be warnings), 1 if a check fails,
2 for a mistake on the command line.
"""

from __future__ import annotations

import argparse

from readavatar.throughput import keep_freed_memory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``doctor``'s arguments."""
    parser.add_argument("clips", nargs="+", metavar="CLIP", help="clip stores, such as clips/jane")
    parser.add_argument("--html", metavar="PAGE.html", help="write tables, timelines and pictures into one page")
    parser.add_argument("--json", metavar="FILE", help="write the checks here, too")
    parser.add_argument(
        "--fix-offset",
        action="store_true",
        help="correct the offset between sound and lips where it is measured reliably and is over a frame; it is "
        "written to clip.json, and audio.wav stays as it is",
    )
    parser.add_argument(
        "--try-offsets",
        action="store_true",
        help="instead: shift the sound by known offsets and print how well they are measured",
    )


def run(arguments: argparse.Namespace) -> int:
    """Examine the clips."""
    keep_freed_memory()
    from rich.console import Console
    from rich.progress import Progress

    from readavatar.data.store import ClipStore
    from readavatar.doctor import correct_offset, examine, print_examination, write_examination_json
    from readavatar.doctor import write_examination_page as write_page
    from readavatar.doctor.offset_trial import print_trial, try_offsets

    stores = [ClipStore(path) for path in arguments.clips]
    with Progress(transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=1.0)

        def tick(what: str, share: float) -> None:
            progress.update(task, description=what, completed=share)

        if arguments.try_offsets:
            trials = try_offsets(stores, tick)
        else:
            examination = examine(stores, tick)
            if arguments.fix_offset:
                measured = [(store, clip.evidence) for store, clip in zip(stores, examination.clips, strict=True)]
                lines = [correct_offset(store, evidence) for store, evidence in measured if evidence is not None]
                examination = examine(stores, tick)
    if arguments.try_offsets:
        print_trial(trials)
        return 0
    print_examination(examination)
    if arguments.fix_offset:
        print("\n".join(lines))
    if arguments.json:
        write_examination_json(arguments.json, examination)
    if arguments.html:
        write_page(arguments.html, examination)
        print(f"{arguments.html}: open it in a browser")
    return int(examination.has_failed)
