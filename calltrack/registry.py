"""Which providers there are: the folders of `calltrack/providers/`, and what other packages bring.

A package brings a provider by an entry point of the group `calltrack.providers`: its name is the provider's name, its
value the module that holds `PROVIDER`. A plug-in that cannot be used is left out, and told of: it takes no other down.
"""

from __future__ import annotations

import logging
import pkgutil
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from calltrack import providers
from calltrack.errors import FixConfiguration, UnknownDoor
from calltrack.provider import Provider

GROUP = "calltrack.providers"
#: stands in URLs, queues' names, the database and the names of environment variables, and never changes
NAME = re.compile(r"[a-z][a-z0-9]{0,62}")
#: where the receiver's own doors are
RESERVED = re.compile(r"/(webhooks|healthz|readyz)(/.*)?")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fault:
    """A plug-in that cannot be used, and what to do about it."""

    name: str
    package: str
    message: str


@dataclass(frozen=True)
class _Plugins:
    """What other packages bring: usable providers with the modules that hold them, and the others."""

    modules: Mapping[str, str]
    providers: Mapping[str, Provider]
    faults: tuple[Fault, ...]


@cache
def names() -> tuple[str, ...]:
    """All provider names, sorted."""
    return tuple(sorted({*_built_in(), *_plugins().modules}))


@cache
def get(name: str) -> Provider:
    """The provider of this name, imported on first use. Raises `UnknownDoor` with the known names."""
    if name in _built_in():
        return _declared(_folder(name), name)
    if name in _plugins().providers:
        return _plugins().providers[name]
    left_out = [fault.message for fault in faults() if fault.name == name]
    raise UnknownDoor(" ".join([f"There is no provider {name!r}. There are: {', '.join(names())}.", *left_out]))


def module(name: str) -> str:
    """The name of the module that holds the provider: its package has the fixtures too."""
    return _folder(name) if name in _built_in() else _plugins().modules[name]


def faults() -> tuple[Fault, ...]:
    """The plug-ins that cannot be used."""
    return _plugins().faults


def forget() -> None:
    """Look anew: packages were installed, or removed."""
    for known in (names, get, _plugins):
        known.cache_clear()


@cache
def _built_in() -> frozenset[str]:
    return frozenset(found.name for found in pkgutil.iter_modules(providers.__path__))


def _folder(name: str) -> str:
    return f"{providers.__name__}.{name}"


@cache
def _plugins() -> _Plugins:
    """Imported here, all of them: a name is given out only where there is a provider behind it."""
    modules: dict[str, str] = {}
    found: dict[str, Provider] = {}
    broken: list[Fault] = []
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (_package(entry), entry.name)):
        try:
            found[entry.name] = _usable(entry, found)
            modules[entry.name] = entry.module
        except Exception as error:  # noqa: BLE001 - whatever somebody else's module raises when it is imported
            broken.append(_fault(entry, error))
            logger.error(broken[-1].message)  # noqa: TRY400 - a traceback may show what the module has in its hands
    return _Plugins(MappingProxyType(modules), MappingProxyType(found), tuple(broken))


def _usable(entry: EntryPoint, others: Mapping[str, Provider]) -> Provider:
    """The plug-in's provider. Raises whatever is in the way."""
    if not NAME.fullmatch(entry.name):
        raise FixConfiguration("a provider's name is small letters and digits.")
    if entry.name in _built_in() or entry.name in others:
        raise FixConfiguration("there is a provider of this name already.")
    provider = _declared(entry.module, entry.name)
    if taken := sorted(set(provider.webhook.paths) & set(_doors(others)) | _own_doors(provider)):
        raise FixConfiguration(f"its door {taken[0]} is another's.")
    return provider


def _declared(holder: str, name: str) -> Provider:
    provider = getattr(import_module(holder), "PROVIDER", None)
    if not isinstance(provider, Provider):
        raise FixConfiguration(f"{holder} has no PROVIDER that is a calltrack.provider.Provider.")
    if provider.name != name:
        raise FixConfiguration(f"it is registered as {name!r} and calls itself {provider.name!r}.")
    return provider


def _doors(others: Mapping[str, Provider]) -> Iterator[str]:
    """The further doors of all other providers."""
    for provider in [*map(get, _built_in()), *others.values()]:
        yield from provider.webhook.paths


def _own_doors(provider: Provider) -> set[str]:
    return {path for path in provider.webhook.paths if RESERVED.fullmatch(path)}


def _fault(entry: EntryPoint, error: Exception) -> Fault:
    package = _package(entry)
    why = error.message if isinstance(error, FixConfiguration) else f"{type(error).__name__}: {_first_line(error)}"
    message = f"The provider {entry.name!r} of the package {package} is left out: {why.rstrip('.')}."
    return Fault(entry.name, package, f"{message} Mend the package, or remove it: pip uninstall {package}")


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.module.partition(".")[0]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:200]
