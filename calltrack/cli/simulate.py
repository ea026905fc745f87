"""`calltrack simulate`: the stand-in providers, by themselves."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Mapping, Sequence
from threading import Event
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from simulator import PROVIDERS, Habits, Limit, Simulator, World
from simulator.habits import ABOUT, GROUPS, USUAL
from simulator.signing import webhook_secret


def _habits(ctx: click.Context, param: click.Parameter, value: str) -> Habits:  # noqa: ARG001
    if value == "list":
        click.echo(_table())
        ctx.exit()
    try:
        return Habits.parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _records(ctx: click.Context, param: click.Parameter, value: str) -> dict[str, int]:  # noqa: ARG001
    """`5000`, or `PROVIDER=100000,OTHER=500`."""
    if value.isdecimal():
        return dict.fromkeys(PROVIDERS, int(value))
    counts = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
    if not counts or not set(counts) <= set(PROVIDERS) or not all(count.isdecimal() for count in counts.values()):
        raise click.BadParameter(f"write a number, or {'=1000,'.join(PROVIDERS)}=1000.")
    return {name: int(count) for name, count in counts.items()}


def _limits(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, list[Limit]]:  # noqa: ARG001
    limits: dict[str, list[Limit]] = {}
    for value in values:
        name, _, limit = value.partition("=")
        if name not in PROVIDERS:
            raise click.BadParameter(f"write it as {PROVIDERS[0]}=100/minute, not {value!r}.")
        try:
            limits.setdefault(name, []).append(Limit.parse(limit))
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
    return limits


def _zone(ctx: click.Context, param: click.Parameter, value: str) -> str:  # noqa: ARG001
    try:
        return ZoneInfo(value).key
    except (ZoneInfoNotFoundError, ValueError):
        raise click.BadParameter(f"{value!r} is no time zone: write it as America/New_York.") from None


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Of 127.0.0.1; 0 (the default): any free one.")
@click.option(
    "--records",
    metavar="N",
    default="5000",
    show_default=True,
    callback=_records,
    help="Calls at each provider; or PROVIDER=100000,OTHER=500.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes the same calls.")
@click.option("--days", type=float, default=30.0, show_default=True, help="How far back the calls reach.")
@click.option(
    "--zone",
    default="America/New_York",
    show_default=True,
    callback=_zone,
    help="The time zone of the accounts that have one.",
)
@click.option(
    "--habits",
    metavar="A,B=0.1",
    default="demo",
    show_default=True,
    callback=_habits,
    is_eager=True,
    help="Bad habits, with a strength if wanted; `list` shows them all, `none` has none.",
)
@click.option(
    "--rate-limit",
    "limits",
    metavar="PROVIDER=100/minute",
    multiple=True,
    callback=_limits,
    help="Answer 429 beyond this; may be repeated.",
)
@click.option("--warm", is_flag=True, help="Render all records before the first request, as measurements want it.")
@click.option("--json", "as_json", is_flag=True, help="Say where everything is in one line of JSON.")
def simulate(
    port: int,
    records: Mapping[str, int],
    seed: int,
    days: float,
    zone: str,
    habits: Habits,
    limits: Mapping[str, Sequence[Limit]],
    warm: bool,
    as_json: bool,
) -> None:
    """Run stand-ins of the providers until Ctrl-C: their APIs with made-up calls, bad habits included."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    world = World(seed, records, days=days, zone=zone)
    for name in PROVIDERS:
        world.calls(name)  # made before anybody waits for an answer
    try:
        simulator = Simulator(world, habits=habits, limits=limits, port=port)
    except OSError:
        raise click.UsageError(f"Port {port} is taken: choose another one, or leave --port out.") from None
    if warm:
        simulator.warm()
    with simulator:
        click.echo(json.dumps(_where(simulator)) if as_json else _told(simulator))
        stop.wait()


def _where(simulator: Simulator) -> dict[str, object]:
    """All that somebody needs who wants to use it."""
    return {
        "address": simulator.address,
        "seed": simulator.world.seed,
        "providers": {
            name: {
                "api_url": simulator.url(name),
                "settings": dict(simulator.credentials(name)),
                "webhook_secret": webhook_secret(name),
                "calls": simulator.world.records[name],
                "add": _add(simulator, name),
            }
            for name in PROVIDERS
        },
    }


def _told(simulator: Simulator) -> str:
    lines = ["The simulated providers are up. Ctrl-C stops them.", ""]
    for name in PROVIDERS:
        lines += [
            f"# {name}: {simulator.world.records[name]:,} calls at {simulator.url(name)}",
            _add(simulator, name),
            "",
        ]
    lines += [
        "# what truly is there, and what was asked for so far",
        f"{simulator.address}/_simulator/stats",
        *(f"{simulator.address}/_simulator/{name}/ids" for name in PROVIDERS),
    ]
    return "\n".join(lines)


def _add(simulator: Simulator, name: str) -> str:
    """The command that makes this stand-in an account, ready to paste."""
    settings = [f"--set {key}={shlex.quote(value)}" for key, value in simulator.credentials(name).items()]
    command = ["calltrack accounts add", name, "--api-url", simulator.url(name), *settings]
    return " ".join([*command, "--webhook-secret", webhook_secret(name)])


def _table() -> str:
    """The habits with their usual strengths."""
    width = max(map(len, USUAL))
    rows = [f"{name:<{width}}  {USUAL[name]:>6g}  {about}" for name, about in ABOUT.items()]
    groups = [
        f"{name:<{width}}          {', '.join(members) or 'no bad habit at all'}" for name, members in GROUPS.items()
    ]
    return "\n".join([f"{'habit':<{width}}   usual  what it does", *rows, "", "groups", *groups])
