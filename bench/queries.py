"""The queries that are used most, on a table of years: how long each takes, and how Postgres finds its rows.

python -m bench.queries [--rows 1000000]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text

from bench import filled, stack
from calltrack.db.session import engine

#: runs of each: the first one, and the best of all; what takes longer than this (ms) runs once
RUNS, LONG = 4, 2000.0
#: calls that changed since an export was made last
EXPORTED = 1000

#: what each is for → SQL. Times are relative to the newest call's.
QUERIES = {
    "by its id": "SELECT * FROM calls WHERE id = :id",
    "by the provider's id, at an account": """
        SELECT * FROM calls WHERE account_id = :account AND external_id = :external""",
    "by the provider's id, at all its accounts": """
        SELECT * FROM calls WHERE external_id = :external
        AND account_id IN (SELECT id FROM provider_configs WHERE provider_type = 'acme')""",
    "newest 50 of an account": """
        SELECT * FROM calls WHERE account_id = :account ORDER BY started_at DESC LIMIT 50""",
    "newest 50 of a small account that failed": """
        SELECT * FROM calls WHERE account_id = :small AND status = 'failed' ORDER BY started_at DESC LIMIT 50""",
    "newest 50 of all accounts": "SELECT * FROM calls WHERE started_at < now() ORDER BY started_at DESC LIMIT 50",
    "the same, account by account": """
        SELECT newest.* FROM provider_configs account CROSS JOIN LATERAL (
            SELECT * FROM calls WHERE account_id = account.id ORDER BY started_at DESC LIMIT 50) newest
        ORDER BY newest.started_at DESC LIMIT 50""",
    "newest 50 of a caller, all accounts": """
        SELECT * FROM calls WHERE caller_number = :caller ORDER BY started_at DESC LIMIT 50""",
    "newest 50 of a caller, an account's last month": """
        SELECT * FROM calls WHERE account_id = :account AND caller_number = :caller
        AND started_at >= now() - interval '30 days' ORDER BY started_at DESC LIMIT 50""",
    "to a tracking number of an account, a week": """
        SELECT * FROM calls WHERE account_id = :account AND tracking_number = :number
        AND started_at >= now() - interval '7 days' ORDER BY started_at DESC""",
    "a day's calls of an account": """
        SELECT * FROM calls WHERE account_id = :account
        AND started_at >= now() - interval '2 days' AND started_at < now() - interval '1 day'""",
    "a day's calls of all accounts": """
        SELECT * FROM calls WHERE started_at >= now() - interval '2 days' AND started_at < now() - interval '1 day'""",
    "1,000 changed last, by updated_at": "SELECT * FROM calls WHERE updated_at >= :changed",
    "1,000 changed last, by the change log": """
        SELECT * FROM calls WHERE id IN (SELECT call_id FROM call_events WHERE id > :seen)""",
    "revenue per day of a month of an account": """
        SELECT started_at::date AS day, count(*), sum(revenue) FROM calls WHERE account_id = :account
        AND started_at >= now() - interval '30 days' GROUP BY 1""",
    "revenue per day of a month, each account": """
        SELECT account_id, started_at::date AS day, count(*), sum(revenue) FROM calls
        WHERE started_at >= now() - interval '30 days' GROUP BY 1, 2""",
    "newest 50 with a tag of one in ten": """
        SELECT * FROM calls WHERE tags @> '{vip}' ORDER BY started_at DESC LIMIT 50""",
    "the same, of an account": """
        SELECT * FROM calls WHERE account_id = :account AND tags @> '{vip}' ORDER BY started_at DESC LIMIT 50""",
    "newest 50 with a tag of one in 1,000": """
        SELECT * FROM calls WHERE tags @> '{refund}' ORDER BY started_at DESC LIMIT 50""",
    "newest 50 of an agent": """
        SELECT * FROM calls WHERE agent_name = 'Agent 8' ORDER BY started_at DESC LIMIT 50""",
    "of a lead": "SELECT * FROM calls WHERE lead_id = :lead",
}


def given(connection: Connection, ids: list[UUID]) -> dict[str, Any]:
    """What the queries ask for: things that are there."""
    row = connection.execute(
        text("SELECT * FROM calls WHERE account_id = :id ORDER BY started_at DESC OFFSET 1000 LIMIT 1"), {"id": ids[0]}
    ).one()
    changed = text(f"SELECT updated_at FROM calls ORDER BY updated_at DESC OFFSET {EXPORTED - 1} LIMIT 1")
    return {
        "id": row.id,
        "account": row.account_id,
        "small": ids[-1],
        "external": row.external_id,
        "caller": row.caller_number,
        "number": row.tracking_number,
        "lead": connection.scalar(text("SELECT lead_id FROM calls WHERE lead_id IS NOT NULL LIMIT 1")),
        "seen": connection.execute(text("SELECT max(id) FROM call_events")).scalar_one() - EXPORTED,
        "changed": connection.scalar(changed),
    }


def measured(connection: Connection, query: str, values: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
    """Milliseconds of the first run, and the plan of the best one."""
    explain = text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}")
    plans: list[dict[str, Any]] = []
    while len(plans) < RUNS and (not plans or plans[-1]["Execution Time"] < LONG):
        plans.append(connection.execute(explain, values).scalar_one()[0])
    return plans[0]["Execution Time"], min(plans, key=lambda plan: float(plan["Execution Time"]))


def steps(node: Mapping[str, Any]) -> Iterator[str]:
    """The nodes of a plan that read tables, from the top, and the sorting above them."""
    kind, index = str(node["Node Type"]), node.get("Index Name")
    if "Scan" in kind and kind != "Bitmap Heap Scan":
        yield f"{kind} {index or node.get('Relation Name', '')}".strip()
    elif kind == "Sort":
        yield kind
    for inner in node.get("Plans", ()):
        yield from steps(inner)


def line(name: str, first: str, best: str, rows: str, pages: str, plan: str) -> str:
    return f"{name:46} {first:>9} {best:>9} {rows:>7} {pages:>9}  {plan}"


def tell(rows: int, ids: list[UUID]) -> None:
    """Print all queries: milliseconds of the first run and of the best, rows, pages of 8 kB, the plan."""
    print(f"{rows:,} calls, {len(filled.ACCOUNTS)} accounts; ms of the first run and of the best; pages of 8 kB")
    print(line("query", "first", "best", "rows", "pages", "plan"))
    with engine().connect() as connection:
        values = given(connection, ids)
        for name, query in QUERIES.items():
            first, best = measured(connection, query, values)
            top = best["Plan"]
            pages = top["Shared Hit Blocks"] + top["Shared Read Blocks"]
            found = (f"{first:,.1f}", f"{best['Execution Time']:,.1f}", f"{top['Actual Rows']:,.0f}", f"{pages:,}")
            print(line(name, *found, " < ".join(steps(top))), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.queries", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with stack.home(filled.QUICK):
        ids, began = filled.accounts(), time.monotonic()
        filled.fill(ids, rows)
        print(f"filled in {time.monotonic() - began:,.0f} s")
        tell(rows, ids)


if __name__ == "__main__":
    main()
