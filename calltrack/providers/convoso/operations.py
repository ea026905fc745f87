"""What Convoso's API offers besides giving calls."""

from __future__ import annotations

from calltrack.client.vocabulary import Ask
from calltrack.operations import Operations, Resource

OPERATIONS = Operations(
    update={
        # two of them: extra_field_01 and extra_field_02
        "tags": Ask("POST", "/log/update", form={"call_log_id": "{id}", "{name}": "{value}"}),
        "revenue": Ask("POST", "/revenue/update", form={"call_log_id": "{id}", "revenue": "{value}"}),
    },
    campaigns=Resource(Ask("GET", "/campaigns/search", found="data"), {"name": "name"}),
)
