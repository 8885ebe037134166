"""`python -m examples.webhook` starts the service, on a throwaway server unless DATABASE_URL names a database."""

from __future__ import annotations

import argparse
import os
from contextlib import ExitStack
from pathlib import Path

import psycopg
import uvicorn

from examples.webhook.app import service
from sandbox.server_databases import database
from sandbox.servers import choose, server

SCHEMA = Path(__file__).with_name("schema.sql")
TRY = """
Send it a message, twice; look at the metrics:

  curl -X POST {address}/webhooks/messages -H 'content-type: application/json' \\
    -d '{{"workspace_id": "00000000-0000-0000-0000-000000000001", "phone": "+15550001", "provider_id": "m1", "body": "Hi"}}'
  curl {address}/metrics

Make phones unique meanwhile, and go back:

  DATABASE_URL='{url}' alembic upgrade head
  DATABASE_URL='{url}' alembic downgrade base
"""


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m examples.webhook", description=__doc__)
    parser.add_argument("--port", type=int, default=8000, help="on 127.0.0.1")
    asked = parser.parse_args()
    with ExitStack() as stack:
        url = os.environ.get("DATABASE_URL") or _throwaway(stack)
        print(TRY.format(address=f"http://127.0.0.1:{asked.port}", url=url), flush=True)
        uvicorn.run(service(url), host="127.0.0.1", port=asked.port, log_level="warning")


def _throwaway(stack: ExitStack) -> str:
    running = stack.enter_context(server(choose(os.environ | {"TEST_SERVER": "embedded"})))
    url = stack.enter_context(database(running.url))
    with psycopg.connect(url) as connection:
        connection.execute(SCHEMA.read_bytes())
    return url


if __name__ == "__main__":
    main()
