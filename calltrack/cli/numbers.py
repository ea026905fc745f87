"""`calltrack numbers`: the phone numbers that an account holds at its provider."""

from __future__ import annotations

import click

from calltrack.cli.asked import ACCOUNT, JSON_LINES, asked, listed, told

COLUMNS = ("number", "id", "name", "campaign_id")
YES = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group()
def numbers() -> None:
    """List, buy and give back phone numbers."""


@numbers.command("list")
@ACCOUNT
@JSON_LINES
def list_(account: str, as_json: bool) -> None:
    """List the account's numbers; `provider_tracking_numbers` is brought in step."""
    with asked(account) as interface:
        found = interface.numbers()
    listed(found, COLUMNS, as_json=as_json)


@numbers.command()
@ACCOUNT
@click.option("--country", default="US", show_default=True, help="As two letters.")
@click.option("--toll-free/--local", default=True, show_default=True, help="What kind of number.")
@click.option("--area-code", help="Where the provider lets one choose it.")
@click.option("--campaign", metavar="ID", help="The campaign that it is for, where the provider takes one.")
@click.option("--publisher", metavar="ID", help="The publisher that it is for, where the provider takes one.")
@YES
@click.option("--json", "as_json", is_flag=True, help="As one line of JSON.")
def provision(
    account: str,
    country: str,
    toll_free: bool,
    area_code: str | None,
    campaign: str | None,
    publisher: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Buy a number. It is asked for once: where the answer is lost, look into the list before you ask again."""
    with asked(account) as interface:
        if not yes:
            kind = f"{'toll-free' if toll_free else 'local'} number in {country}"
            click.confirm(f"Buy a {kind} at {interface.account.label}? It costs money.", abort=True, err=True)
        number = interface.provision(
            country=country, toll_free=toll_free, area_code=area_code, campaign=campaign, publisher=publisher
        )
    told(number, as_json=as_json)


@numbers.command()
@ACCOUNT
@click.argument("number")
@YES
def release(account: str, number: str, yes: bool) -> None:
    """Give NUMBER back: the number itself, or its id."""
    with asked(account) as interface:
        found = interface.number(number)
        if not yes:
            click.confirm(f"Give {found.number} back for good?", abort=True)
        interface.release(found)
    click.echo(f"{interface.account.label}: {found.number} is given back.")
