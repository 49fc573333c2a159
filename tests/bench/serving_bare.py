"""The least a service can be: an ASGI app around the same model, without log, metrics, ids or errors in words.

`python -m tests.bench.serving_bare BUNDLE PORT`, in the service's environment.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import uvicorn

from steps.common import bundle
from steps.common.listing import Listing


def app(model: bundle.Bundle) -> Any:
    """Return the app: one listing or a list of them in, a price or a list of them out."""

    async def answer(_scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        sent = json.loads(body)
        many = sent.get("listings", [sent])
        prices = model.prices([Listing.model_validate(one) for one in many]).tolist()
        content = json.dumps({"price": prices[0] if len(prices) == 1 else prices}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    return answer


def serve(app: Any, port: str) -> None:
    """Serve an app as the service is served, and with nothing around it."""
    uvicorn.run(
        app, host="127.0.0.1", port=int(port), loop="uvloop", http="httptools", lifespan="off", access_log=False,
        log_level="error",
    )  # fmt: skip


if __name__ == "__main__":
    folder, port = sys.argv[1:]
    serve(app(bundle.load(Path(folder))), port)
