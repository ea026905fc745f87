"""Addresses as sockets and proxies write them, networks as people do."""

import pytest

from calltrack import checks
from calltrack.networks import address, network, within


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("203.0.113.7:4711", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("[::ffff:203.0.113.7]:80", "203.0.113.7"),
        ("2001:DB8::0007", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:4711", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
    ],
)
def test_addresses(text, found):
    assert str(address(text)) == found


@pytest.mark.parametrize(
    "text",
    ["", "unknown", "_hidden", "203.0.113", "203.0.113.256", "0x7f.1", "203.0.113.7/24", "[", "::1]", "1.2.3.4,5"],
)
def test_no_addresses(text):
    assert address(text) is None


@pytest.mark.parametrize(
    ("sender", "allowed", "let_in"),
    [
        ("203.0.113.7", "203.0.113.0/24", True),
        ("203.0.114.7", "203.0.113.0/24", False),
        ("203.0.113.7", "203.0.113.7", True),
        ("203.0.113.8", "203.0.113.7", False),
        ("::ffff:203.0.113.7", "203.0.113.0/24", True),
        ("203.0.113.7", "::ffff:203.0.113.0/120", True),
        ("203.0.114.7", "::ffff:203.0.113.0/120", False),
        ("2001:db8:1::9", "2001:db8::/32", True),
        ("2001:db9::9", "2001:db8::/32", False),
        ("203.0.113.7", "::/0", False),
        ("2001:db8::1", "0.0.0.0/0", False),
        ("::203.0.113.7", "203.0.113.0/24", False),
    ],
)
def test_within(sender, allowed, let_in):
    assert within(address(sender), [network("192.0.2.0/24"), network(allowed)]) is let_in


@pytest.mark.parametrize(
    ("wrong", "instead"),
    [
        ("203.0.113.7/24", "write 203.0.113.0/24"),
        ("2001:db8::1/32", "write 2001:db8::/32"),
        ("our office", "203.0.113.0/24, "),
        ("203.0.113.0/33", "203.0.113.0/24, "),
        ("", "203.0.113.0/24, "),
    ],
)
def test_what_is_no_network_is_answered_with_one(wrong, instead):
    with pytest.raises(ValueError, match="is no network") as caught:
        checks.network(wrong)
    assert instead in str(caught.value)
