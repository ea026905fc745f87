"""The application for a WSGI server: `gunicorn --config python:webhooks.gunicorn_conf webhooks.wsgi:app`."""

from __future__ import annotations

import atexit

from calltrack import log
from calltrack.config import settings
from webhooks.app import create_app

log.setup(settings().log_format)
app = create_app()
atexit.register(app.extensions["receiver"].close)
