"""The architecture: who imports whom, what an import costs, and that every public name is documented."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest
import typer

from anrl.cli import app
from support.rust import dependencies

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "python" / "anrl"

LAYERS = (
    ("_anrl", "errors", "atomic_io", "lazy", "progress"),
    ("output_folder",),
    ("metrics", "distributed"),
    ("ops",),
    ("data", "faces", "nn"),
    ("backend", "device", "losses", "synth"),
    ("models",),
    ("methods",),
    ("config",),
    ("checkpoint",),
    ("evaluation",),
    ("training",),
    ("deploy", "experiments"),
    ("plots",),
    ("report",),
    ("cli",),
    ("__main__",),
)
"""Modules and folders of the package from bottom to top: each imports from those below it only."""

NARROWER = {
    "_anrl": set(),
    "metrics": {"errors"},
    "data": {"_anrl", "errors", "atomic_io", "progress"},
    "faces": {"_anrl", "errors"},
    "synth": {"data", "errors", "atomic_io", "lazy", "progress"},
}
"""Those that import less than their layer allows."""

EXTENSION_USERS = {"backend", "data", "faces", "ops"}
HEAVY = ("torch", "scipy", "sklearn", "matplotlib", "omegaconf", "skimage")
COMMANDS = list(typer.main.get_group(app).commands)


class Import(NamedTuple):
    """An imported module or name."""

    name: str
    """With dots, absolute."""
    line: int
    runs_at_import: bool
    """Whether it runs when the module that contains it is imported, not in a function."""


def imports_of(tree: ast.AST, module: str, is_package: bool) -> Iterator[Import]:
    """The imports of a module, without those that only type checkers read."""

    def visit(node: ast.AST, at_import: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for child in node.orelse:
                yield from visit(child, at_import)
            return
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, at_import) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: None if is_package else -1]
            base = parents[: len(parents) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            yield from (Import(f"{prefix}.{alias.name}", node.lineno, at_import) for alias in node.names)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, at_import and not inside)

    return visit(tree, True)


def module_name(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(file): file for file in sorted(PACKAGE.rglob("*.py"))}
MODULES = {*FILES, "anrl._anrl"}
TREES = {name: ast.parse(file.read_text()) for name, file in FILES.items()}
IMPORTS = {
    name: list(imports_of(tree, name, FILES[name].name == "__init__.py")) for name, tree in TREES.items()
}


def module_of(name: str) -> str | None:
    """The module of the package that an imported name is, or lies in."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or None


def room(module: str) -> str:
    """The part of the package that a module belongs to, as in the table of layers; "" for ``anrl`` itself."""
    return module.partition(".")[2].partition(".")[0]


def inner_imports(at_import_only: bool = False) -> Iterator[tuple[str, Import, str]]:
    """Imports from one module of the package to another: the importer, the import, the module imported."""
    for importer, imports in IMPORTS.items():
        for entry in imports:
            target = module_of(entry.name)
            if target is not None and (entry.runs_at_import or not at_import_only):
                yield importer, entry, target


def assert_no_circle(edges: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail("a circle of imports: " + " -> ".join(error.args[1]))


def test_every_part_of_the_package_has_a_layer():
    rooms = {room(module) for module in MODULES} - {""}
    assert rooms <= {name for layer in LAYERS for name in layer}, "add new parts to LAYERS"


def test_imports_go_down():
    height = {name: level for level, layer in enumerate(LAYERS) for name in layer}
    upward = []
    for importer, entry, target in inner_imports():
        source, destination = room(importer), room(target)
        if source == destination or not source or not destination:
            continue
        allowed = NARROWER.get(source, {name for name in height if height[name] < height[source]})
        if destination not in allowed:
            upward.append(f"{importer}, line {entry.line}: imports {entry.name}")
    assert not upward, "\n".join(upward)


def test_modules_form_no_circle_when_imported():
    edges: dict[str, set[str]] = {module: set() for module in MODULES}
    for importer, _, target in inner_imports(at_import_only=True):
        ancestors = {importer.rsplit(".", up)[0] for up in range(importer.count(".") + 1)} | {importer}
        parts = target.split(".")
        # Importing a module imports the packages that contain it.
        packages = {".".join(parts[:end]) for end in range(1, len(parts))}
        edges[importer] |= {target} | packages - ancestors
    assert_no_circle(edges)


def test_metrics_import_numpy_and_scipy_only():
    allowed = {*sys.stdlib_module_names, "anrl", "numpy", "scipy"}
    for module in FILES:
        if room(module) == "metrics":
            assert {entry.name.partition(".")[0] for entry in IMPORTS[module]} <= allowed, module


def test_only_ops_data_faces_and_backend_import_the_extension():
    users = {room(importer) for importer, _, target in inner_imports() if target == "anrl._anrl"}
    assert users <= EXTENSION_USERS


def test_only_the_command_line_prints_and_nothing_imports_it():
    violations = []
    for module, tree in TREES.items():
        if room(module) in ("cli", "__main__"):
            continue
        violations += [
            f"{module}, line {node.lineno}: prints"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("print", "sys.stdout.write")
        ]
        violations += [
            f"{module}, line {entry.line}: imports {entry.name}"
            for entry in IMPORTS[module]
            if entry.name.startswith(("anrl.cli", "rich", "typer", "click"))
        ]
    assert not violations, "\n".join(violations)


def test_the_stub_of_the_extension_imports_nothing_of_the_package():
    tree = ast.parse((PACKAGE / "_anrl.pyi").read_text())
    names = [entry.name for entry in imports_of(tree, "anrl._anrl", False)]
    assert names and not [name for name in names if name.startswith("anrl")]


def is_documented(value: object) -> bool:
    doc = value.__doc__ if inspect.isclass(value) else inspect.getdoc(value)
    generated = inspect.isclass(value) and is_dataclass(value) and str(doc).startswith(f"{value.__name__}(")
    return bool(doc and doc.strip()) and not generated


def documented_constants() -> set[str]:
    """Names of module-level constants that a string below them documents."""
    names = set()
    for tree in TREES.values():
        for statement, following in zip(tree.body, tree.body[1:], strict=False):
            targets = getattr(statement, "targets", [getattr(statement, "target", None)])
            if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


PUBLIC = [
    module
    for module in FILES
    if not any(part.startswith("_") for part in module.split("."))
    and any(
        "__all__" in ast.unparse(statement)
        for statement in TREES[module].body
        if isinstance(statement, ast.Assign)
    )
]


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names_are_documented(module):
    constants = documented_constants() | {"__version__"}
    namespace = importlib.import_module(module)
    undocumented = []
    for name in namespace.__all__:
        value = getattr(namespace, name)
        is_object = inspect.ismodule(value) or inspect.isclass(value) or inspect.isroutine(value)
        if not (is_documented(value) if is_object else name in constants):
            undocumented.append(name)
    assert namespace.__all__ and not undocumented


def loaded_by(code: str, modules: tuple[str, ...]) -> list[str]:
    """Those of the modules that a new process has imported after the code."""
    report = f"import sys; sys.stderr.write(' '.join(m for m in {modules} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr.split()


def test_importing_the_package_is_light():
    assert loaded_by("import torch, anrl", ("torch",)) == ["torch"]
    assert loaded_by("import anrl", HEAVY) == []


def test_layers_and_training_import_no_toolkits():
    assert loaded_by("import anrl.nn, anrl.training", ("scipy", "sklearn", "matplotlib", "skimage")) == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_is_light(arguments):
    code = f"""
import runpy, sys
sys.argv = ["anrl", *{arguments}]
try:
    runpy.run_module("anrl", run_name="__main__")
except SystemExit as stop:
    assert not stop.code
"""
    assert loaded_by(code, (*HEAVY, "numpy")) == []


def test_no_test_imports_another():
    files = sorted((ROOT / "tests").rglob("*.py"))
    own = {file.stem for file in files if file.name.startswith("test_")} | {"conftest", "tests"}
    for file in files:
        names = [entry.name for entry in imports_of(ast.parse(file.read_text()), file.stem, False)]
        assert not [name for name in names if own & set(name.split("."))], file


def public_examples() -> Iterator[tuple[str, ast.AST]]:
    """Code of the notebooks, and of scripts and pages under docs."""
    for file in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for number, cell in enumerate(json.loads(file.read_text())["cells"], 1):
            if cell["cell_type"] == "code":
                lines = [line for line in "".join(cell["source"]).splitlines() if line[:1] not in ("%", "!")]
                yield f"{file.name}, cell {number}", ast.parse("\n".join(lines))
    for file in sorted((ROOT / "docs").rglob("*.py")):
        yield str(file.relative_to(ROOT)), ast.parse(file.read_text())
    for file in sorted((ROOT / "docs").rglob("*.md")):
        for number, block in enumerate(file.read_text().split("```python\n")[1:], 1):
            yield f"{file.relative_to(ROOT)}, block {number}", ast.parse(block.partition("```")[0])


def test_notebooks_and_docs_use_public_names():
    examples = list(public_examples())
    private = []
    for place, tree in examples:
        names = [entry.name for entry in imports_of(tree, "example", False)]
        names += [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        private += [
            f"{place}: {name}"
            for name in names
            if name.startswith("anrl.") and any(part.startswith("_") for part in name.split("."))
        ]
    assert examples and not private, "\n".join(private)


def test_rust_modules_form_no_circle():
    edges = dependencies(ROOT / "src")
    assert "crate::image" in edges["crate::sample::transform"]
    assert_no_circle(edges)


def test_rust_images_know_no_decoder():
    assert not [
        name for name in dependencies(ROOT / "src")["crate::image"] if name.startswith("crate::image::")
    ]
