"""`calltrack campaigns`: the campaigns of an account at its provider."""

from __future__ import annotations

import json

import click

from calltrack.cli.asked import ACCOUNT, JSON_LINES, asked, listed, told


@click.group()
def campaigns() -> None:
    """List campaigns, and show one."""


@campaigns.command("list")
@ACCOUNT
@JSON_LINES
def list_(account: str, as_json: bool) -> None:
    """List the account's campaigns."""
    with asked(account) as interface:
        found = interface.campaigns()
    listed(found, ("id", "name"), as_json=as_json)


@campaigns.command()
@ACCOUNT
@click.argument("campaign_id", metavar="ID")
@click.option("--raw", is_flag=True, help="The record as the provider gives it, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="As one line of JSON.")
def get(account: str, campaign_id: str, raw: bool, as_json: bool) -> None:
    """Show the campaign with the provider's ID."""
    with asked(account) as interface:
        campaign = interface.campaign(campaign_id)
    if raw:
        click.echo(json.dumps(campaign.raw, ensure_ascii=False))
    else:
        told(campaign, as_json=as_json)
