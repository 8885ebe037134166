"""Alembic's command line in this process: a new one would spend its time on imports."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from unittest.mock import patch

from alembic.config import CommandLine

from sandbox.alembic_command import ROOT

__all__ = ["run_here"]


def run_here(args: list[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `alembic ARGS` of this checkout in the environment `env`; what is no error message is raised."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with patch.dict(os.environ, env, clear=True), redirect_stdout(out), redirect_stderr(err):
        try:
            CommandLine(prog="alembic").main(["-c", str(ROOT / "alembic.ini"), *args])
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(args, code, out.getvalue(), err.getvalue())
