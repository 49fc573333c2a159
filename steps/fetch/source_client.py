"""Speak to the source: ask for the next batch into a file, set its counter back. Decides nothing, repeats nothing.

What an answer means: 200 is a batch, to be read; 400 with the source's sentence for it, 404 and 204 are the end;
other 4xx refuse the question in the source's own words; anything else is no answer to take. Where no connection was
made it is Unreachable: only then is it certain that the counter has not moved.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import tempfile
import time
import unicodedata
from contextlib import closing
from functools import cached_property
from http import HTTPStatus
from typing import BinaryIO, Final

from steps.common.store.connection import Unreachable
from steps.fetch.exchange import SILENCE_SECONDS, Address, Exchange, Lost, NoAddress, NoConnection, Silent, TooLate
from steps.fetch.reason import Reason
from steps.fetch.unpacking import CannotUnpack, Unpacker

_SETTING: Final = "APPRAISER_SOURCE_URL"
# As much of an answer as is kept of one that cannot be taken, and as is read of one that is not a batch.
HEAD_BYTES: Final = 1 << 16
_LONGEST_SENTENCE: Final = 300
_THE_END: Final = "ya se recolecto toda la informacion minima necesaria"
# The source, or what stands before it, is busy: later it may not be.
_BUSY: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


class SourceEnded(Exception):
    """The source has handed out all it has; the message is how it said so."""


class QuestionRefused(Exception):
    """The source does not answer a question like this; the message is its own words."""


class NoAnswer(Exception):
    """What came, if anything did, cannot be a batch; `passing` where it may be one when asked again later."""

    def __init__(self, reason: Reason, detail: str, spool: Spool, *, passing: bool = False) -> None:
        self.reason, self.passing = reason, passing
        self.detail = f"{reason.sentence}: {detail}"
        self.sha, self.head = spool.sha, spool.head()
        super().__init__(f"{reason}: {self.detail}")


class Spool:
    """An answer's bytes on their way into a file without a name, which goes when it is closed."""

    def __init__(self, most_bytes: int) -> None:
        self.file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close
        self.size = 0
        self.seconds = 0.0
        self.requested_at = self.received_at = dt.datetime.now(dt.UTC)
        self._state = hashlib.sha256()
        self._most_bytes = most_bytes

    @property
    def sha(self) -> str:
        """Return the sha256 of the bytes that have arrived, unpacked."""
        return self._state.hexdigest()

    def head(self) -> bytes:
        """Return the first 64 KiB."""
        self.file.seek(0)
        return self.file.read(HEAD_BYTES)

    def write(self, piece: bytes) -> None:
        """Add a piece; raises NoAnswer when it is too much."""
        if self.size + len(piece) > self._most_bytes:
            limit = f"{self._most_bytes:,} bytes (APPRAISER_ANSWER_MEGABYTES)"
            raise NoAnswer(Reason.TOO_LARGE, limit, self)
        self.file.write(piece)
        self._state.update(piece)
        self.size += len(piece)

    def close(self) -> None:
        """Let the file go."""
        self.file.close()


class Source:
    """The source at an address, asked for one group; `answer_seconds` and `most_bytes` bound each answer as a whole."""

    def __init__(self, url: str, group: int, day: str | None, answer_seconds: float, most_bytes: int) -> None:
        self.url, self.group = url, group
        self._question = {"group_number": str(group), **({"day": day} if day else {})}
        self._seconds, self._most_bytes = answer_seconds, most_bytes

    def ask(self) -> Spool:
        """Return the answer to a request for the next batch, whole; whoever reads it closes it.

        Raises SourceEnded, QuestionRefused, NoAnswer, Unreachable. The counter has moved, whatever came of it.
        """
        spool = Spool(self._most_bytes)
        try:
            status = self._bounded("/data", spool)
            _judge(status, spool)
        except BaseException:
            spool.close()
            raise
        return spool

    def restart(self) -> None:
        """Set the counter back, so that batch 0 is next; raises QuestionRefused, NoAnswer, Unreachable."""
        spool = Spool(HEAD_BYTES)
        try:
            status = self._bounded("/restart_data_generation", spool)
            _judge(status, spool)
            if _decoded(spool) not in ({"ok": True}, ["ok"]):
                raise NoAnswer(Reason.OTHER_SHAPE, "the restart of the counter is not confirmed", spool)
        except SourceEnded as fault:
            raise QuestionRefused(str(fault)) from None
        finally:
            spool.close()

    @cached_property
    def _address(self) -> Address:
        """Return where it is, read once for all requests: certificates are loaded with it; raises NoAddress."""
        return Address.of(self.url)

    def _bounded(self, path: str, spool: Spool) -> int:
        """Get an answer and return its status, within the one deadline for all of it."""
        began = time.monotonic()
        try:
            with closing(Exchange(self._address, path, self._question, self._seconds)) as exchange:
                _receive(exchange, spool)
                return exchange.status
        except NoConnection as error:
            raise Unreachable(_SETTING, self.url, str(error)) from None
        except NoAddress as error:
            raise QuestionRefused(f"{_SETTING} is no address of a source: {error}") from None
        except Silent:
            raise NoAnswer(Reason.SILENCE, f"{SILENCE_SECONDS:.0f} s", spool, passing=True) from None
        except TooLate:
            limit = f"{self._seconds:,.0f} s (APPRAISER_ANSWER_SECONDS)"
            raise NoAnswer(Reason.DEADLINE, limit, spool, passing=True) from None
        except Lost as error:
            raise NoAnswer(Reason.CONNECTION_LOST, str(error), spool, passing=True) from None
        finally:
            spool.seconds = time.monotonic() - began
            spool.received_at = dt.datetime.now(dt.UTC)


def _receive(exchange: Exchange, spool: Spool) -> None:
    try:
        unpacker = Unpacker(exchange.encoding)
        for chunk in exchange.pieces():
            for piece in unpacker.pieces(chunk):
                if exchange.status == HTTPStatus.OK:
                    spool.write(piece)
                elif spool.size < HEAD_BYTES:
                    spool.write(piece[: HEAD_BYTES - spool.size])
                else:
                    return
    except CannotUnpack as fault:
        raise NoAnswer(Reason.BAD_COMPRESSION, str(fault), spool) from None


def _judge(status: int, spool: Spool) -> None:
    """Return for a status that promises a batch, else raise what it means."""
    if status == HTTPStatus.OK:
        return
    words = _words(status, spool)
    if status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND} or (
        status == HTTPStatus.BAD_REQUEST and _plain(words) == _THE_END
    ):
        raise SourceEnded(f"HTTP {status}: {words}")
    if HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _BUSY:
        raise QuestionRefused(f"HTTP {status}: {words}")
    passing = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _BUSY
    raise NoAnswer(Reason.HTTP_STATUS, f"{status} {words}", spool, passing=passing)


def _words(status: int, spool: Spool) -> str:
    """Return what the source says in `detail`, or what its status is called: pages for people stay out of logs."""
    answer = _decoded(spool)
    detail = answer.get("detail") if isinstance(answer, dict) else None
    if detail is None:
        return HTTPStatus(status).phrase if status in HTTPStatus else "unknown status"
    return (detail if isinstance(detail, str) else json.dumps(detail, ensure_ascii=False))[:_LONGEST_SENTENCE]


def _decoded(spool: Spool) -> object:
    try:
        return json.loads(spool.head())
    except ValueError:
        return None


def _plain(sentence: str) -> str:
    """Return a sentence in lower case and without accents, which some servers spoil."""
    letters = unicodedata.normalize("NFKD", sentence).casefold()
    return " ".join("".join(letter for letter in letters if not unicodedata.combining(letter)).split())
