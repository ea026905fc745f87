"""Whether the receiver lives, and whether it can do its work."""

from __future__ import annotations

from flask import Response
from psycopg import Error

from webhooks.answers import NotLanded, answer
from webhooks.bell import Bell
from webhooks.connections import Connections


class Health:
    """For load balancers and process managers."""

    def __init__(self, connections: Connections, bell: Bell) -> None:
        self._connections = connections
        self._bell = bell

    def alive(self) -> Response:
        """The process answers."""
        return answer(200, {"status": "ok"})

    def ready(self) -> Response:
        """Deliveries can be landed. The broker is shown as far as it is known; landing does not need it."""
        database = self._database()
        status, word = (200, "ready") if database == "ok" else (503, "not_ready")
        return answer(status, {"status": word, "database": database, "broker": self._bell.state})

    def _database(self) -> str:
        try:
            self._connections.run(lambda connection: connection.execute("SELECT FROM webhook_logs LIMIT 0"))
        except NotLanded:
            return "unreachable"
        except Error as error:
            return "not_migrated" if error.sqlstate == "42P01" else "unreachable"
        return "ok"
