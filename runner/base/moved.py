"""Names under which modules are imported, or started, that lie elsewhere now.

Configs, journals and stores name parts, `runner.mlp.mlp` say, and people have typed the commands:
such names stay valid wherever the code goes.
"""

from importlib import import_module
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import find_spec
from types import ModuleType

MOVED = {
    "runner.measure": "runner.engine.measure",
    "runner.mlp": "runner.model.mlp",
    "runner.publish": "runner.cli.publish",
    "runner.report.__main__": "runner.cli.report",
    "runner.resume": "runner.cli.resume",
    "runner.show": "runner.cli.show",
    "runner.study.__main__": "runner.cli.study",
    "runner.ui": "runner.cli.ui",
}
"""By the old name of a module, or of a package, where it is."""


class Moved:
    """Finds modules under their old names: the same module, not a second one."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return how to import the module of that old name; None for any other name."""
        for old, new in MOVED.items():
            if name == old or name.startswith(f"{old}."):
                there = find_spec(new + name.removeprefix(old))
                return there and ModuleSpec(name, _Alias(name, there), origin=there.origin)
        return None


class _Alias(SourceFileLoader):
    """Loads a module by its new name, and runs it under its old one: `python -m`."""

    def __init__(self, name: str, spec: ModuleSpec) -> None:
        super().__init__(name, spec.origin or "")
        self._spec = spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module itself, imported under its new name."""
        return import_module(self._spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own spec back, which the import system has replaced."""
        module.__spec__ = self._spec
