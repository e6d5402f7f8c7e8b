"""Dependencies between the Rust modules, read from their ``use`` declarations and paths."""

import re
from pathlib import Path

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_STRING = re.compile(r'r(#+)".*?"\1|b?"(?:\\.|[^"\\])*"', re.DOTALL)
_USE = re.compile(r"\b(pub\s+)?use\s+([^;]+);")
_PATH = re.compile(r"(?<![\w:])(?:crate|super|self)(?:::\w+)+")


def dependencies(folder: Path) -> dict[str, set[str]]:
    """For each module below a folder of sources, the modules that it uses outside its tests.

    Modules are named ``crate::a::b``. Neither declaring a child nor a ``pub use`` of a name makes a module
    depend on it, unless the module uses the name itself; elsewhere the name counts as one of the module
    that defines it.
    """
    files = {_name(file, folder): file for file in sorted(folder.rglob("*.rs"))}
    uses: dict[str, set[str]] = {}
    exports: dict[str, str] = {}
    for module, file in files.items():
        source = _STRING.sub('""', _COMMENT.sub("", file.read_text())).replace("$crate", "crate")
        source = _without_tests(source)
        code = _USE.sub("", source)
        uses[module] = {_absolute(path, module, files) for path in _PATH.findall(code)}
        for public, use in _USE.findall(source):
            for path in _expand(use):
                name, target = path.rpartition("::")[2], _absolute(path, module, files)
                if public:
                    exports[f"{module}::{name}"] = target
                if not public or re.search(rf"\b{name}\b", code):
                    uses[module].add(target)
    edges = {}
    for module, paths in uses.items():
        targets = {_module(exports.get(path, path), files) for path in paths}
        edges[module] = {target for target in targets if target not in (None, module)}
    return edges


def _name(file: Path, folder: Path) -> str:
    parts = file.relative_to(folder).with_suffix("").parts
    return "::".join(["crate", *(parts[:-1] if parts[-1] in ("mod", "lib") else parts)])


def _without_tests(source: str) -> str:
    """Cut what ``#[cfg(test)]`` guards: up to the end of its block or declaration."""
    while (start := source.find("#[cfg(test)]")) >= 0:
        depth, end = 0, start
        for end in range(start + len("#[cfg(test)]"), len(source)):
            depth += {"{": 1, "}": -1}.get(source[end], 0)
            if depth == 0 and source[end] in "};":
                break
        source = source[:start] + source[end + 1 :]
    return source


def _expand(use: str) -> list[str]:
    """``a::{b, c::{d, e}}`` → ``a::b``, ``a::c::d``, ``a::c::e``."""
    use = re.sub(r"\s+as\s+\w+", "", use)
    use = re.sub(r"\s+", "", use)
    prefix, brace, rest = use.partition("{")
    if not brace:
        return [use]
    depth, start, parts = 0, 0, []
    inner = rest[: rest.rindex("}")]
    for position, letter in enumerate(inner + ","):
        depth += {"{": 1, "}": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append(inner[start:position])
            start = position + 1
    return [path for part in parts if part for path in _expand(prefix + part)]


def _absolute(path: str, module: str, files: dict[str, Path]) -> str:
    """A path from the crate's root; that of another crate as it is."""
    first, _, rest = path.partition("::")
    if first == "crate":
        return path
    if first == "self":
        return f"{module}::{rest}"
    if first == "super":
        return _absolute(f"self::{rest}", module.rpartition("::")[0], files)
    # Without a prefix a path starts at a child of the module, or at another crate.
    return f"{module}::{path}" if f"{module}::{first}" in files else path


def _module(path: str, files: dict[str, Path]) -> str | None:
    """The module that a path names, or that its item lies in."""
    while path and path not in files:
        path = path.rpartition("::")[0]
    return path or None
