"""Deduplicate and constrain, in one transaction."""

import os
from pathlib import Path
from typing import Any

from alembic import op

revision = "one_transaction"
down_revision = None


def upgrade() -> None:
    """Run the script that the environment names."""
    script = Path(os.environ["BENCHMARK_SCRIPT"]).read_text(encoding="utf-8")
    driver: Any = op.get_bind().connection.driver_connection  # it takes several statements in one string
    driver.execute(script)
