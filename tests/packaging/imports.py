"""What the source files of a package import, and which distribution each import comes from."""

import ast
import functools
import importlib.metadata
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Import:
    """One import of a third-party module."""

    module: str
    """as deep as it can be known from the file alone"""
    attribute: str | None
    """`b` in `from a import b`, which may be a module too"""
    file: Path
    line: int
    deferred: bool
    """inside a function or for the type checker: not run by importing the file"""


def third_party(package: Path) -> Iterator[Import]:
    """Give the imports of a package's files, less the standard library's and our own."""
    for file in sorted(package.rglob("*.py")):
        for found in _imports(ast.parse(file.read_text("utf-8")), file, deferred=False):
            root = found.module.split(".")[0]
            if root not in sys.stdlib_module_names and root.split("_")[0] != "phasewise":
                yield found


def _imports(tree: ast.AST, file: Path, *, deferred: bool) -> Iterator[Import]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield Import(name.name, None, file, node.lineno, deferred)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for name in node.names:
                yield Import(node.module, name.name, file, node.lineno, deferred)
        else:
            later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or _is_for_types(node)
            yield from _imports(node, file, deferred=deferred or later)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def distribution(found: Import) -> str | None:
    """Name the installed distribution that an import comes from; None where none has it."""
    owners = _owners()
    deepest = found.module if found.attribute is None else f"{found.module}.{found.attribute}"
    words = deepest.split(".")
    for depth in range(len(words), 0, -1):
        owner = owners.get(".".join(words[:depth]))
        if owner is not None:
            return owner
    return None


@functools.cache
def _owners() -> dict[str, str]:
    """Map each installed module to its distribution; folders that several share are left out."""
    owners: dict[str, str] = {}
    for installed in importlib.metadata.distributions():
        name = normalised(installed.metadata["Name"])
        for file in installed.files or ():
            module = _module(PurePosixPath(file))
            if module is not None:
                owners[module] = name
    return owners


def _module(file: PurePosixPath) -> str | None:
    if file.suffix not in (".py", ".so", ".pyd") or ".." in file.parts:
        return None
    words = [*file.parent.parts, file.name.split(".")[0]]
    if words[-1] == "__init__":
        words.pop()
    return ".".join(words)


def normalised(requirement: str) -> str:
    """Give the distribution's name in a requirement, as PyPI compares names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!;~ ]", requirement)[0]).lower()
