"""Acme: made up. Say here what Acme is, with the pages of its API docs and the month in which you read them.

API: https://docs.acme.example/calls
Webhooks: https://docs.acme.example/webhooks (read in the month of …)
"""

from __future__ import annotations

from calltrack.client.vocabulary import Ask, HeaderToken, NumberedPages, TimeFilter, rfc3339
from calltrack.provider import Calls, Provider, Setting, Webhook
from calltrack.signatures import HmacSha256

from calltrack_acme.mapping import FIELDS

# How calls are listed. CHANGE: path, names, style of paging.
#   pages:  NumberedPages, LinkPages, OffsetPages, CursorPages (calltrack/client/pages.py)
#   filter: rfc3339, rfc3339_seconds, spaced_seconds, local_seconds, local_days (calltrack/client/windows.py)
CALLS = Calls(
    path="/calls",
    records="calls",
    pages=NumberedPages(size=100, last_path="meta.pages"),
    filter=TimeFilter("from", "to", rfc3339, extra={"sort": "asc"}),
    one=Ask("GET", "/calls/{id}", found="call"),
)

PROVIDER = Provider(
    # It is stored, and stands in URLs: it never changes.
    name="acme",
    title="Acme",
    api_url="https://api.acme.example/v1",
    # CHANGE: what an account must have. Others follow from this declaration: `page_size`, `region`, `secret_in`, …
    settings=(Setting("api_key", "an API key that may read calls", required=True, secret=True),),
    # CHANGE: or QueryKeys, BasicKeys (calltrack/client/auth.py)
    auth=HeaderToken("api_key", "Bearer {}"),
    # CHANGE: what the docs allow; several are kept at once
    rate_limits=("60/minute",),
    dialects={"v1": CALLS},
    webhook=Webhook(
        # CHANGE: its header; or SharedSecret(), where the provider signs nothing (calltrack/signatures.py)
        signature=HmacSha256("X-Acme-Signature"),
        # CHANGE: or a function that raises `NotACall` for what is not about a call
        map_delivery=FIELDS.notice,
    ),
    map_call=FIELDS.call,
    # CHANGE: True where each record says when it last changed, and the mapping reads it (`provider_updated_at`)
    versioned=True,
    # What else its API offers: operations=Operations(…) (calltrack/operations.py)
)
