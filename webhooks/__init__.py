"""The receiver: the public face. Nothing else is served here."""

from webhooks.app import create_app

__all__ = ["create_app"]
