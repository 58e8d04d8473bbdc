"""The layers of the package and the places where heavy libraries may be imported."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import readavatar

PACKAGE = Path(readavatar.__file__).parent
FLOORS = [
    {
        "types",
        "emotion",
        "devices",
        "errors",
        "files",
        "progress",
        "pickles",
        "assets",
        "config_paths",
        "throughput",
        "__init__",
    },
    {"media", "rendering", "metrics"},
    {"speech", "detection", "morphable", "optimization"},
    {"data", "gaze"},
    {"tracking", "expression", "appearance", "synthetic"},
    {"training", "directing"},
    {"doctor", "viewer"},
    {"benchmarks", "demo"},
    {"cli", "__main__"},
]
FLOOR_OF = {name: index for index, names in enumerate(FLOORS) for name in names}
SIDEWAYS_ALLOWED = {0, 7, 8}
"""The modules of the ground floor and of the two top floors may import one another; those between may not."""
IMPORTED_ONCE = ("nvdiffrast", "pytorch3d", "mediapipe", "transformers", "wandb", "gradio", "espeakng_loader", "pooch")
NOT_ON_THE_INDEX = {"nvdiffrast", "pytorch3d"}


def _imports(path: Path) -> list[tuple[str, bool]]:
    """(imported module, whether at the module's top level) for every import in a file."""
    tree = ast.parse(path.read_text())
    top_level = set(map(id, tree.body))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) in top_level) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if node.module == "readavatar"
                else [node.module]
            )
            found += [(name, id(node) in top_level) for name in names]
    return found


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def _sources() -> list[tuple[str, Path]]:
    files = [path for path in PACKAGE.rglob("*.py") if "configs" not in path.parts]
    return [(path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path) for path in files]


def test_every_module_stands_on_a_floor():
    assert {room for room, _ in _sources()} <= set(FLOOR_OF)


def test_the_packages_docstring_lists_the_floors():
    lines = re.findall(r"^(\d+)\. (.+(?:\n {3}.+)*)$", readavatar.__doc__, re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(len(FLOORS)))
    assert [set(re.findall(r"``(\w+)``", names)) for _, names in lines] == [floor - {"__init__"} for floor in FLOORS]


def test_imports_go_down_only():
    wrong = []
    for room, path in _sources():
        if room == "__init__":  # names for type checkers; tests/test_api.py holds that nothing is imported at run time
            continue
        for module, _ in _imports(path):
            if not module.startswith("readavatar"):
                continue
            other = _room(module)
            if other == "__version__" or other == room:
                continue
            mine, theirs = FLOOR_OF[room], FLOOR_OF.get(other, 0)
            if theirs > mine or (theirs == mine and mine not in SIDEWAYS_ALLOWED):
                wrong.append(f"{path.relative_to(PACKAGE)} (floor {mine}) imports {module} (floor {theirs})")
    assert not wrong, "\n".join(wrong)


def test_heavy_libraries_are_imported_in_one_module_inside_a_function():
    for library in IMPORTED_ONCE:
        places = {
            (path, top_level)
            for _, path in _sources()
            for module, top_level in _imports(path)
            if module.split(".")[0] == library
        }
        assert len({path for path, _ in places}) <= 1, f"{library} is imported in {sorted(map(str, places))}"
        assert not any(top_level for _, top_level in places), f"{library} is imported at module level"


def _names(requirements: list[str]) -> set[str]:
    return {_normalised(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    optional = set().union(*(_names(extra) for extra in project["optional-dependencies"].values()))
    modules = {module.split(".")[0] for _, path in _sources() for module, _ in _imports(path)}
    outside = modules - sys.stdlib_module_names - NOT_ON_THE_INDEX - {"readavatar"}
    distributions = packages_distributions()
    imported = {_normalised(distributions[module][0]) if module in distributions else module for module in outside}
    assert imported - optional == _names(project["dependencies"])
