"""pytest-alembic's own checks of a history of revisions, against the sample CRM."""

from __future__ import annotations

import pytest
from pytest_alembic import Config
from pytest_alembic.tests import test_single_head_revision, test_up_down_consistency, test_upgrade
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from sandbox import crm
from sandbox.alembic_command import ROOT

__all__ = ["test_single_head_revision", "test_up_down_consistency", "test_upgrade"]


@pytest.fixture
def alembic_engine(crm_url, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", crm_url)
    for name, text in crm.SETTINGS.items():
        monkeypatch.setenv(name, text)
    return create_engine(crm_url.replace("postgresql:", "postgresql+psycopg:", 1), poolclass=NullPool)


@pytest.fixture
def alembic_config():
    return Config(config_options={"file": str(ROOT / "alembic.ini")})
