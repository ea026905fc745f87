"""Whom a request comes from: whatever a stranger writes into the headers, it is himself."""

import pytest
from flask import Flask, request

from calltrack.errors import SourceRefused
from calltrack.networks import network
from webhooks.source import Sources

PROXIES = [network("10.0.0.0/8"), network("2001:db8:aaaa::/48")]


def source(peer, passed_on=None, trusted=PROXIES):
    headers = {} if passed_on is None else {"X-Forwarded-For": passed_on}
    with Flask("test").test_request_context(headers=headers, environ_base={"REMOTE_ADDR": peer}):
        found = Sources(trusted).of(request)
    return None if found is None else str(found)


@pytest.mark.parametrize(
    ("peer", "passed_on", "found"),
    [
        ("198.51.100.1", None, "198.51.100.1"),
        # a stranger's word does not count
        ("198.51.100.1", "203.0.113.7", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("2001:db8:aaaa::1", "2001:db8:bbbb::7", "2001:db8:bbbb::7"),
        # what the stranger had written stands left of what the proxy added
        ("10.0.0.1", "203.0.113.7, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "10.9.9.9, 203.0.113.7, 198.51.100.1", "198.51.100.1"),
        # a chain of proxies
        ("10.0.0.1", "203.0.113.7, 10.0.0.3,10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        # nothing, or nothing that says who it was
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.7, unknown", None),
        ("10.0.0.1", "203.0.113.7,", None),
        ("", "203.0.113.7", None),
    ],
)
def test_the_last_address_that_none_of_our_proxies_has(peer, passed_on, found):
    assert source(peer, passed_on) == found


def test_without_trusted_proxies_no_header_counts():
    assert source("127.0.0.1", "203.0.113.7", trusted=[]) == "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "allowed", "let_in"),
    [
        ("203.0.113.7", [], True),
        ("", [], True),
        ("203.0.113.7", ["192.0.2.0/24", "203.0.113.0/24"], True),
        ("203.0.114.7", ["192.0.2.0/24", "203.0.113.0/24"], False),
        ("", ["203.0.113.0/24"], False),
    ],
)
def test_who_is_let_in(peer, allowed, let_in):
    with Flask("test").test_request_context(environ_base={"REMOTE_ADDR": peer}):
        if let_in:
            Sources().check(request, allowed)
        else:
            with pytest.raises(SourceRefused):
                Sources().check(request, allowed)
