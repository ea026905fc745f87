from __future__ import annotations

from base64 import b64decode

import pytest

from calltrack.client.auth import BasicKeys, HeaderToken, QueryKeys


def shown(auth, **credentials):
    params, headers = {"page": "1"}, {"Accept": "application/json"}
    auth.apply(credentials, params, headers)
    assert params.pop("page") == "1"
    assert headers.pop("Accept") == "application/json"
    return params, headers


def test_query_keys():
    auth = QueryKeys({"api_key": "api_key", "company_id": "company"})
    assert shown(auth, api_key="k", company="") == ({"api_key": "k"}, {})


@pytest.mark.parametrize(
    ("auth", "header", "value"),
    [
        (HeaderToken("key"), "Authorization", "Bearer s3cret"),
        (HeaderToken("key", "Token {}"), "Authorization", "Token s3cret"),
        (HeaderToken("key", "{}"), "Authorization", "s3cret"),
        (HeaderToken("key", 'Token token="{}"', "X-Auth"), "X-Auth", 'Token token="s3cret"'),
    ],
)
def test_a_token_in_a_header(auth, header, value):
    assert shown(auth, key="s3cret", other="x") == ({}, {header: value})


def test_a_token_with_braces_is_shown_as_it_is():
    assert shown(HeaderToken("key", "Token {}"), key="{0}{}") == ({}, {"Authorization": "Token {0}{}"})


# RFC 7617, section 2 and 2.1
@pytest.mark.parametrize(
    ("user", "password", "expected"),
    [
        ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("test", "123£", "Basic dGVzdDoxMjPCow=="),
    ],
)
def test_basic_as_the_rfc_has_it(user, password, expected):
    assert shown(BasicKeys("u", "p"), u=user, p=password) == ({}, {"Authorization": expected})


def test_basic_of_long_keys_stays_on_one_line():
    _, headers = shown(BasicKeys("u", "p"), u="a" * 200, p="b:" * 100)
    scheme, pair = headers["Authorization"].split()
    assert (scheme, b64decode(pair, validate=True).decode()) == ("Basic", "a" * 200 + ":" + "b:" * 100)
