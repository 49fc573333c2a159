"""The real source for the tests of fetch: one process, a group of its own for each test."""

from collections.abc import Iterator
from itertools import cycle

import pytest

from tests.local.source_server import RunningSource, running_source
from tests.servers import Databases
from tests.steps.fetch.fetching import Fetching

_groups = cycle(range(1, 11))


@pytest.fixture(scope="session")
def source() -> Iterator[RunningSource]:
    """Return the synthetic source with six batches of some hundred to some thousand rows, ready to misbehave."""
    with running_source("--scale", "0.35", "--allow-misbehave") as running:
        yield running


@pytest.fixture
def fetching(databases: Databases, source: RunningSource, monkeypatch: pytest.MonkeyPatch) -> Fetching:
    """Return fetch with empty databases, and the source at batch 0 and well-behaved."""
    made = Fetching(databases, monkeypatch, source, next(_groups))
    made.misbehave()
    made.set_back()
    return made
