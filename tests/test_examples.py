"""The examples in the public modules' docstrings say what is so: each is run as it stands, by itself."""

from __future__ import annotations

import doctest
import inspect
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import readavatar

MODULES = (
    "readavatar",
    "readavatar.data.preparation.prepare",
    "readavatar.data.store.avatar",
    "readavatar.data.store.clip_format",
    "readavatar.data.store.clip_store",
    "readavatar.directing.animate",
    "readavatar.directing.footage",
    "readavatar.emotion",
    "readavatar.errors",
    "readavatar.files",
    "readavatar.media.container",
    "readavatar.media.frame_rate",
    "readavatar.media.video",
    "readavatar.media.video_writer",
    "readavatar.media.waveform",
    "readavatar.metrics.frames",
    "readavatar.metrics.frames",
    "readavatar.metrics.motion",
    "readavatar.metrics.statistics",
    "readavatar.morphable",
    "readavatar.morphable.model",
    "readavatar.rendering.camera",
    "readavatar.rendering.rasterize",
    "readavatar.rendering.shading",
    "readavatar.speech.encoder",
    "readavatar.speech",
    "readavatar.speech.silence",
    "readavatar.types",
)
WITHOUT_EXAMPLE = {"train", "test"}
"""They take a prepared clip and minutes."""


class _Finder(doctest.DocTestFinder):
    """Finds what the check of shapes wraps, too: a wrapper's globals are not those of the module that it stands in."""

    def _from_module(self, module: ModuleType, object: object) -> bool:
        if inspect.isfunction(object):
            return object.__module__ == module.__name__
        return super()._from_module(module, object)


def _examples(module: ModuleType) -> list[doctest.DocTest]:
    """With no names but their own imports: a reader has no others."""
    found = _Finder(exclude_empty=True).find(module, globs={"__name__": "__main__"})
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_a_modules_examples_give_what_they_say(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    report: list[str] = []
    for example in _examples(import_module(name)):
        runner.run(example, out=report.append)
    assert runner.tries > 0, f"{name} has no example"
    assert runner.failures == 0, "".join(report)


@pytest.mark.parametrize("name", MODULES)
def test_every_example_in_a_modules_source_is_run(name: str):
    module = import_module(name)
    written = re.findall(r"^\s*>>> ", inspect.getsource(module), re.MULTILINE)
    assert sum(len(test.examples) for test in _examples(module)) == len(written)


@pytest.mark.parametrize("name", sorted(set(readavatar.__all__) - WITHOUT_EXAMPLE))
def test_a_public_name_has_an_example(name: str):
    assert ">>> from readavatar" in inspect.getdoc(getattr(readavatar, name))
