"""Run the benchmarks.

    python -m bench [--records 100000] [--rounds 3] [--seconds 10] [--only NAME …] [--no-peers] [--write-docs]

They need a quiet machine. For a quick look whether they run at all: `--records 2000 --rounds 1 --seconds 2`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from bench import load, program, report, scale, sync
from bench.report import Report

Benchmark = Callable[[argparse.Namespace], Report]

BENCHMARKS: dict[str, Benchmark] = {
    "sync": lambda args: sync.run(args.records, args.rounds, peers=args.peers),
    "receiver": lambda args: program.run(
        "receiver",
        f"16 connections, medians of {args.rounds}",
        [f"--rounds={args.rounds}", f"--seconds={args.seconds / 2}"],
    ),
    "load": lambda args: load.run(args.rounds, args.seconds, args.records),
    "scale": lambda args: scale.run(max(args.records // 4, 1), args.rounds, args.seconds),
    "budget": lambda _: program.run("budget", "Eight processes at one limit", []),
    "remap": lambda args: program.run("remap", "An archive, read anew", [f"--records={10 * args.records}"]),
    "lookup": lambda args: program.run(
        "lookup", "Through Redis and without", [f"--rows={args.records}", f"--rounds={args.rounds}"]
    ),
    "large": lambda args: program.run(
        "large",
        f"Calls into a table that holds many, medians of {args.rounds}",
        [
            f"--held=0,{10 * args.records},{100 * args.records}",
            f"--records={max(args.records // 5, 1)}",
            f"--rounds={args.rounds}",
        ],
    ),
    "shapes": lambda args: program.run(
        "shapes",
        f"What shape a large `calls` should have, medians of {args.rounds}",
        [f"--rows={10 * args.records}", f"--new={args.records}", f"--rounds={args.rounds}"],
    ),
    "queries": lambda args: program.run("queries", "Queries of a table of years", [f"--rows={100 * args.records}"]),
    "indexes": lambda args: program.run(
        "indexes",
        f"What each index costs, medians of {args.rounds}",
        [f"--rows={10 * args.records}", f"--new={args.records}", f"--rounds={args.rounds}"],
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure; prints ratios to peers and limits.")
    parser.add_argument("--records", type=int, default=100_000, help="calls to sync (default: 100,000)")
    parser.add_argument("--rounds", type=int, default=3, help="of each, in turn; medians are told (default: 3)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each pace of deliveries (default: 10)")
    parser.add_argument("--only", action="append", choices=BENCHMARKS, help="run only this one; may be repeated")
    parser.add_argument("--no-peers", dest="peers", action="store_false", help="without dlt and Singer")
    parser.add_argument("--write-docs", action="store_true", help="put the figures into docs/")
    args = parser.parse_args()
    for name in args.only or BENCHMARKS:
        found = BENCHMARKS[name](args)
        print(f"\n{found}\n\nEvery round: {report.save(found).name}\n")
        if args.write_docs:
            report.write_docs(found)


if __name__ == "__main__":
    main()
