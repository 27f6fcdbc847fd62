"""A digest of code: a cache that is keyed by it holds nothing that older code has made."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARY = "M3LungScreenLib"


@cache
def code_sha256(*code: ModuleType | Callable[..., Any]) -> str:
    """Of the sources of functions and modules (of a package all its modules).

    What a module imports of the library counts, too, and what that imports in turn; of Training
    only what is named.
    """
    digest = sha256()
    names = {each.__name__ for each in code if isinstance(each, ModuleType)}
    for name in sorted(_with_imports(names)):
        digest.update(_path_of(name).read_bytes())
    for each in code:
        if not isinstance(each, ModuleType):
            digest.update(inspect.getsource(each).encode())
    return digest.hexdigest()


def _with_imports(names: set[str]) -> set[str]:
    found: set[str] = set()
    waiting = {module for name in names for module in (name, *_modules_of(name))}
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= _imported_by(name) - found
    return found


def _modules_of(name: str) -> list[str]:
    """The modules of a package; none of a plain module."""
    folder = getattr(importlib.import_module(name), "__path__", [])
    return [f"{name}.{each.name}" for each in pkgutil.iter_modules(folder)]


def _imported_by(name: str) -> set[str]:
    """Modules of the library that a module imports wherever, also within its functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(_path_of(name).read_bytes())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return {each for each in found if each.startswith(f"{LIBRARY}.") and _is_module(each)}


def _is_module(name: str) -> bool:
    """False for what is a name within a module."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _path_of(name: str) -> Path:
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin)
