"""What FastAPI itself leaves room for: a route that reads the body and answers nothing, without a model.

`python -m tests.bench.serving_empty PORT`, in the service's environment.
"""

from __future__ import annotations

import sys

from fastapi import FastAPI, Request, Response

from tests.bench.serving_bare import serve

app = FastAPI()


@app.post("/")
async def answer(request: Request) -> Response:
    """Read what was sent."""
    await request.body()
    return Response(b"{}", media_type="application/json")


if __name__ == "__main__":
    serve(app, sys.argv[1])
