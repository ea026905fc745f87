"""The `calltrack` command. One file per command or group; each is imported when it is called."""

from __future__ import annotations

import sys
from importlib import import_module

import click
from sqlalchemy.exc import OperationalError

from calltrack.errors import CalltrackError

#: command → the module of this package that holds a click command named like the module, and one line about it
COMMANDS = {
    "up": ("up", "Run the whole system in the foreground."),
    "demo": ("demo", "Watch the whole system do its main job, on simulated providers."),
    "env": ("env", "Print the resolved settings, secrets masked."),
    "db": ("db", "Create and upgrade the database schema."),
    "accounts": ("accounts", "Add, list, check, enable, disable and remove accounts, and their webhooks."),
    "providers": ("providers", "Which provider offers what."),
    "provider": ("provider", "Write a package that brings another provider."),
    "sync": ("sync", "Sync calls from a provider."),
    "calls": ("calls", "Show a call, get it from its provider, and change it there."),
    "cache": ("cache", "Calls that are kept at hand for lookups: warm, clear, stats."),
    "numbers": ("numbers", "List, buy and give back phone numbers."),
    "campaigns": ("campaigns", "List campaigns, and show one."),
    "report": ("report", "A provider's own figures for a range."),
    "runs": ("runs", "List, show, resume and cancel sync runs."),
    "webhooks": ("webhooks", "List, show and replay the deliveries that were landed."),
    "reconcile": ("reconcile", "Hold every id at the provider against the database, and repair what differs."),
    "remap": ("remap", "Map anew what was landed, after a mapper was mended."),
    "shadow": ("shadow", "Compare what shadow mode, or a candidate mapper, makes of calls with what is stored."),
    "explain": ("explain", "Why a call is as it is, or is not there."),
    "retention": ("retention", "Remove raw pages, deliveries and changes that are old."),
    "rejects": ("rejects", "List records that could not become calls, and try them again."),
    "recover": ("recover", "Fetch what webhooks missed."),
    "operations": ("operations", "List, show, resume and cancel replays, retries and remaps."),
    "simulate": ("simulate", "Run the stand-in providers by themselves."),
    "send-webhooks": ("send_webhooks", "Send signed webhooks, as a provider would."),
    "shell": ("shell", "A Python shell with the Celery app, the tasks and a database session at hand."),
    "audit": ("audit", "Who changed what: list the audit log, and verify that it is whole."),
    "credentials": ("credentials", "Keys that accounts' credentials are sealed with: list, rotate, add and drop."),
    "alerts": ("alerts", "What somebody should look at: webhooks that stopped, calls that nothing explains."),
    "metrics": ("metrics", "Figures for Prometheus: printed once, or served."),
    "queues": ("queues", "Print queue names for a worker's -Q, as the Procfile does."),
    "doctor": ("doctor", "Check settings, database, broker, migrations and accounts."),
}


class Commands(click.Group):
    """Imports a command's module only when it is called: `calltrack --help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = COMMANDS[cmd_name][0]
        command = getattr(import_module(f"calltrack.cli.{module}"), module)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.group(cls=Commands)
@click.version_option(package_name="calltrack")
def calltrack() -> None:
    """Every call from every call platform into your Postgres: once, and correct."""


def main() -> None:
    """The console script: a fault that a person can mend is one sentence, never a traceback."""
    try:
        calltrack()
    except CalltrackError as error:
        sys.exit(f"calltrack: {error.message}")
    except OperationalError as error:
        why = _first_line(error)
        sys.exit(f"calltrack: the database does not answer: {why} Check DATABASE_URL, or run `calltrack doctor`.")


def _first_line(error: OperationalError) -> str:
    return str(error.orig).strip().splitlines()[0] if error.orig else "no reason given"
