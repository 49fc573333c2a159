"""What FastAPI itself leaves room for: a route that reads the body and answers nothing, without a model.

`python -m tests.bench.serving_empty PORT`, in the service's environment.
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI, Request, Response

app = FastAPI()


@app.post("/")
async def answer(request: Request) -> Response:
    """Read what was sent."""
    await request.body()
    return Response(b"{}", media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools", lifespan="off",
        access_log=False, log_level="error",
    )  # fmt: skip
