"""The documents' links lead somewhere; the commands, files, settings and arguments that they name exist."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import shlex
from pathlib import Path

import pytest

from readavatar.cli import COMMANDS, STAGE_COMMANDS
from readavatar.cli.stage_help import read_defaults

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("preprocessing", "checkpoints")),
]
WITHOUT_OLD_NAMES = [path for path in DOCUMENTS if path.name != "CHANGELOG.md"]
"""The changelog's table names what there no longer is."""
MOST_LINES_OF_THE_FRONT_PAGE, MOST_LINES_OF_THE_CELL = 120, 10
LIGHTNINGS_SETTINGS = {"trainer.logger"}
"""Of its trainer, which no config of a stage sets."""
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
PLACEHOLDERS = ("NAME", "STAGE", "<", "…", "*")
"""In a path: it stands for many."""


def blocks(path: Path, *languages: str) -> list[str]:
    """A document's fenced blocks in some languages; in all of them where none is given."""
    return [text for language, text in FENCE.findall(path.read_text()) if not languages or language in languages]


def anchors(path: Path) -> set[str]:
    """The names that GitHub gives to a document's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    """Links of a document to a file or a heading that is not there; those to other sites are not followed."""
    broken = []
    for link in LINK.findall(FENCE.sub("", path.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    return broken


def commands(path: Path) -> list[list[str]]:
    """The words of every ``readavatar …`` line in a document's fenced blocks; a backslash joins two lines."""
    lines = "\n".join(blocks(path, "bash", "sh")).replace("\\\n", " ").splitlines()
    parts = [part.strip() for line in lines for part in line.split("&&")]
    return [shlex.split(part, comments=True)[1:] for part in parts if part.startswith("readavatar ")]


def calls(source: str) -> list[tuple[object, ast.Call]]:
    """Every call in ``source`` of something of readavatar's that is called by its imported name."""
    tree, known = ast.parse(source), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {alias.name: importlib.import_module(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = importlib.import_module(node.module)
            known |= {alias.name: getattr(module, alias.name) for alias in node.names}
    if "readavatar." in source:
        known.setdefault("readavatar", importlib.import_module("readavatar"))
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name, _, attribute = ast.unparse(node.func).partition(".")
        target = known.get(name)
        if target is not None and "." not in attribute:
            found.append((getattr(target, attribute) if attribute else target, node))
    return [(target, node) for target, node in found if target.__module__.startswith("readavatar")]


def named(path: Path) -> str:
    """A document's path in the repository, for a test's name."""
    return path.relative_to(ROOT).as_posix()


def test_the_front_page_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= MOST_LINES_OF_THE_FRONT_PAGE


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_link_leads_to_a_file_and_a_heading(path):
    assert broken_links(path) == []


def test_a_broken_link_or_anchor_would_be_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One heading: `it`\n[a](page.md#one-heading-it) [b](page.md#two) [c](none.md) [d](#one-heading-it)"
    )
    assert broken_links(page) == ["page.md#two", "none.md"]


@pytest.mark.parametrize("path", DOCUMENTS, ids=named)
def test_every_command_in_a_block_exists(path):
    assert {words[0] for words in commands(path)} <= {*COMMANDS, *STAGE_COMMANDS}


def test_the_commands_of_the_front_page_are_found():
    found = [words[0] for words in commands(ROOT / "README.md")]
    assert found[:4] == ["demo", "assets", "prepare", "doctor"] and "animate" in found


@pytest.mark.parametrize("path", WITHOUT_OLD_NAMES, ids=named)
def test_every_option_of_a_command_in_a_block_exists(path):
    sources = {name: (ROOT / "readavatar" / "cli" / f"{name}.py").read_text() for name in COMMANDS}
    for name, *words in commands(path):
        options = [word for word in words if word.startswith("--") and "." not in word]
        if name in COMMANDS:
            assert [option for option in options if f'"{option}"' not in sources[name]] == [], name
        else:
            assert set(options) <= {"--config", "--avatar", "--fresh", "--device"}, name


@pytest.mark.parametrize("path", WITHOUT_OLD_NAMES, ids=named)
def test_every_file_of_the_repository_that_is_named_exists(path):
    text = re.sub(r"\]\([^)]*\)", "]", path.read_text())
    found = re.findall(r"(?<![\w/.])(?:configs|readavatar|tests|docs|preprocessing|checkpoints)/[\w./…*<>-]*", text)
    plain = {name.rstrip(".") for name in found if not any(part in name for part in PLACEHOLDERS)}
    assert sorted(name for name in plain if not (ROOT / name).exists()) == []


@pytest.mark.parametrize("path", WITHOUT_OLD_NAMES, ids=named)
def test_every_setting_that_is_named_is_one_of_a_stage(path):
    settings = {name.removeprefix("--") for stage in read_defaults().values() for name in stage} | LIGHTNINGS_SETTINGS
    text = path.read_text().replace(".init_args", "")
    found = re.findall(r"(?<![\w./])(?:model|data|trainer)(?:\.[a-z_0-9]+)+(?=[\s`'\")=:,;])", text)
    is_known = {name: any(f"{setting}.".startswith(f"{name}.") for setting in settings) for name in found}
    assert sorted(name for name, known in is_known.items() if not (known or name.endswith(".py"))) == []


def test_the_notebook_cell_has_ten_lines_at_most():
    cell = blocks(ROOT / "docs" / "python.md", "python")[0]
    assert "write_actor_clip" in cell and "readavatar.animate" in cell
    assert len(cell.splitlines()) <= MOST_LINES_OF_THE_CELL


@pytest.mark.parametrize("path", [ROOT / "README.md", ROOT / "docs" / "python.md"], ids=named)
def test_python_blocks_call_what_there_is_with_arguments_that_it_takes(path):
    found = [call for source in blocks(path, "python") for call in calls(source)]
    assert len(found) >= 3
    for target, call in found:
        keywords = {keyword.arg: None for keyword in call.keywords}
        inspect.signature(target).bind(*call.args, **keywords)


def test_a_wrong_argument_would_be_noticed():
    ((target, call),) = calls("import readavatar\nreadavatar.animate('a', 'b', 'c', manner='bob')")
    with pytest.raises(TypeError, match="manner"):
        inspect.signature(target).bind(*call.args, **{keyword.arg: None for keyword in call.keywords})
