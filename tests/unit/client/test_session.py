"""The parts of the client that need no server."""

import pytest

from calltrack.client.ask import Request
from calltrack.client.auth import QueryKeys
from calltrack.client.session import Client
from calltrack.errors import FixConfiguration


def client(api_url):
    return Client("acme/default", api_url, QueryKeys({}), {}, budget=None, breaker=None)


@pytest.mark.parametrize(
    ("api_url", "url"),
    [
        ("https://api.example.com", "https://api.example.com/api/v2/calls.json"),
        ("https://api.example.com/v1/", "https://api.example.com/v1/api/v2/calls.json"),
        (" http://127.0.0.1:8080 ", "http://127.0.0.1:8080/api/v2/calls.json"),
    ],
)
def test_the_url_is_the_base_and_the_path(api_url, url):
    assert client(api_url)._url(Request(path="/api/v2/calls.json")) == url


@pytest.mark.parametrize(
    "path",
    [
        "",
        "calls.json",
        "//evil.example/calls.json",
        "https://evil.example/calls.json",
        "/calls.json?page=2",
        "/calls.json#x",
        "/../admin",
        "/a/../../admin",
        "/\\evil.example",
        "/calls\r\nHost: evil.example",
        "/calls json",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused(path):
    with pytest.raises(ValueError, match="is no path of an API"):
        client("https://api.example.com")._url(Request(path=path))


@pytest.mark.parametrize(
    "api_url",
    [
        "",
        "api.example.com",
        "ftp://api.example.com",
        "https://",
        "https://key:hunter2@api.example.com",
        "https://api.example.com?api_key=hunter2",
        "https://api.example.com#x",
        "https://api.example.com:port",
        "https://[::1",
    ],
)
def test_an_api_url_that_is_none_is_refused_without_being_repeated(api_url):
    with pytest.raises(FixConfiguration, match="must look like https://") as caught:
        client(api_url)
    assert "hunter2" not in str(caught.value)
