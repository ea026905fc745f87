"""Which providers there are. The folder is the registration: `calltrack/providers/<name>/`."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from calltrack import providers
from calltrack.errors import UnknownDoor
from calltrack.provider import Provider


@cache
def names() -> tuple[str, ...]:
    """All provider names, sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(providers.__path__)))


@cache
def get(name: str) -> Provider:
    """The provider of this name, imported on first use. Raises `UnknownDoor` with the known names."""
    if name not in names():
        raise UnknownDoor(f"There is no provider {name!r}. There are: {', '.join(names())}.")
    provider = import_module(f"{providers.__name__}.{name}").PROVIDER
    assert isinstance(provider, Provider)
    assert provider.name == name, f"{name}: the folder's name is the provider's name"
    return provider
