"""Finding declarations by loading their package, so that nothing is listed a second time."""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TypeVar

Declared = TypeVar("Declared")


def declared_in(package: ModuleType, kind: type[Declared]) -> list[Declared]:
    """Return the objects of a type that the modules of a package hold, each once.

    Dagster's own `load_assets_from_package_module` and `load_asset_checks_from_package_module` find
    finished definitions. Ours are finished once the settings are known: partitions depend on them.
    """
    modules = (
        import_module(name) for _, name, _ in iter_modules(package.__path__, f"{package.__name__}.")
    )
    held = (value for module in modules for value in vars(module).values())
    return list({id(value): value for value in held if isinstance(value, kind)}.values())
