"""`python -m examples.webhook` starts the service, on a throwaway server unless DATABASE_URL names a database."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import uvicorn

from examples.webhook.app import service
from sandbox.http_load import fill
from sandbox.server_databases import database
from sandbox.servers import choose, server

CONTACTS = 1000
TRY = """
From another terminal, send it a message, twice; look at the metrics:

  curl -X POST {address}/webhooks/messages -H 'content-type: application/json' \\
    -d '{{"workspace_id": "00000000-0000-0000-0000-000000000001", "phone": "+15550001", "provider_id": "m1", "body": "Hi"}}'
  curl {address}/metrics
"""
UNIQUE = """
Its database has 1,000 contacts, of whom every tenth is there twice. Make phones unique meanwhile, in this directory,
and go back:

  export DATABASE_URL='{url}'
  {alembic} upgrade head
  {alembic} downgrade base
"""


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m examples.webhook", description=__doc__)
    parser.add_argument("--port", type=_port, default=8000, help="on 127.0.0.1")
    asked = parser.parse_args()
    with ExitStack() as stack:
        given = os.environ.get("DATABASE_URL")
        url = given or _throwaway(stack)
        alembic = Path(sys.executable).with_name("alembic")
        said = TRY if given else TRY + UNIQUE
        print(said.format(address=f"http://127.0.0.1:{asked.port}", url=url, alembic=alembic), flush=True)
        uvicorn.run(service(url), host="127.0.0.1", port=asked.port, log_level="warning")


def _throwaway(stack: ExitStack) -> str:
    running = stack.enter_context(server(choose(os.environ | {"TEST_SERVER": "embedded"})))
    url = stack.enter_context(database(running.url))
    fill(url, CONTACTS)
    return url


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    main()
