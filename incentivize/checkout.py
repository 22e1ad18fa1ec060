"""An import hook for a checkout: `import envs` gives `incentivize.envs`, the same modules and not copies of them."""

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType


class _Alias(MetaPathFinder, Loader):
    """A finder of modules `folder.x` as `incentivize.folder.x`."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{self.folder}."):
            return None
        module = importlib.import_module(f"incentivize.{fullname}")
        return ModuleSpec(fullname, self, loader_state=module.__spec__, is_package=hasattr(module, "__path__"))

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return sys.modules[f"incentivize.{spec.name}"]

    def exec_module(self, module: ModuleType) -> None:
        """Give a module its own spec back, which the import of the alias has replaced."""
        alias = module.__spec__
        if alias is not None and alias.loader is self:
            module.__spec__ = alias.loader_state


def alias(folder: str) -> None:
    """Make a top-level package of a checkout an alias of its package in `incentivize`.

    Args:
        folder: "envs", "agents", "rewards" or "experiments".
    """
    sys.modules[folder] = importlib.import_module(f"incentivize.{folder}")
    sys.meta_path.insert(0, _Alias(folder))
