"""Claims on trainings in a process of their own: what comes back of them, and what does not stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from readavatar.errors import UserError
from readavatar.training.subprocess_runner import _in_subprocess, run_stage_in_subprocess


def _fail(what: str) -> None:
    raise UserError(f"Expected nothing, but got {what} in {os.getpid()}.")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _keep_writing(path: str) -> None:
    while True:
        Path(path).touch()
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


def test_a_mistake_in_a_training_is_raised_here():
    with pytest.raises(UserError, match=r"no 'configs/tracking/defualt\.yaml'"):
        run_stage_in_subprocess("fit", ["--config", "configs/tracking/defualt.yaml"])


def test_a_mistake_is_raised_here_though_it_was_made_elsewhere():
    with pytest.raises(UserError, match="Expected nothing, but got clips/jane in") as error:
        _in_subprocess(_fail, ("clips/jane",))
    assert str(os.getpid()) not in str(error.value)


def test_a_killed_process_is_a_line_for_the_user():
    with pytest.raises(UserError, match=r"process was killed.*same command"):
        _in_subprocess(_die, ())


def test_it_does_not_outlive_the_one_that_began_it(tmp_path):
    written = tmp_path / "written"
    call = (
        "from test_subprocess_runner import _in_subprocess, _keep_writing; "
        f"_in_subprocess(_keep_writing, ({str(written)!r},))"
    )
    parent = subprocess.Popen([sys.executable, "-c", call], cwd=Path(__file__).parent)
    assert _wait_until(written.exists)
    parent.kill()
    parent.wait()
    assert _wait_until(lambda: _rests(written))
