"""Hurt the system, round after round, and count every call after each.

python -m tests.chaos [--rounds 5] [--seed N] [--records 1500] [--short]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random, SystemRandom

import click

from tests.chaos.round import Result, play
from tests.chaos.stage import stage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=None, help="of the first round; the next ones count on")
    parser.add_argument("--records", type=int, default=1500, help="calls at each provider")
    parser.add_argument("--short", action="store_true", help="what lasts 20 s lasts 5 s")
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else SystemRandom().randrange(1_000_000)
    home = Path(tempfile.mkdtemp(prefix="calltrack-chaos-"))
    home.chmod(0o711)
    began = time.monotonic()
    results: list[Result] = []
    with stage(home) as made:
        for number in range(asked.rounds):
            result = play(made, Random(seed + number), seed + number, asked.records, short=asked.short)
            results.append(result)
            click.echo(result.line())
            if result.unexplained:
                break
    bad = sum(len(result.unexplained) for result in results)
    faults = Counter(name for result in results for name in result.faults)
    click.echo(
        f"\n{len(results)} rounds in {time.monotonic() - began:.0f} s, {faults.total()} faults of {len(faults)} kinds, "
        f"{sum(result.ids for result in results):,} ids checked, {bad} unexplained"
    )
    click.echo(json.dumps(dict(sorted(faults.items()))))
    if bad:
        click.echo(f"Everything is left in {home}; again: python -m tests.chaos --rounds 1 --seed {results[-1].seed}")
        sys.exit(1)
    shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
