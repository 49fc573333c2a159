"""Put the API of this cluster under a bounded mix of requests, and say how it did: the Job of `make load CLUSTER=1`.

Of 100 requests 80 ask one price, 10 a hundred of them, 5 a reason, 5 the model. The standard library is all it needs,
so that serving's own image runs it. Variables: URL (a Service of this cluster or loopback), USERS, SECONDS, API_KEY.
The exit status is 1 where a request failed.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import defaultdict
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

_MOST_USERS: Final = 200
_MOST_SECONDS: Final = 600
_TIMEOUT_SECONDS: Final = 30
_BATCH: Final = 100
_SHARES: Final = {"/predict": 80, "/predict-batch": 10, "/explain": 5, "/model-info?values=10": 5}
_STATES: Final = {"Maine": "04101", "Connecticut": "06103", "New Hampshire": "03101", "Vermont": "05401"}

Figures = dict[str, list[float]]


def is_ours(host: str) -> bool:
    """Tell whether a host is loopback or a Service of this cluster: load is for one's own system."""
    return host in ("127.0.0.1", "localhost") or "." not in host or host.endswith((".svc", ".svc.cluster.local"))


def bounded(name: str, most: int) -> int:
    """Return a variable as a number from 1 to `most`; end with a sentence where it is none."""
    text = os.environ.get(name, "")
    if not text.isdecimal() or not 1 <= int(text) <= most:
        sys.exit(f"{name}: {text!r} is not a number from 1 to {most}")
    return int(text)


def listing(chance: random.Random) -> dict[str, Any]:
    """Return a listing as callers send it, another one every time, so that nothing is cached."""
    state = chance.choice(list(_STATES))
    return {
        "status": chance.choice(["for_sale", "sold"]), "bed": chance.randint(1, 6), "bath": chance.randint(1, 4),
        "acre_lot": round(chance.uniform(0.05, 3), 2), "house_size": chance.randint(600, 4000), "state": state,
        "city": None, "zip_code": _STATES[state],
    }  # fmt: skip


def body_of(route: str, chance: random.Random) -> str | None:
    """Return what a route is sent, None where it is only read."""
    if route.startswith("/model-info"):
        return None
    if route == "/predict-batch":
        return json.dumps({"listings": [listing(chance) for _ in range(_BATCH)]})
    return json.dumps(listing(chance))


def call(address: str, until: float, chance: random.Random, seconds: Figures, failures: Figures) -> None:
    """Ask again as soon as there is an answer, until a moment of the monotonic clock."""
    headers = {"Content-Type": "application/json"}
    if key := os.environ.get("API_KEY"):
        headers["X-API-Key"] = key
    connection = HTTPConnection(address, timeout=_TIMEOUT_SECONDS)
    while time.monotonic() < until:
        (route,) = chance.choices(list(_SHARES), list(_SHARES.values()))
        body = body_of(route, chance)
        start = time.monotonic()
        try:
            connection.request("GET" if body is None else "POST", route, body, headers)
            answer = connection.getresponse()
            answer.read()
            good = answer.status < HTTPStatus.BAD_REQUEST
        except (OSError, HTTPException):
            connection.close()
            good = False
        (seconds if good else failures)[route].append(time.monotonic() - start)
    connection.close()


def summary(seconds: Figures, failures: Figures) -> str:
    """Return a line for each route: how many answers, how long they took, how many failed."""
    lines = [f"{'':22}{'answers':>9}{'p50 ms':>8}{'p99 ms':>8}{'failed':>8}"]
    for route in _SHARES:
        found = sorted(seconds[route]) or [0.0]
        p50, p99 = (1000 * found[int(share * (len(found) - 1))] for share in (0.5, 0.99))
        lines.append(f"{route:22}{len(seconds[route]):9,}{p50:8.0f}{p99:8.0f}{len(failures[route]):8,}")
    return "\n".join(lines)


def main() -> int:
    """Run the load; return the exit code."""
    address = urlsplit(os.environ.get("URL", ""))
    if not address.hostname or not is_ours(address.hostname):
        sys.exit(f"URL: {address.geturl()!r} is no Service of this cluster; this load is for one's own")
    users, span = bounded("USERS", _MOST_USERS), bounded("SECONDS", _MOST_SECONDS)
    seconds: Figures = defaultdict(list)
    failures: Figures = defaultdict(list)
    until = time.monotonic() + span
    callers = [
        threading.Thread(target=call, args=(address.netloc, until, random.Random(user), seconds, failures))  # noqa: S311
        for user in range(users)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    sys.stdout.write(f"{summary(seconds, failures)}\n")
    return 1 if any(failures.values()) or not any(seconds.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
