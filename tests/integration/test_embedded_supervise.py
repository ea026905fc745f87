"""The supervisor, on small real processes."""

import io
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from calltrack.embedded import backoff
from calltrack.embedded.backoff import Backoff
from calltrack.embedded.child import State, for_shell
from calltrack.embedded.process import command_line
from calltrack.embedded.supervise import Supervisor

ENVIRON = {"PATH": os.environ["PATH"], "GREETING": "hello"}


def eventually(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def output():
    return io.StringIO()


@pytest.fixture
def quick(monkeypatch):
    """Starts again at once."""
    monkeypatch.setattr(backoff, "FIRST", 0.0)


@pytest.fixture
def supervise(tmp_path, output):
    def supervise(grace=10.0, hurry=None, **commands):
        return Supervisor(commands, ENVIRON, tmp_path, output=output, grace=grace, hurry=hurry)

    return supervise


def lines(output, name):
    """What stands in the output under this name."""
    return [line.split("| ", 1)[1] for line in output.getvalue().splitlines() if line.split()[1] == name]


def is_gone(pid: int) -> bool:
    """Whether nothing is left of it that could do anything: what nobody took note of yet has no command line."""
    return not command_line(pid)


def test_lines_come_out_under_the_name_of_their_process(supervise, output):
    with supervise(one='echo "$GREETING"; echo again >&2; sleep 60', two="printf 'no end of line'; sleep 60"):
        eventually(lambda: len(lines(output, "one")) == 2)
    assert lines(output, "one") == ["hello", "again"]
    assert lines(output, "two") == ["no end of line"]


@pytest.mark.parametrize(
    ("command", "is_plain"),
    [
        ('celery -A tasks worker -Q "$(calltrack queues fetch)" --loglevel INFO', True),
        ("cd elsewhere && celery -A tasks beat", False),
        ("flower | cat", False),
        ("(celery beat)", False),
        ("TZ=UTC celery beat", False),
        ("echo 'never closed", False),
    ],
)
def test_only_a_plain_command_takes_the_place_of_the_shell(command, is_plain):
    assert for_shell(command) == (f"exec {command}" if is_plain else command)


def test_commands_run_in_the_folder_they_are_given(supervise, output, tmp_path):
    with supervise(where="pwd"):
        eventually(lambda: lines(output, "where"))
    assert lines(output, "where")[0] == str(tmp_path)


@pytest.mark.usefixtures("quick")
def test_what_dies_is_started_again(supervise, output):
    with supervise(failing="sh -c 'echo here; exit 3'", steady="sleep 60") as supervisor:
        eventually(lambda: supervisor.states["failing"].starts >= 3)
        assert supervisor.states["failing"].exit_code == 3
        assert supervisor.states["steady"].starts == 1
        os.kill(supervisor.states["steady"].pid, signal.SIGKILL)
        eventually(lambda: supervisor.states["steady"].starts == 2)
        assert supervisor.states["steady"].exit_code == -signal.SIGKILL
    assert "failing ended (exit code 3): starting it again in 0.0 s" in lines(output, "calltrack")
    assert "steady ended (signal 9): starting it again in 0.0 s" in lines(output, "calltrack")


def test_what_a_dead_process_left_running_is_ended(supervise, output):
    """It would hold the port that the next one needs."""
    with supervise(leaving="sh -c 'sleep 60 & echo $!'"):
        eventually(lambda: "leaving ended (exit code 0): starting it again in 0.5 s" in lines(output, "calltrack"))
        eventually(lambda: is_gone(int(lines(output, "leaving")[0])))


def test_stopping_lets_them_end_in_good_order(supervise, output):
    """The signal reaches the command itself, not a shell in front of it."""
    command = "sh -c 'trap \"echo bye; exit 0\" TERM; echo ready; while :; do sleep 0.05; done'"
    with supervise(tidy=command) as supervisor:
        eventually(lambda: lines(output, "tidy"))
    assert lines(output, "tidy") == ["ready", "bye"]
    assert supervisor.states["tidy"] == State("tidy", None, 1, 0)


STUBBORN = "sh -c 'trap \"\" TERM; echo $$; while :; do sleep 60; done'"


def test_who_does_not_end_is_killed(supervise, output):
    with supervise(grace=0.1, stubborn=STUBBORN) as supervisor:
        eventually(lambda: lines(output, "stubborn"))
    assert supervisor.states["stubborn"].exit_code == -signal.SIGKILL
    assert is_gone(int(lines(output, "stubborn")[0]))


def test_who_is_in_a_hurry_need_not_wait(supervise, output):
    hurry = threading.Event()
    with supervise(grace=600, hurry=hurry, stubborn=STUBBORN):
        eventually(lambda: lines(output, "stubborn"))
        hurry.set()


def test_waiting_ends_with_the_processes(supervise):
    supervisor = supervise(steady="sleep 60")
    with supervisor:
        assert not supervisor.wait(0.01)
    assert supervisor.wait(0.01)


def test_nobody_reads_any_more(tmp_path):
    """As in `calltrack up | head -1`."""
    read, write = os.pipe()
    output = os.fdopen(write, "w")
    with Supervisor({"talking": "yes"}, ENVIRON, tmp_path, output=output) as supervisor:
        os.close(read)
        assert supervisor.wait(20)
    with pytest.raises(BrokenPipeError):
        output.close()


def test_letters_that_the_terminal_cannot_show_are_replaced(tmp_path):
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with Supervisor({"talking": "echo café; sleep 60"}, ENVIRON, tmp_path, output=output):
        eventually(lambda: b"caf" in output.buffer.getvalue())
    assert b"| caf?\n" in output.buffer.getvalue()


RUN_FOR_EVER = """
import os, sys
from pathlib import Path
from calltrack.embedded.process import command_line
from calltrack.embedded.supervise import Supervisor
with Supervisor({"web": "sh -c 'echo $$; exec sleep 600'"}, dict(os.environ), Path("/")) as supervisor:
    supervisor.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_nothing_survives_a_killed_supervisor():
    with subprocess.Popen([sys.executable, "-c", RUN_FOR_EVER], stdout=subprocess.PIPE, text=True) as supervisor:
        try:
            pid = int(supervisor.stdout.readline().split("|")[1])
            # Not at once: while a process becomes another program, it has no command line.
            eventually(lambda: "sleep 600" in command_line(pid))
        finally:
            supervisor.kill()
    eventually(lambda: is_gone(pid))


def test_waits_double_until_a_life_was_healthy(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    found = Backoff()
    waits = []
    for _ in range(9):
        found.born()
        now += 1
        waits.append(found.died())
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert not found.is_due
    now += 30
    assert found.is_due
    found.born()
    assert not found.is_waiting
    now += 60
    assert found.died() == 0.5
