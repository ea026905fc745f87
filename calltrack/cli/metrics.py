"""`calltrack metrics`: figures for Prometheus."""

from __future__ import annotations

import sys
import threading

import click
from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from calltrack.cli.connection import servers
from calltrack.sync.metrics import System

PORT = 9540


@click.command()
@click.option("--serve", is_flag=True, help="Answer Prometheus at /metrics, until interrupted.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", default=PORT, show_default=True, envvar="METRICS_PORT", help="The port; 0: any free one.")
def metrics(serve: bool, host: str, port: int) -> None:
    """Print all figures in the text format of Prometheus; exit code 1 where a server did not answer."""
    registry = CollectorRegistry()
    registry.register(System())
    with servers():
        if serve:
            _serve(registry, host, port)
            return
        shown = generate_latest(registry).decode()
    click.echo(shown, nl=False)
    if any(line.startswith("calltrack_up{") and line.endswith(" 0.0") for line in shown.splitlines()):
        sys.exit(1)


def _serve(registry: CollectorRegistry, host: str, port: int) -> None:
    server, thread = start_http_server(port, addr=host, registry=registry)
    click.echo(f"http://{host}:{server.server_port}/metrics", err=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.shutdown()
        thread.join()
