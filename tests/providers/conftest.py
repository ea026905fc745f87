"""The suite shares the servers of all other tests."""

import pytest

from calltrack.testing.servers import Running


@pytest.fixture(scope="session")
def calltrack_servers(postgres, valkey):
    return Running(postgres.url, valkey.url)
