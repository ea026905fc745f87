"""How gunicorn runs the receiver. Chosen by measuring: `bench/receiver.py`, `docs/webhooks.md`."""

from __future__ import annotations

from calltrack.config import settings

bind = f"0.0.0.0:{settings().port}"
worker_class = "gthread"
workers = 2
threads = 8
