"""The figures of the sync benchmark: what one load took, and the tables of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.report import table
from bench.usage import Usage

PROVIDER = "the provider"
SERVERS = ("Postgres", "Valkey", PROVIDER)
#: how a load finds the database and the provider
SITUATIONS = {
    "first load": "first load",
    "unchanged": "again, nothing changed",
    "changed": "again, 1 % changed",
}
#: who loads → what the tables call it
NAMES = {
    "loop": "hand-written loop",
    "pipeline": "calltrack",
    "dlt": "dlt, its defaults",
    "dlt tuned": "dlt, its best settings",
    "Singer": "Singer tap and target-postgres",
}
SIDES = {
    "fetch alone": "calltrack, fetching alone, one process",
    "store alone": "calltrack, storing alone, one process",
}
#: the ones that all are compared with
PEERS = ("loop", "dlt")
FIRST_PIPELINE = "pipeline, first load"


@dataclass(frozen=True)
class Load:
    """One timed load."""

    #: of how many
    records: int
    #: records per second
    rate: float
    usage: Mapping[str, Usage] = field(default_factory=dict)
    #: the part of the machine's CPU time that went to others
    others: float = 0.0

    @property
    def cpu(self) -> float:
        """CPU seconds of everything but the provider, for 100,000 records."""
        return sum(one.cpu for kind, one in self.usage.items() if kind != PROVIDER) * 100_000 / self.records

    @property
    def peak(self) -> float:
        """MB, of the largest process, the servers left out."""
        return max(one.peak for kind, one in self.usage.items() if kind not in SERVERS)


#: way (who, and in which situation) → its loads, one per round
Ways = dict[str, list[Load]]


def median(loads: list[Load]) -> Load:
    return sorted(loads, key=lambda load: load.rate)[len(loads) // 2]


def tables(loads: Mapping[int, Ways]) -> list[str]:
    """One for each size of pages, and one of calltrack's processes."""
    medians = {size: {way: median(found) for way, found in ways.items()} for size, ways in loads.items()}
    return [*(_rates(size, ways) for size, ways in medians.items()), _usage(medians)]


def noise(loads: Mapping[int, Ways]) -> float:
    return max(load.others for ways in loads.values() for found in ways.values() for load in found)


def data(loads: Mapping[int, Ways]) -> dict[str, Any]:
    return {
        str(size): {way: [asdict(load) for load in found] for way, found in ways.items()}
        for size, ways in loads.items()
    }


def _rates(size: int, ways: Mapping[str, Load]) -> str:
    """Records per second, as so many times those of the loop and of dlt, and what they cost."""
    header = [f"pages of {size}", "records/s", "loop = 1", "dlt = 1", "CPU s per 100,000", "largest process, MB"]
    lines = []
    for situation, title in SITUATIONS.items():
        sides = SIDES if situation == "first load" else {}
        named = {**{f"{who}, {situation}": name for who, name in NAMES.items()}, **sides}
        lines.append([f"**{title}**", *[""] * 5])
        lines += [[name, *_cells(ways, way, situation)] for way, name in named.items() if way in ways]
    return table(header, lines)


def _cells(ways: Mapping[str, Load], way: str, situation: str) -> list[str]:
    load = ways[way]
    peers = [ways.get(f"{peer}, {situation}") for peer in PEERS]
    ratios = [f"{load.rate / peer.rate:.2f}" if peer else "–" for peer in peers]
    return [f"{load.rate:,.0f}", *ratios, f"{load.cpu:.1f}", f"{load.peak:.0f}"]


def _usage(medians: Mapping[int, Mapping[str, Load]]) -> str:
    """Of the pipeline's first load."""
    header = ["calltrack, first load"]
    columns = []
    for size, ways in medians.items():
        header += [f"CPU s, pages of {size}", "largest process, MB", "growth, MB"]
        columns.append(ways[FIRST_PIPELINE].usage)
    lines = [[kind, *(cell for column in columns for cell in _shape(column[kind]))] for kind in columns[0]]
    return table(header, lines)


def _shape(usage: Usage) -> list[str]:
    return [f"{usage.cpu:.1f}", f"{usage.peak:.0f}", f"{usage.growth:+.0f}"]
