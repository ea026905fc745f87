"""`calltrack metrics`: figures for Prometheus."""

from __future__ import annotations

import sys
import threading

import click
from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from calltrack.cli.connection import servers
from calltrack.config import LAST_PORT, settings
from calltrack.errors import FixConfiguration
from calltrack.sync.metrics import System

PORT = 9540


@click.command()
@click.option("--serve", is_flag=True, help="Answer Prometheus at /metrics, until interrupted.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=click.IntRange(0, LAST_PORT), help=f"0: any free one. By default METRICS_PORT, or {PORT}.")
def metrics(serve: bool, host: str, port: int | None) -> None:
    """Print all figures in the text format of Prometheus; exit code 1 where a server did not answer."""
    registry = CollectorRegistry()
    registry.register(System())
    with servers():
        if serve:
            _serve(registry, host, _port() if port is None else port)
            return
        shown = generate_latest(registry).decode()
    click.echo(shown, nl=False)
    if any(line.startswith("calltrack_up{") and line.endswith(" 0.0") for line in shown.splitlines()):
        sys.exit(1)


def _port() -> int:
    """As the settings say, `.env` included."""
    text = settings().environ.get("METRICS_PORT", str(PORT))
    if not text.isdecimal() or int(text) > LAST_PORT:
        raise FixConfiguration(f"METRICS_PORT must be a port number, not {text!r}.")
    return int(text)


def _serve(registry: CollectorRegistry, host: str, port: int) -> None:
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise FixConfiguration(f"Cannot listen on {host}:{port} ({error.strerror}): choose another --port.") from None
    click.echo(f"http://{host}:{server.server_port}/metrics", err=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.shutdown()
        thread.join()
