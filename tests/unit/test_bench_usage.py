"""What a benchmark says of the CPU time that processes took."""

import subprocess
import sys

import psutil

from bench import usage

#: has a child that computes, says so, and ends when it is told to; says when the child is buried
PARENT = """
import subprocess, sys
CHILD = "import time\\nwhile time.process_time() < 0.5: pass\\nprint('computed', flush=True)\\ninput()"
subprocess.run([sys.executable, "-c", CHILD], check=True)
print("buried", flush=True)
input()
"""


def test_a_child_that_ends_while_it_is_looked_at_is_counted(monkeypatch):
    """Its parent was looked at before it was buried there, and it is gone when its own turn comes."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as one:
        assert one.stdout.readline() == b"computed\n"
        root, look = psutil.Process(one.pid), usage._seconds

        def end_the_child_after(process):
            seconds = look(process)
            if root.children():
                one.stdin.write(b"end\n")
                assert one.stdout.readline() == b"buried\n"
            return seconds

        monkeypatch.setattr(usage, "_seconds", end_the_child_after)
        assert usage.taken(root) > 0.4
        one.stdin.write(b"end\n")
