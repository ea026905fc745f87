"""Credentials at rest: AES-256-GCM, bound to the row that they belong to.

    v1:<key id>:<nonce, base64>:<ciphertext and tag, base64>

A ciphertext that is copied to another row, or to another provider, does not open: the row is part of what the tag
proves. The keys come from `CALLTRACK_SECRET_KEYS`: the first one seals, all of them open, so a key is replaced by
putting a new one in front (`calltrack.accounts.rotation`).
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from calltrack.config import WHAT_TO_DO, keys_on_disk
from calltrack.errors import FixConfiguration

VERSION = "v1"
#: bytes; a fresh random one per sealing, as GCM wants it
NONCE = 12


class Vault:
    """Seals and opens the credentials of accounts."""

    def __init__(self, keys: Mapping[str, str], home: Path | None = None) -> None:
        """`keys`: key id → secret text, the sealing one first. Raises `FixConfiguration` where there is none.

        `home`: where a key file may have got another key since this process started; it then opens here too.
        """
        if not keys:
            raise FixConfiguration(WHAT_TO_DO["secret_keys"])
        self._ciphers = {key_id: AESGCM(_derived(secret)) for key_id, secret in keys.items()}
        self._home = home
        #: the id of the key that seals
        self.sealing = next(iter(keys))

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys that open, the sealing one first."""
        return tuple(self._ciphers)

    def knows(self, key_id: str) -> bool:
        """Whether what this key sealed can be opened."""
        if key_id not in self._ciphers and self._home is not None:
            for new, secret in keys_on_disk(self._home).items():
                self._ciphers.setdefault(new, AESGCM(_derived(secret)))
        return key_id in self._ciphers

    def seal(self, secrets: Mapping[str, Any], row_id: UUID, provider: str) -> str:
        """The secrets (JSON values) as ciphertext that only opens for this row."""
        nonce = os.urandom(NONCE)
        text = json.dumps(dict(secrets), sort_keys=True).encode()
        sealed = self._ciphers[self.sealing].encrypt(nonce, text, _bound_to(row_id, provider))
        return ":".join((VERSION, self.sealing, b64encode(nonce).decode(), b64encode(sealed).decode()))

    def open(self, sealed: str, row_id: UUID, provider: str) -> dict[str, Any]:
        """What was sealed for this row. Raises `FixConfiguration` where a key is missing or the text does not fit."""
        whose = f"The credentials of {provider} account {row_id}"
        key_id, nonce, ciphertext = _parts(sealed, whose)
        if not self.knows(key_id):
            raise FixConfiguration(
                f"{whose} are sealed with key {key_id!r}, which is not among the keys "
                f"({', '.join(self._ciphers)}): add it to CALLTRACK_SECRET_KEYS again."
            )
        try:
            text = self._ciphers[key_id].decrypt(nonce, ciphertext, _bound_to(row_id, provider))
        except InvalidTag:
            raise FixConfiguration(
                f"{whose} do not open with key {key_id!r}: either its secret in CALLTRACK_SECRET_KEYS is not the one "
                "they were sealed with, or the row was changed by hand. Put the old secret back, or enter the "
                "credentials again with `calltrack accounts update`."
            ) from None
        secrets: dict[str, Any] = json.loads(text)
        return secrets


def key_id(sealed: str) -> str:
    """The id of the key that a text was sealed with; "" where that cannot be read."""
    parts = sealed.split(":")
    return parts[1] if len(parts) == len(("version", "key", "nonce", "text")) else ""


def _derived(secret: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=b"calltrack credentials v1").derive(secret.encode())


def _bound_to(row_id: UUID, provider: str) -> bytes:
    return f"provider_configs|{row_id}|{provider}".encode()


def _parts(sealed: str, whose: str) -> tuple[str, bytes, bytes]:
    try:
        version, key_id, nonce, ciphertext = sealed.split(":")
        if version != VERSION:
            raise ValueError
        decoded = b64decode(nonce, validate=True), b64decode(ciphertext, validate=True)
        if len(decoded[0]) != NONCE:
            raise ValueError
    except ValueError:
        raise FixConfiguration(
            f"{whose} are not in the form that calltrack writes: enter them again with `calltrack accounts update`."
        ) from None
    return key_id, *decoded
