"""Where a delivery comes from: the address of its sender, seen through the proxies that we trust."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Request

from calltrack.errors import SourceRefused
from calltrack.networks import Address, Network, address, network, within


class Sources:
    """Finds the source of a request, and lets in those that an account allows."""

    def __init__(self, trusted: Sequence[Network] = ()) -> None:
        """`trusted`: the proxies whose word on where a request came from counts."""
        self._trusted = trusted

    def of(self, post: Request) -> Address | None:
        """The last address that none of our proxies has; None: it is not known.

        Each proxy adds at the right whom it was asked by. What stands left of the first stranger, anybody may have
        written.
        """
        found = address(post.remote_addr or "")
        if not self._trusted:
            return found
        passed_on = post.headers.get("X-Forwarded-For", "").split(",")
        while found is not None and within(found, self._trusted) and any(passed_on):
            found = address(passed_on.pop())
        return found

    def check(self, post: Request, allowed: Sequence[str]) -> None:
        """Raise `SourceRefused`, unless the request comes from one of these networks. None named: from anywhere."""
        if not allowed:
            return
        found = self.of(post)
        if found is None or not within(found, map(network, allowed)):
            raise SourceRefused
