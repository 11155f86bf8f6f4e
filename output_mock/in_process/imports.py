"""Get told when a package is imported, without importing it."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Loader(Loader):
    """Loads a package with its own loader, and then tells that it is loaded."""

    def __init__(self, loader: Loader, heard: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._heard = heard

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The module, by the package's own loader."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run the package's code, and tell that it is loaded."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._heard(module)


class _Finder(MetaPathFinder):
    def __init__(self, names: Sequence[str], heard: Callable[[ModuleType], None]) -> None:
        self._names = names
        self._heard = heard
        self._asking = threading.local()

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Wrap what the other finders find for the watched packages."""
        if fullname not in self._names or getattr(self._asking, "now", False):
            return None
        self._asking.now = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking.now = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self._heard)
        return spec


_finder: _Finder | None = None


def when_imported(names: Sequence[str], heard: Callable[[ModuleType], None]) -> None:
    """Call `heard(module)` in the importing thread whenever one of these packages has been imported, until
    `forget` is called. Does nothing if the packages are watched already.
    """
    global _finder
    if _finder is None:
        _finder = _Finder(names, heard)
        sys.meta_path.insert(0, _finder)


def forget() -> None:
    """Stop watching imports."""
    global _finder
    if _finder is not None and _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    _finder = None
