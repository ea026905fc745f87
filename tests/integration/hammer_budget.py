"""Many processes that take from one budget as fast as they can: hammer_budget.py URL PROCESSES SECONDS.

Each leaves the moments of its grants, by the server's clock, as one JSON list in the Redis list `stamps`.
"""

import json
import os
import sys
import time

import redis

from calltrack.client.budget import Budget, Lane, Limit


class Stamping(redis.Redis):
    """Asks for the server's time together with each run of a script."""

    stamp = 0.0

    def evalsha(self, sha, numkeys, *keys_and_args):
        with self.pipeline(transaction=True) as pipe:
            pipe.evalsha(sha, numkeys, *keys_and_args)
            pipe.time()
            answer, (seconds, microseconds) = pipe.execute()
        self.stamp = seconds + microseconds / 1e6
        return answer


def hammer(url, until):
    client = Stamping.from_url(url)
    budget = Budget(client, "acme/hammered", [Limit.parse("50/second")], processes=10)
    stamps = []
    while time.monotonic() < until:
        wait = budget.take(Lane.INCREMENTAL)
        if wait == 0.0:
            stamps.append(client.stamp)
        else:
            time.sleep(min(wait, max(0.0, until - time.monotonic())))
    client.rpush("stamps", json.dumps(stamps))


def main(url, processes, seconds):
    until = time.monotonic() + float(seconds)
    children = []
    for _ in range(int(processes)):
        child = os.fork()
        if child == 0:
            hammer(url, until)
            os._exit(0)
        children.append(child)
    sys.exit(max(os.waitpid(child, 0)[1] for child in children))


main(*sys.argv[1:])
