"""Put a running service under a mix of requests, and say in a few lines how it did: `make load`.

Variables: URL (loopback only), USERS, SECONDS, RATE (users started a second). The exit status is 1 where a request
failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx

_URL: Final = "http://127.0.0.1:18081"
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_MOST_USERS: Final = 200
_MOST_SECONDS: Final = 600
_GRACE_SECONDS: Final = 60


def _number(name: str, default: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= most:
        sys.exit(f"{name}: {text} is not a number from 1 to {most}")
    return int(text)


def main() -> int:
    """Run Locust without its page, bounded in time and users; return the exit status."""
    url = (os.environ.get("URL") or _URL).rstrip("/")
    if urlsplit(url).hostname not in _LOOPBACK:
        sys.exit(f"URL: {url} is another machine's; this load is for one's own")
    users, seconds = _number("USERS", 8, _MOST_USERS), _number("SECONDS", 30, _MOST_SECONDS)
    rate = _number("RATE", users, _MOST_USERS)
    try:
        found = httpx.get(f"{url}/ready", timeout=5).json()
    except (httpx.TransportError, ValueError):
        sys.exit(f"nobody answers at {url}; `make run` starts the API there, URL= names another place")
    if found.get("model_version") is None:
        sys.exit(f"{url} has no model yet: {found.get('reason') or found.get('detail')}")
    # Locust reads variables of its own, which somebody's shell may have.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    return subprocess.run(
        [sys.executable, "-m", "locust", "--locustfile", str(Path(__file__).with_name("mix.py")), "--host", url,
         "--headless", "--only-summary", "--users", str(users), "--spawn-rate", str(rate), "--run-time", f"{seconds}s",
         "--stop-timeout", "5", "--loglevel", "ERROR"],
        env=environment, check=False, timeout=seconds + _GRACE_SECONDS,
    ).returncode  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
