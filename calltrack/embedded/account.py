"""Whom the embedded servers run as. Postgres refuses root, so root lends it an account that can do nothing else."""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from calltrack.errors import FixConfiguration

#: accounts that exist on most systems; the first one found is taken
UNPRIVILEGED = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    name: str
    uid: int
    gid: int

    def can_enter(self, folder: Path) -> bool:
        return self._runs(["/bin/sh", "-c", 'test -x "$1"', "sh", str(folder)])

    def can_run(self, program: Path) -> bool:
        return self._runs([str(program), "--version"])

    def owns(self, path: Path) -> None:
        """Make this account the owner of one path of ours, and never of what a link there points at."""
        os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def _runs(self, command: list[str]) -> bool:
        """Tried for real: modes do not tell about access lists and mount options."""
        try:
            ended = subprocess.run(  # noqa: S603 - programs of ours
                command, user=self.uid, group=self.gid, extra_groups=[], cwd="/", capture_output=True, check=False
            )
        except PermissionError:
            return False
        return ended.returncode == 0


def service_account(data: Path) -> Account | None:
    """Whom servers with their files in `data` run as; None: ourselves, as we are not root."""
    if os.geteuid() != 0:
        _refuse_nameless(os.geteuid())
        return None
    found = _owner(data) or _first_known()
    if found is None:
        raise FixConfiguration(
            "Postgres does not run as root, and there is neither a user `postgres` nor `nobody` to run it as: "
            "run calltrack as an ordinary user, or set DATABASE_URL."
        )
    return Account(found.pw_name, found.pw_uid, found.pw_gid)


def _owner(data: Path) -> pwd.struct_passwd | None:
    """Who ran the servers before: their files are theirs, whatever accounts came or went since."""
    try:
        uid = data.stat().st_uid
        return pwd.getpwuid(uid) if uid else None
    except (FileNotFoundError, KeyError):
        return None


def _first_known() -> pwd.struct_passwd | None:
    for name in UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


def _refuse_nameless(uid: int) -> None:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        raise FixConfiguration(
            f"Postgres cannot run as user id {uid}, which has no name on this system: "
            "add it to /etc/passwd, or set DATABASE_URL."
        ) from None
