"""Claims on commands in a process of their own: what comes back of them, and what does not stay."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from readavatar.cli.subprocess_runner import run_in_subprocess
from readavatar.errors import UserError


def _exit_code(arguments: list[str]) -> int:
    return int(arguments[0])


def _fail(arguments: list[str]) -> int:
    raise UserError(f"Expected nothing, but got {arguments[0]} in {os.getpid()}.")


def _die(arguments: list[str]) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def _keep_writing(arguments: list[str]) -> int:
    while True:
        Path(arguments[0]).touch()
        time.sleep(0.05)


def _wait_until(condition) -> bool:
    for _ in range(60):
        if condition():
            return True
        time.sleep(1)
    return False


def _rests(path: Path) -> bool:
    before = path.stat().st_mtime_ns
    time.sleep(1)
    return path.stat().st_mtime_ns == before


def test_the_exit_code_comes_back():
    assert run_in_subprocess(_exit_code, ["3"]) == 3


def test_a_mistake_is_raised_here_though_it_was_made_elsewhere():
    with pytest.raises(UserError, match="Expected nothing, but got clips/jane in") as error:
        run_in_subprocess(_fail, ["clips/jane"])
    assert str(os.getpid()) not in str(error.value)


def test_a_killed_process_is_a_line_for_the_user():
    with pytest.raises(UserError, match=r"process was killed.*same command goes on"):
        run_in_subprocess(_die, [])


def test_it_does_not_outlive_the_one_that_began_it(tmp_path):
    written = tmp_path / "written"
    names = "_keep_writing, run_in_subprocess"
    call = f"from test_subprocess_runner import {names}; run_in_subprocess(_keep_writing, [{str(written)!r}])"
    parent = subprocess.Popen([sys.executable, "-c", call], cwd=Path(__file__).parent)
    assert _wait_until(written.exists)
    parent.kill()
    parent.wait()
    assert _wait_until(lambda: _rests(written))


def _log(arguments: list[str]) -> int:
    logging.getLogger("readavatar.of_a_module").info("%s", arguments[0])
    return 0


def test_messages_of_the_other_process_are_printed(capfd):
    assert run_in_subprocess(_log, ["step 3"]) == 0
    assert "step 3" in capfd.readouterr().out
