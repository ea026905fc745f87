"""The merge rule: what a call's row says does not depend on the order, the number or the door of its observations.

Read aloud: *a field takes the value of the greatest observation among those that have the field. Observations are
ordered by how far the call was, then by version, then by source; money and conversion are taken from verified
observations only.*

The version is the provider's own "last changed"; where there is none, the moment the observation was landed. What
comes without a version from a provider whose records carry one, a webhook template say, is hearsay: it ranks below all
that has one, and fills what nothing else says. Ties are
broken by the mapper's version and the digest of the content, so the order is total, and merging is a join: associative,
commutative, idempotent. `tests/unit/sync/test_merge.py` shuffles, doubles and repeats observations to prove it.

A row remembers which observation each of its fields came from, in `calls.observations`:

    [[3, 1772373698000000, 3, 1, "9f…"],  [3, 1772373720000000, 2, 1, "04…", ["converted", "revenue"]]]
      stage, version (µs), source, mapper version, digest, and the fields it gave, by name

The first one gave every other field that has a value, so that a row with a single API record behind it needs no names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from calltrack.model import FIELDS, Observation, Source

VERIFIED_ONLY = frozenset({"revenue", "payout", "cost", "converted"})
#: the keys of `metadata` merge one by one too, as "metadata.<key>"
METADATA = "metadata."
#: microseconds (31,700 years): hearsay lies so far before everything that is dated, and in its own order
HEARSAY = 10**18
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Stamp(NamedTuple):
    """Which observation a value came from. Greater wins."""

    stage: int
    #: microseconds since 1970
    version: int
    source: int
    mapper_version: int
    #: hex
    digest: str


@dataclass(slots=True)
class Row:
    """The merged state of a call: its values, and for each of them the stamp of the observation that gave it."""

    values: dict[str, Any]
    stamps: dict[str, Stamp]


def stamp_of(observation: Observation) -> Stamp:
    """Where this observation stands in the order of all observations of its call."""
    record = observation.record
    version = microseconds(record.provider_updated_at or observation.landed_at)
    return Stamp(
        record.stage().value,
        version - HEARSAY if observation.hearsay else version,
        observation.source.value,
        observation.mapper_version,
        observation.digest.hex(),
    )


def said(observation: Observation) -> dict[str, Any]:
    """The fields that this observation has, with their values. A field stated to be empty is had, with `None`."""
    record = observation.record
    fields = {name: value for name in FIELDS if (value := getattr(record, name)) is not None}
    fields |= dict.fromkeys(record.emptied)
    if observation.source is Source.UNVERIFIED_WEBHOOK:
        fields = {name: value for name, value in fields.items() if name not in VERIFIED_ONLY}
    if record.metadata:
        fields |= {METADATA + key: value for key, value in record.metadata.items()}
    if record.complete:
        fields["provider_data"] = record.raw
    return fields


def merge(row: Row, observation: Observation) -> None:
    """Let the row take in one more observation. This is the rule."""
    stamp, fields = stamp_of(observation), said(observation)
    if not row.stamps:
        row.values, row.stamps = fields, dict.fromkeys(fields, stamp)
        return
    for name, value in fields.items():
        before = row.stamps.get(name)
        if before is None or stamp >= before:  # the same one told again mends a value that was damaged
            row.values[name] = value
            row.stamps[name] = stamp


def merged(observations: Iterable[Observation], row: Row | None = None) -> Row:
    """The row after all of these observations, on top of what `row` had (which is left as it was)."""
    result = Row(dict(row.values), dict(row.stamps)) if row else Row({}, {})
    for observation in observations:
        merge(result, observation)
    return result


def disown(row: Row, observation: Observation) -> None:
    """Drop what the row ascribes to this observation, although it says nothing of the kind: somebody else wrote it."""
    stamp, fields = stamp_of(observation), said(observation)
    for name in [name for name, given in row.stamps.items() if given == stamp and name not in fields]:
        del row.stamps[name]
        row.values.pop(name, None)


def confirm(row: Row, digest: bytes, seen_at: datetime) -> None:
    """Raise the version of what a certain record gave to a later moment at which it was seen again, unchanged.

    Only for providers whose records carry no version: there the moment of landing is the version, and a page that
    showed a call as it was is as good as a new observation of it.
    """
    version, wanted = microseconds(seen_at), digest.hex()
    for name, stamp in row.stamps.items():
        if stamp.digest == wanted and stamp.version < version:
            row.stamps[name] = stamp._replace(version=version)


def changed(before: Row, after: Row) -> list[str]:
    """The columns whose values differ."""
    names = before.values.keys() | after.values.keys()
    return sorted({column_of(name) for name in names if before.values.get(name) != after.values.get(name)})


def column_of(name: str) -> str:
    """The column in which a field stands."""
    return "metadata" if name.startswith(METADATA) else name


def dump_stamps(row: Row) -> list[list[Any]]:
    """`calls.observations` for this row."""
    if not row.stamps:
        return []
    most = _most_frequent(row.stamps.values())
    named = [name for name, stamp in row.stamps.items() if stamp != most or row.values[name] is None]
    given: dict[Stamp, list[str]] = {most: []}
    for name in named:
        given.setdefault(row.stamps[name], []).append(name)
    return [_entry(stamp, names) for stamp, names in given.items()]


def _most_frequent(stamps: Collection[Stamp]) -> Stamp:
    some = next(iter(stamps))
    if all(stamp is some for stamp in stamps):  # a row with one observation behind it: by far the most common
        return some
    counted = Counter(stamps)
    return max(counted, key=lambda stamp: (counted[stamp], stamp))


def _entry(stamp: Stamp, names: list[str]) -> list[Any]:
    return [*stamp, sorted(names)] if names else [*stamp]


def load_stamps(observations: list[list[Any]], values: Mapping[str, Any]) -> dict[str, Stamp]:
    """The stamp of every field, out of `calls.observations` and the row's values."""
    stamps: dict[str, Stamp] = {}
    if observations:
        first = Stamp(*observations[0][:5])
        stamps = {name: first for name, value in values.items() if value is not None}
    for entry in observations:
        stamp, names = Stamp(*entry[:5]), entry[5:]
        stamps.update(dict.fromkeys(names[0] if names else (), stamp))
    return stamps


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (moment - _EPOCH) // _MICROSECOND
