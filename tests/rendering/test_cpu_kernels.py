"""Compiled kernels: none of another version runs, and a disk that takes nothing stops nobody."""

import ast
import importlib.util
import logging
import os
import shutil
import sys
import time
from pathlib import Path

import numba
import pytest

import readavatar
from readavatar.rendering import cpu_kernels
from readavatar.rendering.cpu_kernels import KERNEL_FILES, UNUSED_SECONDS, kernel, kernel_folder

FOLDER = Path(cpu_kernels.__file__).parent
SOURCES = sorted(FOLDER.glob(KERNEL_FILES))


def _plus_one(x):
    return x + 1


@pytest.fixture
def fresh_choice():
    """The folder is chosen anew, here and by the tests that follow."""
    cpu_kernels._own_folder.cache_clear()
    yield
    cpu_kernels._own_folder.cache_clear()


def _fresh_modules(folder: Path, *names: str):
    for name in names:
        specification = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
        sys.modules[name] = module = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(module)
    return module


def test_a_kernel_is_compiled_anew_when_a_helper_in_another_file_changes(tmp_path, monkeypatch):
    helper, user = tmp_path / "cpu_helper_of_test.py", tmp_path / "cpu_user_of_test.py"
    start = "from readavatar.rendering.cpu_kernels import kernel\n"
    work = "from cpu_helper_of_test import scaled\n\n@kernel\ndef work(x):\n    return scaled(x) + 1\n"
    user.write_text(start + work)
    monkeypatch.setattr(cpu_kernels, "_own_folder", lambda: kernel_folder(tmp_path / "kept", [helper, user]))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    results, hits = [], []
    for factor in (2, 2, 7):
        helper.write_text(start + f"\n@kernel\ndef scaled(x):\n    return {factor} * x\n")
        try:
            module = _fresh_modules(tmp_path, helper.stem, user.stem)
        finally:
            for name in (helper.stem, user.stem):
                sys.modules.pop(name, None)
        results.append(module.work(10))
        hits.append(bool(module.work.stats.cache_hits))
    assert results == [21, 21, 71]
    assert hits == [False, True, False], "what has not changed is not compiled again"


def test_any_changed_or_new_file_with_kernels_asks_for_another_folder(tmp_path):
    sources = [Path(shutil.copy(path, tmp_path)) for path in SOURCES]
    assert len(sources) > 3
    folders = [kernel_folder(tmp_path / "kept", sources)]
    assert kernel_folder(tmp_path / "kept", sources) == folders[0]
    for path in sources:
        path.write_text(path.read_text().replace("return", "return ", 1))
        folders.append(kernel_folder(tmp_path / "kept", sources))
    folders.append(kernel_folder(tmp_path / "kept", sources[1:]))
    assert len(set(folders)) == len(folders)


def test_another_numba_asks_for_another_folder(tmp_path, monkeypatch):
    before = kernel_folder(tmp_path, SOURCES)
    monkeypatch.setattr(numba, "__version__", "0.0")
    assert kernel_folder(tmp_path, SOURCES) != before


def test_kernels_take_nothing_from_files_that_the_hash_does_not_cover():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ImportFrom) or not node.module.startswith("readavatar."):
                continue
            *package, module = node.module.split(".")
            covered = package == ["readavatar", "rendering"] and Path(f"{module}.py").match(KERNEL_FILES)
            assert covered or path.name == "cpu_kernels.py", f"{path.name} imports {node.module}"


def test_numba_is_used_in_one_module_and_kernels_stand_in_hashed_ones():
    users, makers = set(), set()
    for path in Path(readavatar.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                users |= {path for alias in node.names if alias.name.split(".")[0] == "numba"}
            elif isinstance(node, ast.ImportFrom) and node.module:
                users |= {path} if node.module.split(".")[0] == "numba" else set()
                makers |= {path for alias in node.names if alias.name == "kernel"}
    assert users == {Path(cpu_kernels.__file__)}
    assert makers and makers <= set(SOURCES)


def test_what_this_process_compiles_lies_in_the_cache(tmp_path, monkeypatch, fresh_choice):
    monkeypatch.setenv("READAVATAR_CACHE", str(tmp_path))
    work = kernel(_plus_one)
    assert work(1) == 2
    assert list((tmp_path / "kernels").glob("*/*/*.nbc"))


def test_other_packages_keep_their_own_cache_folder(monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "theirs")
    kernel(_plus_one)
    assert numba.config.CACHE_DIR == "theirs"


def test_a_folder_that_cannot_be_written_to_costs_one_warning(tmp_path, monkeypatch, caplog, fresh_choice):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("READAVATAR_CACHE", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        one, other = kernel(_plus_one), kernel(_plus_one)
    assert one(1) == other(1) == 2 and one.stats.cache_path is None
    (record,) = caplog.records
    assert "READAVATAR_CACHE" in record.getMessage() and "\n" not in record.getMessage()


def test_numba_takes_no_other_folder_where_ours_fails(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(cpu_kernels, "_own_folder", lambda: tmp_path / "file" / "kept")
    work = kernel(_plus_one)
    assert work(1) == 2 and work.stats.cache_path is None


def test_long_unused_folders_are_removed_and_used_ones_stay(tmp_path):
    unused, used, asked_for = tmp_path / "unused", tmp_path / "used", kernel_folder(tmp_path, SOURCES)
    for folder in (unused, used):
        folder.mkdir()
        (folder / "work.nbc").write_text("")
    long_ago = time.time() - UNUSED_SECONDS - 1
    for folder in (unused, asked_for):
        os.utime(folder, (long_ago, long_ago))
    assert kernel_folder(tmp_path, SOURCES) == asked_for and unused.is_dir(), "only with a new version"
    new = kernel_folder(tmp_path, SOURCES[1:])
    assert set(tmp_path.iterdir()) == {used, asked_for, new}
