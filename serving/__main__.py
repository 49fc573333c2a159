"""Run the service: `python -m serving`, with its settings in the environment. One process; more by more replicas."""

from __future__ import annotations

import io
import os
import sys

import uvicorn

from serving.app import create_app, spool_folder
from serving.connection import BoundedConnection
from serving.settings import read
from serving.spool import SpoolInUse, check_free
from steps.common import logs
from steps.common.settings import SettingRefused

_DRAIN_SECONDS = 20
_KEEP_ALIVE_SECONDS = 75
# A batch goes through four threads, and at each the shipper of predictions kept Python's lock for the usual 5 ms.
_SWITCH_SECONDS = 0.0005


def main() -> int:
    """Serve until told to stop; return the exit code."""
    logs.start("serving")
    sys.setswitchinterval(_SWITCH_SECONDS)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # In a pod it is a pipe: the last lines before a kill would stay in the buffer.
        sys.stdout.reconfigure(line_buffering=True)
    try:
        settings = read(os.environ)
        for name in ("ledger_url", "raw_url", "mlflow_url", "state_folder"):
            settings.needed(name)
        # In the application's start the server would make a traceback of it.
        check_free(spool_folder(settings))
    except SettingRefused as refused:
        sys.stderr.write(f"{refused}\n")
        return 2
    except (SpoolInUse, OSError) as refused:
        sys.stderr.write(f"APPRAISER_STATE_FOLDER: {refused}\n")
        return 2
    uvicorn.run(
        create_app(settings), host=settings.host, port=settings.port, loop="uvloop", http=BoundedConnection,
        ws="none", log_config=None, access_log=False, server_header=False, proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS, timeout_graceful_shutdown=_DRAIN_SECONDS,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
