"""What a request to Ringba's API asks for, taken as strictly as there: what cannot be read raises `Refused`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from simulator import ringba_records as records

Json = dict[str, Any]

UNPROCESSABLE = 422


class Refused(Exception):
    """What was asked for cannot be, and the status that says so."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True)
class Condition:
    """What a column must be, or must not be."""

    column: str
    wanted: Any
    compare: Callable[[Any, Any], bool]
    negative: bool

    def meets(self, value: Any) -> bool:
        return self.compare(value, self.wanted) != self.negative


COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "EQUALS": lambda has, wanted: _folded(has) == _folded(wanted),
    "CONTAINS": lambda has, wanted: _folded(wanted) in _folded(has),
    "BEGINS_WITH": lambda has, wanted: _folded(has).startswith(_folded(wanted)),
    "GREATER_THAN": lambda has, wanted: _amount(has) > _amount(wanted),
    "LESS_THAN": lambda has, wanted: _amount(has) < _amount(wanted),
}


def filters(asked: Json) -> list[list[Condition]]:
    """One of each of these lists must be met."""
    return [[_condition(each) for each in _objects(part, "anyConditionToMatch")] for part in _objects(asked, "filters")]


def _condition(each: Json) -> Condition:
    compare = COMPARISONS.get(str(each.get("comparisonType")))
    if compare is None:
        raise Refused(UNPROCESSABLE, f"comparisonType is one of {', '.join(COMPARISONS)}.")
    return Condition(_column(each), each.get("value"), compare, bool(each.get("isNegativeMatch")))


def order(asked: Json) -> list[tuple[str, bool]]:
    """Columns to sort by, and whether downwards; by the time of the call, newest first, where nothing is said."""
    columns = [(_column(each), each.get("direction") == "desc") for each in _objects(asked, "orderByColumns")]
    if any(name in records.UNSORTED for name, _ in columns):
        raise Refused(UNPROCESSABLE, f"These cannot be sorted by: {', '.join(records.UNSORTED)}.")
    return columns or [("callDt", True)]


def columns(asked: Json, name: str) -> list[str]:
    """The columns of `[{"column": …}, …]`."""
    return [_column(each) for each in _objects(asked, name)]


def sums(asked: Json) -> list[str]:
    """Which sums a report of groups is to have."""
    wanted = [str(each.get("column")) for each in _objects(asked, "valueColumns")]
    if not wanted or not set(wanted) <= records.INSIGHTS.keys():
        raise Refused(UNPROCESSABLE, f"valueColumns are some of {', '.join(records.INSIGHTS)}.")
    return wanted


def _column(each: Json) -> str:
    name = str(each.get("column"))
    if not records.known(name):
        raise Refused(UNPROCESSABLE, f"Unknown column: {name}.")
    return name


def window(asked: Json) -> tuple[datetime, datetime]:
    """Both are required."""
    return _moment(asked, "reportStart"), _moment(asked, "reportEnd")


def _moment(asked: Json, name: str) -> datetime:
    """UTC, and saying so."""
    try:
        moment = datetime.fromisoformat(str(asked.get(name)))
    except ValueError:
        moment = None
    if moment is None or moment.utcoffset() != timedelta():
        raise Refused(400, f"{name} must be a time in UTC, such as 2026-03-01T00:00:00Z.")
    return moment


def whole(asked: Json, name: str, default: int) -> int:
    value = asked.get(name, default)
    if type(value) is not int or value < 0:
        raise Refused(400, f"{name} must be a whole number.")
    return value


def ids(asked: Json) -> list[str]:
    """A list even where it is one."""
    listed = asked.get("InboundCallIds")
    if not isinstance(listed, list):
        raise Refused(400, "InboundCallIds must be a list.")
    return [str(each) for each in listed]


def tags(asked: Json) -> dict[str, str]:
    """The annotations to write on a call."""
    written = _objects(asked, "tags")
    if not written or any(tag.get("tagType") != "Annotations" or not tag.get("tagName") for tag in written):
        raise Refused(UNPROCESSABLE, "Each tag needs a tagName, a tagValue, and the tagType Annotations.")
    return {str(tag["tagName"]): str(tag.get("tagValue", "")) for tag in written}


def amounts(asked: Json, names: Mapping[str, str]) -> dict[str, Decimal]:
    """What of revenue and payout is to be adjusted, and the amounts: `names` says in which fields they stand."""
    if not asked.get("reason"):
        raise Refused(UNPROCESSABLE, "reason is required.")
    wanted = {"revenue": asked.get("adjustConversion"), "payout": asked.get("adjustPayout")}
    given = {what: _money(asked, name) for what, name in names.items() if wanted[what] is True}
    if not given:
        raise Refused(UNPROCESSABLE, "adjustConversion or adjustPayout must be true.")
    return given


def _money(asked: Json, name: str) -> Decimal:
    try:
        return Decimal(str(asked[name]))
    except (KeyError, InvalidOperation):
        raise Refused(UNPROCESSABLE, f"{name} must be an amount.") from None


def an_object(body: Any) -> Json:
    if not isinstance(body, dict):
        raise Refused(400, "The body must be a JSON object.")
    return body


def _objects(asked: Json, name: str) -> list[Json]:
    return [an_object(each) for each in asked.get(name) or ()]


def sortable(value: Any) -> tuple[float, str]:
    """Numbers by their size, then texts."""
    return (float(value), "") if isinstance(value, int | float) else (float("inf"), str(value))


def _folded(value: Any) -> str:
    return "" if value is None else str(value).lower()


def _amount(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")
