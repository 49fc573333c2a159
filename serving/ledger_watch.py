"""What the ledger adds up to, read in the background, so that no scrape waits for it however long it takes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from steps.common.logs import log
from steps.common.store import figures as sums
from steps.common.store.connection import Unreachable
from steps.common.store.figures import Figures

_PAUSE_SECONDS: Final = 15.0
# Figures are told for so long after the look that found them, and for as long as that look took: the next one, of more
# than a dozen statements, takes as long again.
_OLDEST_SECONDS: Final = 60.0
# How long the scrape after a start waits for the first look; later ones never wait.
_FIRST_SECONDS: Final = 2.0
_STOP_SECONDS: Final = 1.0


@dataclass(frozen=True)
class _Look:
    until: float
    figures: Figures | None


class LedgerWatch:
    """Looks at the ledger again and again; what is asked is the newest look."""

    def __init__(self, ledger: Engine) -> None:
        self._ledger = ledger
        self._newest = _Look(0.0, None)
        self._trouble: str | None = None
        self._looked = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ledger watch", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop; a look that waits for the ledger is left behind."""
        self._stopping.set()
        self._thread.join(_STOP_SECONDS)

    def figures(self) -> Figures | None:
        """Return what the ledger adds up to, None where it does not say so any more; never raises."""
        self._looked.wait(_FIRST_SECONDS)
        newest = self._newest
        return newest.figures if time.monotonic() < newest.until else None

    def look(self) -> None:
        """Look once; never raises."""
        began = time.monotonic()
        found, trouble = None, None
        try:
            with self._ledger.connect() as connection:
                found = sums.figures(connection)
        except (Unreachable, SQLAlchemyError) as error:
            trouble = str(error).split("\n", 1)[0]
        except Exception as error:  # noqa: BLE001  # the next look must come, whatever this one met
            log().exception("figures_failed", kind=type(error).__name__)
        ended = time.monotonic()
        self._newest = _Look(ended + (ended - began) + _OLDEST_SECONDS, found)
        self._looked.set()
        if trouble is not None and trouble != self._trouble:
            log().warning("ledger_down", reason=trouble)
        self._trouble = trouble

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.look()
            self._stopping.wait(_PAUSE_SECONDS)
