"""What a command says on the terminal, and that the same functions say nothing to a library's user."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
from pathlib import Path

import readavatar
from readavatar.cli.terminal import terminal_output
from readavatar.progress import track

PACKAGE = Path(readavatar.__file__).parent
LOGGER = logging.getLogger("readavatar.of_a_module")
MAY_PRINT = {"cli", "training/progress.py", "benchmarks/tracking/calibrate_landmarks.py"}
"""The command line, Lightning's progress bar, and a program of its own."""


def test_messages_go_to_stdout_as_they_stand_and_warnings_to_stderr_in_one_line(capsys):
    with terminal_output():
        LOGGER.debug("unseen")
        LOGGER.info("%s: 100 %%", "filming")
        LOGGER.warning("It is\n silent.")
    assert capsys.readouterr() == ("filming: 100 %\n", "readavatar: It is silent.\n")


def test_a_command_within_a_command_prints_each_message_once(capsys):
    with terminal_output(), terminal_output():
        LOGGER.info("once")
    assert capsys.readouterr().out == "once\n"


def test_another_librarys_handler_does_not_print_our_messages_again(capsys):
    root = logging.StreamHandler()
    logging.getLogger().addHandler(root)
    try:
        with terminal_output():
            LOGGER.warning("once")
    finally:
        logging.getLogger().removeHandler(root)
    assert capsys.readouterr().err == "readavatar: once\n"


def test_a_process_that_a_command_begins_prints_to_its_end():
    program = "import logging; from readavatar.cli.terminal import open_terminal; open_terminal(); open_terminal(); "
    program += "logging.getLogger('readavatar.training').info('step 3')"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert finished.stdout == "step 3\n", finished.stderr


def test_nothing_of_it_stays_behind_a_command(capsys):
    ours = logging.getLogger("readavatar")
    before = ours.level, ours.propagate, list(ours.handlers)
    with terminal_output():
        pass
    assert (ours.level, ours.propagate, list(ours.handlers)) == before
    LOGGER.info("unseen")
    list(track(range(3), "counting", transient=False))
    assert capsys.readouterr().out == ""


def test_a_message_stands_above_the_bar_and_not_in_it(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    with terminal_output():
        for number in track(range(2), "counting", transient=False):
            LOGGER.info("number %d", number)
    lines = [line.rpartition("\x1b[2K")[2] for line in capsys.readouterr().out.splitlines()]  # behind the last erasure
    assert [line for line in lines if "number" in line] == ["number 0", "number 1"]


def test_the_library_prints_nothing():
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE).as_posix()
        if place in MAY_PRINT or place.partition("/")[0] in MAY_PRINT:
            continue
        calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
        wrong += [f"{place}:{call.lineno}" for call in calls if isinstance(call, ast.Name) and call.id == "print"]
    assert not wrong, f"print outside of the command line, where logging belongs: {wrong}"
