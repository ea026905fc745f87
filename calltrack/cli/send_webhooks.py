"""`calltrack send-webhooks`: a signed sender, by itself."""

from __future__ import annotations

import json
import random
import sys
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from calltrack.signatures import PLACES
from simulator import PROVIDERS, World
from simulator.letters import EVENTS, SHAPES, Mix
from simulator.senders import Sent, send
from simulator.signing import webhook_secret


class Share(click.ParamType[float]):
    """A part of the whole: `10%` or `0.1`."""

    name = "share"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0.0 <= share <= 1.0:
            self.fail(f"{text!r} is no share: write 10% or 0.1.", param, ctx)
        return share


def _names(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, ...]:  # noqa: ARG001
    return tuple(filter(None, (name.strip() for name in value.split(","))))


def _world(ctx: click.Context, param: click.Parameter, value: str | None) -> World | None:  # noqa: ARG001
    """The world of the simulator that runs at this address."""
    if value is None:
        return None
    try:
        with urllib.request.urlopen(f"{value.rstrip('/')}/_simulator/world", timeout=10) as answer:  # noqa: S310 - the user's own
            return World.like(json.load(answer))
    except (OSError, ValueError):
        raise click.BadParameter(f"no simulator answers at {value}: start one with `calltrack simulate`.") from None


@click.command()
@click.argument("provider", type=click.Choice(PROVIDERS))
@click.option("--url", required=True, help="The receiver's door, as http://127.0.0.1:8000/webhooks/PROVIDER.")
@click.option("--count", type=click.IntRange(1), default=100, show_default=True, help="Deliveries in all.")
@click.option("--secret", help="What to sign with; by default what `calltrack simulate` prints.")
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Deliveries per second; as fast as it goes.")
@click.option("--duplicates", type=Share(), default="0%", show_default=True, help="Share that was sent before.")
@click.option("--forged", type=Share(), default="0%", show_default=True, help="Share that must be refused.")
@click.option("--out-of-order", is_flag=True, help="Send the events of a call in any order.")
@click.option("--events", default=",".join(EVENTS), show_default=True, callback=_names, help="In the order of a call.")
@click.option("--shapes", default="", callback=_names, help=f"Out of: {', '.join(map(', '.join, SHAPES.values()))}.")
@click.option(
    "--secret-in", type=click.Choice(PLACES), default=PLACES[0], show_default=True, help="If it signs nothing."
)
@click.option("--simulator", "world", metavar="URL", callback=_world, help="Tell of the calls that this one has.")
@click.option("--unlisted", type=Share(), default="0%", show_default=True, help="Share of calls that it does not have.")
@click.option("--seed", type=int, help="The same seed sends the same deliveries; by default others each time.")
@click.option("--threads", type=click.IntRange(1, 64), default=4, show_default=True, help="Connections at a time.")
@click.option("--json", "as_json", is_flag=True, help="Report in one line of JSON, with the ids.")
def send_webhooks(
    provider: str,
    url: str,
    count: int,
    secret: str | None,
    rate: float | None,
    duplicates: float,
    forged: float,
    out_of_order: bool,
    events: tuple[str, ...],
    shapes: tuple[str, ...],
    secret_in: str,
    world: World | None,
    unlisted: float,
    seed: int | None,
    threads: int,
    as_json: bool,
) -> None:
    """Send webhooks as PROVIDER would. Exit code 0 only if all true ones were taken and all forged ones refused.

    Without --simulator all calls are made up for the occasion.
    """
    _check(provider, url, shapes)
    seed = random.randrange(400) if seed is None else seed  # noqa: S311 - which calls to tell of
    mix = _mix(
        duplicates=duplicates,
        forged=forged,
        out_of_order=out_of_order,
        unlisted=unlisted,
        events=events,
        shapes=shapes,
        secret_in=secret_in,
    )
    told_of = world or World(seed, 0, now=_today())
    key = secret or webhook_secret(provider)
    sent = send(told_of, provider, url, count, key, mix=mix, rate=rate, threads=threads, seed=seed)
    click.echo(json.dumps({"seed": seed, **sent.report()}) if as_json else _told(sent, seed))
    if not sent.as_it_should_be:
        sys.exit(1)


def _check(provider: str, url: str, shapes: tuple[str, ...]) -> None:
    if not url.startswith(("http://", "https://")):
        raise click.BadParameter("it must begin with http:// or https://.", param_hint="--url")
    if not set(shapes) <= set(SHAPES[provider]):
        raise click.BadParameter(f"{provider} has {', '.join(SHAPES[provider])}.", param_hint="--shapes")


def _mix(**parts: Any) -> Mix:
    try:
        return Mix(**parts)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _today() -> datetime:
    """Midnight: the same seed then sends the same deliveries all day."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _told(sent: Sent, seed: int) -> str:
    rows = [f"  {kind:<13} {_counts(counter)}" for kind, counter in sent.answers.items()]
    report = sent.report()
    speed, waits = report["per_second"], report["wait_ms"]
    return "\n".join(
        [
            f"{sent.total:,} deliveries about {len(sent.ids):,} calls in {sent.seconds:.1f} s (seed {seed})",
            f"{speed:,} per second; answered within {waits['median']} ms (median), {waits['p99']} ms (p99)",
            *rows,
            "As it should be." if sent.as_it_should_be else "Not as it should be: see the answers above.",
        ]
    )


def _counts(counter: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} × {answer}" for answer, count in counter.items())
