"""Runs a server until the standard input ends: on purpose, or because whoever started this was killed.

usage: server_watch.py FOLDER USER COMMAND...    (USER may be empty: stay who we are)
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final

LOG: Final = "server.log"
PATIENCE_SECONDS: Final = 20


def main(folder: str, user: str, *command: str) -> int:
    """Run `command`, stop it at the end of input and remove `folder`; if it ended itself, leave its log."""
    stopping = threading.Event()
    with (Path(folder) / LOG).open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **_identity(user))
    signal.signal(signal.SIGTERM, lambda *_: server.send_signal(signal.SIGINT))
    threading.Thread(target=_stop_at_end_of_input, args=(server, stopping), daemon=True).start()
    code = server.wait()
    if stopping.is_set():
        shutil.rmtree(folder, ignore_errors=True)
    return code


def _identity(user: str) -> dict[str, Any]:
    if not user:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def _stop_at_end_of_input(server: subprocess.Popen[bytes], stopping: threading.Event) -> None:
    # Not by sys.stdin: a thread inside that would abort this process when the server ends by itself.
    while os.read(0, 1):
        pass
    stopping.set()
    server.send_signal(signal.SIGINT)  # a fast shutdown: sessions are ended, not waited for
    try:
        server.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGQUIT)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
