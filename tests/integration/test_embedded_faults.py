"""What can be in the way of the embedded servers: one sentence each, and what to do."""

import os
import pwd
import re
import stat
import sys
from pathlib import Path

import pytest

from calltrack.config import KEYS_FILE, SERVERS_FILE, SERVERS_LOCK, resolve
from calltrack.embedded import account, binaries, home, keeper, place
from calltrack.embedded.account import service_account
from calltrack.embedded.home import make_home, make_keys, open_log, recall, write_private
from calltrack.embedded.lock import Lock, alone_in
from calltrack.embedded.place import Place, find_place
from calltrack.embedded.ports import free_port, is_free
from calltrack.embedded.postgres import Postgres
from calltrack.embedded.process import command_line
from calltrack.embedded.servers import Servers
from calltrack.embedded.valkey import Valkey
from calltrack.errors import FixConfiguration


@pytest.fixture(autouse=True)
def shared(tmp_path, monkeypatch):
    """pytest's folders are closed to others: root would go elsewhere."""
    monkeypatch.setattr(place, "SHARED", tmp_path / "shared")


def nobody_known(name_or_uid):
    raise KeyError(name_or_uid)


@pytest.mark.parametrize(("find", "variable"), [("postgres_bin", "DATABASE_URL"), ("valkey_server", "REDIS_URL")])
def test_no_wheel_for_this_platform(monkeypatch, tmp_path, find, variable):
    monkeypatch.setattr(binaries, "_site", lambda _: tmp_path)
    with pytest.raises(FixConfiguration, match=rf"There is no embedded .* for this platform .* set {variable}"):
        getattr(binaries, find)()


def test_a_package_that_is_not_installed_has_no_programs(monkeypatch):
    monkeypatch.setattr(binaries, "find_spec", lambda _: None)
    with pytest.raises(FixConfiguration, match="There is no embedded Postgres"):
        binaries.postgres_bin()


@pytest.mark.parametrize(
    ("system", "machine", "folder"),
    [
        ("Linux", "x86_64", "linux-x86_64"),
        ("Linux", "aarch64", "linux-aarch64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Darwin", "x86_64", "darwin-x86_64"),
    ],
)
def test_the_platforms_of_the_wheels(monkeypatch, system, machine, folder):
    monkeypatch.setattr(binaries.platform, "system", lambda: system)
    monkeypatch.setattr(binaries.platform, "machine", lambda: machine)
    assert binaries._platform() == folder


def test_a_user_without_a_name(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    monkeypatch.setattr(pwd, "getpwuid", nobody_known)
    with pytest.raises(FixConfiguration, match="4242, which has no name on this system"):
        service_account(tmp_path)


def test_root_without_anybody_to_lend_its_servers_to(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", nobody_known)
    with pytest.raises(FixConfiguration, match="neither a user `postgres` nor `nobody`"):
        service_account(tmp_path / "data")


def test_root_lends_them_to_nobody_where_there_is_no_postgres(monkeypatch, tmp_path):
    known = {"nobody": pwd.struct_passwd(("nobody", "x", 65534, 65533, "", "/", "/bin/false"))}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", known.__getitem__)
    assert service_account(tmp_path / "data") == account.Account("nobody", 65534, 65533)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_goes_on_with_whom_the_files_belong_to(tmp_path):
    """Else a `postgres` that was installed later would find files of `nobody`."""
    os.chown(tmp_path, pwd.getpwnam("daemon").pw_uid, -1)
    assert service_account(tmp_path).name == "daemon"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_what_a_link_points_at_is_not_given_away(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.touch()
    link.symlink_to(target)
    daemon = pwd.getpwnam("daemon")
    account.Account("daemon", daemon.pw_uid, daemon.pw_gid).owns(link)
    assert (target.stat().st_uid, link.lstat().st_uid) == (0, daemon.pw_uid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_folder_that_was_made_but_not_given_away_yet_is(tmp_path, monkeypatch):
    monkeypatch.setattr(account.Account, "can_enter", lambda *_: True)
    (tmp_path / "data").mkdir()
    where = find_place(tmp_path, "id")
    assert where.data.stat().st_uid == where.account.uid


def test_files_that_root_made_are_no_ordinary_users(monkeypatch, tmp_path):
    monkeypatch.setattr(place, "service_account", lambda _: None)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FixConfiguration, match="belongs to somebody else"):
        find_place(tmp_path, "id")


def test_a_home_that_cannot_be_made(tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    told = r"home cannot be used \(Permission denied\): .* set CALLTRACK_HOME"
    servers = Servers(resolve({"CALLTRACK_HOME": str(tmp_path / "home")}))
    with pytest.raises(FixConfiguration, match=told):
        servers.start()
    with pytest.raises(FixConfiguration, match=told), alone_in(tmp_path / "home"):
        pass


def test_a_home_that_was_there_is_left_as_it_is(tmp_path):
    tmp_path.chmod(0o750)
    make_home(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_a_new_home_is_for_its_owner(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    make_home(tmp_path / "a" / "b")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a" / "b")] == [0o700, 0o700]


def test_no_room_on_the_disk(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "embedded.json")

    monkeypatch.setattr(keeper, "remember", full)
    servers = Servers(resolve({"CALLTRACK_HOME": str(tmp_path)}))
    with pytest.raises(FixConfiguration, match=r"embedded\.json cannot be used \(No space left on device\)"):
        servers.start()
    assert not (tmp_path / SERVERS_FILE).exists()
    assert Lock(tmp_path / SERVERS_LOCK).take()


@pytest.mark.parametrize(
    ("logged", "told"),
    [
        ("FATAL:  could not write lock file: No space left on device", "The disk is full: Postgres needs room"),
        ("initdb: error: could not change: Permission denied\ninitdb: removing data directory", "Permission denied"),
        ("something else", r"\(something else\)"),
        ("", "does not say why"),
    ],
)
def test_the_reason_stands_in_the_log(tmp_path, logged, told):
    postgres = Postgres(tmp_path, Place(None, tmp_path), 1, "pw", {})
    with open_log(postgres.log) as log:
        log.write(b"FATAL:  an old story\n")
    size = postgres.log.stat().st_size
    with open_log(postgres.log) as log:
        log.write(logged.encode())
    assert re.search(told, postgres.fault(size).message)
    assert "old story" not in postgres.fault(size).message


def test_a_log_that_grew_large_is_begun_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(home, "LARGEST_LOG", 3)
    for _ in range(2):
        with open_log(tmp_path / "logs" / "x.log") as log:
            assert log.tell() == 0
            log.write(b"four")


def test_a_memory_that_cannot_be_read(tmp_path):
    (tmp_path / "embedded.json").write_text("{")
    with pytest.raises(FixConfiguration, match=r"embedded\.json cannot be read"):
        recall(tmp_path)


def test_a_private_file_replaces_what_was_there_and_stays_private(tmp_path):
    path = tmp_path / "secret"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, "new")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o600)
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_that_was_made_can_be_used(tmp_path):
    make_keys(tmp_path)
    assert stat.S_IMODE((tmp_path / KEYS_FILE).stat().st_mode) == 0o600
    assert len(resolve({"CALLTRACK_HOME": str(tmp_path)}).secret_keys["k1"]) >= 32


def test_another_command_that_stays_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("calltrack.embedded.servers.PATIENCE", 0)
    lock = Lock(tmp_path / SERVERS_LOCK)
    assert lock.take()
    with pytest.raises(FixConfiguration, match=rf"process {os.getpid()}\) has the embedded servers"):
        Servers(resolve({"CALLTRACK_HOME": str(tmp_path)}), alone=True).start()
    lock.release()


def test_a_wanted_port_is_kept_if_it_is_free():
    wanted = free_port()
    assert free_port(wanted) == wanted
    assert is_free(wanted)


def test_command_lines():
    assert "pytest" in command_line(os.getpid()) or Path(sys.executable).name in command_line(os.getpid())
    assert command_line(2**30) == ""


def test_valkey_gets_its_password_where_nobody_sees_it(tmp_path):
    valkey = Valkey(tmp_path, Place(None, tmp_path), 1, "the-password", {"appendonly": "no"})
    assert "the-password" not in " ".join(valkey.command())
    assert 'requirepass "the-password"\n' in valkey.configuration()
    assert 'appendonly "no"\n' in valkey.configuration()
