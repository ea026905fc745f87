"""The one shape of all calls."""

from uuid import uuid5

from hypothesis import given
from hypothesis import strategies as st

from calltrack.model import call_id


@given(st.uuids(), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_calls_id_is_the_uuid5_of_its_account_and_the_providers_id(account, external_id):
    made = call_id(account, external_id)
    assert made == uuid5(account, external_id)
    assert (made.version, made.variant) == (5, uuid5(account, external_id).variant)
