"""The names that ``import readavatar`` offers: lazily, typed, and the same to a type checker as at run time."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import readavatar

SOURCES = {
    "Avatar": ("readavatar.data.store.avatar", "Avatar"),
    "ClipStore": ("readavatar.data.store.clip_store", "ClipStore"),
    "EmotionSpace": ("readavatar.emotion", "EmotionSpace"),
    "EmotionTrack": ("readavatar.emotion", "EmotionTrack"),
    "animate": ("readavatar.directing", "animate"),
    "load_morphable_model": ("readavatar.morphable", "load_morphable_model"),
    "load_speech_encoder": ("readavatar.speech", "load_speech_encoder"),
    "prepare": ("readavatar.data.preparation.prepare", "prepare_clip"),
    "rasterize": ("readavatar.rendering.rasterize", "rasterize"),
    "test": ("readavatar.training", "test"),
    "train": ("readavatar.training", "train"),
}


@pytest.mark.parametrize("name", readavatar.__all__)
def test_a_public_name_is_the_object_of_the_module_that_defines_it(name: str):
    module, attribute = SOURCES[name]
    assert getattr(readavatar, name) is getattr(import_module(module), attribute)


def test_importing_the_package_imports_no_module_of_it_and_neither_torch_nor_numpy():
    program = (
        "import sys; before = set(sys.modules); import readavatar\n"
        "heavy = {name for name in sys.modules if name.split('.')[0] in ('torch', 'numpy')}\n"
        "ours = {name for name in sys.modules if name.startswith('readavatar.')}\n"
        "print(sorted((heavy | ours) - before))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_public_names_are_listed_before_they_are_used():
    program = "import readavatar; print(set(readavatar.__all__) <= set(dir(readavatar)) - set(vars(readavatar)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "True"


def test_an_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="no attribute 'Avatr'"):
        _ = readavatar.Avatr


def test_a_type_checker_sees_the_objects_that_are_imported_at_run_time():
    tree = ast.parse(Path(readavatar.__file__).read_text())
    seen = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == readavatar._SOURCES


def test_type_checkers_are_told_that_the_package_has_annotations():
    assert Path(readavatar.__file__).with_name("py.typed").is_file()
