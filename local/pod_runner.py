"""A loopback server that speaks the part of the Kubernetes API which KubernetesPodOperator and kubectl use for pods.

    python -m local.pod_runner --port 6443 --root DIR --images FILE

Every pod becomes a process (local/pod_shim.py) in the environment that stands for its image (local/pod_environment.py),
led as a kubelet leads it (local/pod_kubelet.py). DIR holds `configmaps/<name>/<KEY>` and `secrets/<name>/<key>`, which
pods refer to; the runner puts there `kubeconfig`, with which kubectl and Airflow reach it, and `pods/`, so that pods
can still be looked at after a restart. Exit status 2: wrong options. 1: it cannot start, and a sentence says why.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import logging
import os
import socket
import sys
from pathlib import Path

import structlog
import uvicorn

from local.pod_access import Access
from local.pod_api import application
from local.pod_kubelet import Kubelet
from local.pod_status import ADDRESS
from local.pod_store import Store

# Clients keep connections for the next poll; closing them under a client costs it a failed request.
_KEEP_ALIVE_SECONDS = 180
_SHUTDOWN_SECONDS = 1

_LOG: structlog.stdlib.BoundLogger = structlog.get_logger()


class PodServer(uvicorn.Server):
    """The web server; asked to stop, it ends the pods first, so that whoever follows a log sees its end."""

    def __init__(self, config: uvicorn.Config, store: Store, kubelet: Kubelet) -> None:
        super().__init__(config)
        self._store = store
        self._kubelet = kubelet

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take over the pods of an earlier runner, then answer."""
        self._kubelet.adopt()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the pods and the watches, then the connections."""
        await self._kubelet.shut_down()
        self._store.close()
        await super().shutdown(sockets)


def main() -> None:
    """Serve until told to stop."""
    options = parse(sys.argv[1:])
    options.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    configure_logging()
    with (options.root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another pod runner uses {options.root}")
        try:
            listener = socket.create_server((ADDRESS, options.port))
        except OSError as error:
            sys.exit(f"cannot listen on {ADDRESS}:{options.port} (--port): {os.strerror(error.errno or 0)}")
        # Inherited by its connections. Without it head and body of an answer met Nagle: 45 ms a request instead of 1.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asyncio.run(serve(listener, options.root, options.images))


async def serve(listener: socket.socket, root: Path, images: Path) -> None:
    """Serve on a socket that listens, with the state in a folder, until a signal says stop."""
    store = Store(root / "pods")
    kubelet = Kubelet(store, images, root)
    access = Access(root)
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        application(store, kubelet, access.token),
        ssl_certfile=access.certificate,
        ssl_keyfile=access.key,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
    )
    access.write_kubeconfig(port)
    _LOG.info("pod_runner_ready", address=f"https://{ADDRESS}:{port}", kubeconfig=str(access.kubeconfig))
    if sys.platform != "linux":
        _LOG.warning("pod_limits_missing", why="memory limits and the end of stray grandchildren need Linux")
    await PodServer(config, store, kubelet).serve(sockets=[listener])


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the options; exit with 2 where they are wrong."""
    parser = argparse.ArgumentParser(prog="python -m local.pod_runner", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--port", type=int, required=True, help="port of 127.0.0.1 to listen on; 0 for any free one")
    parser.add_argument("--root", type=Path, required=True, help="folder for pods, kubeconfig, configmaps and secrets")
    parser.add_argument(
        "--images", type=Path, required=True, help="JSON file that maps image references to environments"
    )
    options = parser.parse_args(arguments)
    options.root = options.root.absolute()
    options.images = options.images.absolute()
    try:
        if not isinstance(json.loads(options.images.read_text()), dict):
            parser.error(f"--images: {options.images} does not hold a JSON object")
    except (OSError, ValueError) as error:
        parser.error(f"--images: {options.images} cannot be read: {error}")
    return options


def configure_logging() -> None:
    """Write one line an event, with keys, to stderr; of the web server only what went wrong."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")


if __name__ == "__main__":
    main()
