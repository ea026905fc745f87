"""`calltrack env`: the settings as they were resolved."""

from __future__ import annotations

import click

from calltrack.config import settings
from calltrack.log import MASK, mask

#: the settings that may have no value, by their names in `Settings`
OPTIONAL = {
    "DATABASE_URL": "database_url",
    "REDIS_URL": "redis_url",
    "CELERY_BROKER_URL": "broker_url",
    "CALLTRACK_SECRET_KEYS": "secret_keys",
}


@click.command()
@click.argument("name", required=False)
def env(name: str | None) -> None:
    """Print the resolved settings, secrets masked; or the full value of the setting NAME.

    With embedded servers there are values for them while they run.
    """
    variables = settings().variables
    if name is None:
        for variable, value in variables.items():
            click.echo(f"{variable}={_masked(variable, value)}")
        return
    if name not in variables:
        raise click.BadParameter(f"There is no setting {name}. There are: {', '.join(variables)}.")
    if name in OPTIONAL:
        settings().needs(OPTIONAL[name])
    click.echo(variables[name])


def _masked(variable: str, value: str) -> str:
    if variable != "CALLTRACK_SECRET_KEYS":
        return mask(value)
    return ",".join(f"{key_id}:{MASK}" for key_id in settings().secret_keys)
