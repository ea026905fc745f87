from base64 import b64decode, b64encode
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calltrack.db.credentials import Vault
from calltrack.errors import FixConfiguration

#: with digits of other scripts, blanks of all kinds, NUL and what lies beyond 16 bits. Not all of Unicode: making
#: up its tables takes longer than all other tests
TEXT = st.text("aZ09 .,:+-[]'\"\t\n\x00é٣\u00a0\u2028\u200b\u0663½²中😀", max_size=9)

ROW = UUID("6f1f3a0e-8f5c-4a47-9a53-0d4c1b1a7f10")
OLD, NEW = {"old": "o" * 32}, {"new": "n" * 32}
SECRETS = {"api_key": "key-1", "webhook_secrets": ["one", "two"]}

# Made once with another implementation (Node's crypto): what is stored today must open for ever.
KNOWN = (
    "v1:old:AAECAwQFBgcICQoL:"
    "qr9cOdB0BohmlAIG+xTprWxfK5wVOQvlbkXZUcWNTWSxlyyNRIp5+cfbeFqkFmFG27n7ls1pw1hqqbae92ynPNTN6A=="
)

# Each example is cheap; making it up is not.
few = settings(max_examples=25, deadline=None)
secrets = st.dictionaries(TEXT.filter(bool), TEXT | st.lists(TEXT, max_size=3), max_size=4)


@few
@given(secrets, st.uuids(), st.sampled_from(["retreaver", "convoso"]))
def test_what_is_sealed_opens_again(values, row_id, provider):
    vault = Vault(OLD)
    assert vault.open(vault.seal(values, row_id, provider), row_id, provider) == values


@few
@given(st.uuids(), st.uuids())
def test_a_ciphertext_copied_to_another_row_does_not_open(row_id, other):
    vault = Vault(OLD)
    sealed = vault.seal(SECRETS, row_id, "retreaver")
    if row_id != other:
        with pytest.raises(FixConfiguration, match="do not open"):
            vault.open(sealed, other, "retreaver")
    with pytest.raises(FixConfiguration, match="do not open"):
        vault.open(sealed, row_id, "convoso")


@few
@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_no_byte_of_the_ciphertext_can_be_changed(place, change):
    vault = Vault(OLD)
    version, key_id, nonce, text = vault.seal(SECRETS, ROW, "retreaver").split(":")
    raw = bytearray(b64decode(text))
    raw[place % len(raw)] ^= change
    with pytest.raises(FixConfiguration, match="do not open"):
        vault.open(":".join((version, key_id, nonce, b64encode(raw).decode())), ROW, "retreaver")


def test_a_known_ciphertext_opens():
    assert Vault(OLD).open(KNOWN, ROW, "retreaver") == SECRETS


def test_the_same_secrets_never_give_the_same_text():
    vault = Vault(OLD)
    assert len({vault.seal(SECRETS, ROW, "retreaver") for _ in range(50)}) == 50


def test_no_plain_text_is_in_the_sealed_text():
    sealed = Vault(OLD).seal({"api_key": "plain-to-see"}, ROW, "retreaver")
    assert "plain-to-see" not in sealed
    assert b"plain-to-see" not in b64decode(sealed.split(":")[3])


def test_the_first_key_seals_and_every_key_opens():
    sealed = Vault(OLD).seal(SECRETS, ROW, "retreaver")
    both = Vault({**NEW, **OLD})
    assert both.open(sealed, ROW, "retreaver") == SECRETS
    assert both.seal(SECRETS, ROW, "retreaver").startswith("v1:new:")


def test_a_missing_key_is_named_with_what_to_do():
    sealed = Vault(OLD).seal(SECRETS, ROW, "retreaver")
    with pytest.raises(FixConfiguration, match=r"key 'old'.*\(new\).*CALLTRACK_SECRET_KEYS") as fault:
        Vault(NEW).open(sealed, ROW, "retreaver")
    assert str(ROW) in fault.value.message


def test_a_key_id_with_another_secret_is_told():
    sealed = Vault(OLD).seal(SECRETS, ROW, "retreaver")
    with pytest.raises(FixConfiguration, match="do not open with key 'old'"):
        Vault({"old": "another secret of this key id ...."}).open(sealed, ROW, "retreaver")


@pytest.mark.parametrize(
    "text", ["", "{}", "v1:old:AAAA", "v2:old:AAAA:AAAA", "v1:old:!!!!:AAAA", "v1:old:AAAA:AAAA", "v1:old:é:é"]
)
def test_text_in_another_form_is_told(text):
    with pytest.raises(FixConfiguration, match="not in the form"):
        Vault(OLD).open(text, ROW, "retreaver")


def test_without_a_key_there_is_no_vault():
    with pytest.raises(FixConfiguration, match="CALLTRACK_SECRET_KEYS"):
        Vault({})


def test_errors_and_repr_show_no_secret():
    vault = Vault(OLD)
    sealed = vault.seal({"api_key": "plain-to-see"}, ROW, "retreaver")
    with pytest.raises(FixConfiguration) as fault:
        vault.open(sealed, uuid4(), "retreaver")
    assert "plain-to-see" not in fault.value.message + repr(vault)
    assert OLD["old"] not in fault.value.message + repr(vault)
    assert fault.value.__cause__ is None
