"""The commands' help: it needs none of the libraries that the commands themselves need."""

from __future__ import annotations

import subprocess
import sys

import pytest

from readavatar.cli import COMMANDS
from readavatar.cli.prepare import _EMOTIONS
from readavatar.emotion import MEAD_EMOTIONS

HEAVY = (
    *("torch", "pytorch_lightning", "jsonargparse", "transformers", "numba", "mediapipe", "matplotlib", "librosa"),
    *("scipy", "numpy", "av", "PIL", "rich"),
)
"""Each takes from a tenth of a second to several seconds to import."""
LIGHT_MODULES = (
    *("readavatar", "readavatar.errors", "readavatar.files", "readavatar.config_paths", "readavatar.progress"),
    *("readavatar.assets", "readavatar.cli"),
)


def _heavy_imports_of(program: str) -> list[str]:
    """What of ``HEAVY`` a fresh interpreter has imported once it has run ``program``."""
    report = f"import sys\nprint('imported:', *[name for name in {HEAVY!r} if name in sys.modules])"
    finished = subprocess.run([sys.executable, "-c", f"{program}\n{report}"], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_imports_no_heavy_library(command):
    program = f"from readavatar.cli import main\ntry:\n    main([{command!r}, '--help'])\nexcept SystemExit:\n    pass"
    assert _heavy_imports_of(program) == []


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_importing_a_light_module_imports_no_heavy_library(module):
    assert _heavy_imports_of(f"import {module}") == []


def test_a_heavy_import_would_be_noticed():
    assert _heavy_imports_of("import readavatar.emotion") != []


def test_prepare_offers_the_emotions_of_mead():
    assert tuple(_EMOTIONS.split(",")) == MEAD_EMOTIONS
