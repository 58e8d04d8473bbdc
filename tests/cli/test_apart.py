"""Claims on commands in a process of their own: what comes back of them, and what does not stay."""

from __future__ import annotations

import os
import signal

import pytest

from readavatar.cli.apart import run_apart
from readavatar.errors import UserError


def _exit_code(arguments: list[str]) -> int:
    return int(arguments[0])


def _fail(arguments: list[str]) -> int:
    raise UserError(f"Expected nothing, but got {arguments[0]} in {os.getpid()}.")


def _die(arguments: list[str]) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def test_the_exit_code_comes_back():
    assert run_apart(_exit_code, ["3"]) == 3


def test_a_mistake_is_raised_here_though_it_was_made_elsewhere():
    with pytest.raises(UserError, match="Expected nothing, but got clips/jane in") as error:
        run_apart(_fail, ["clips/jane"])
    assert str(os.getpid()) not in str(error.value)


def test_a_killed_process_is_a_line_for_the_user():
    with pytest.raises(UserError, match=r"process was killed.*same command goes on"):
        run_apart(_die, [])
