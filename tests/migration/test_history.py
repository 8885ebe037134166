"""pytest-alembic's own checks of a history of revisions."""

from __future__ import annotations

import pytest
from pytest_alembic import Config
from pytest_alembic.tests import test_single_head_revision, test_up_down_consistency
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from sandbox.alembic_command import ROOT
from sandbox.trial import CONTACTS, run

__all__ = ["test_single_head_revision", "test_up_down_consistency"]


@pytest.fixture
def alembic_engine(database_url, monkeypatch):
    run(database_url, CONTACTS)
    monkeypatch.setenv("DATABASE_URL", database_url)
    return create_engine(database_url.replace("postgresql:", "postgresql+psycopg:", 1), poolclass=NullPool)


@pytest.fixture
def alembic_config():
    return Config(config_options={"file": str(ROOT / "alembic.ini")})
