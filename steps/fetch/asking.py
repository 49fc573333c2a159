"""Ask the source until it hands out a batch that RAW does not hold, each request and its answer written down.

A row REQUEST_SENT is committed before each request, what came of it afterwards; a batch, its rows and its row STORED
are one transaction, begun when the answer is whole. A request without a good answer has moved the source's counter
all the same: a later batch shows, by its number, that one is missing; at the end of the source nothing would show it.
One that the source cannot deliver, however many runs set the counter back for it, is given up, or nothing behind it
would be stored; one that is lost on the way is given up only after a day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Final

from sqlalchemy import Connection, Engine

from steps.common.logs import committed, log
from steps.common.step import Refused
from steps.common.store import raw
from steps.common.store.connection import Unreachable
from steps.common.store.raw import Batch, Event
from steps.fetch.answer import BatchText, early_number
from steps.fetch.fetch import Remedy, missing_before, most_rows, remedy
from steps.fetch.reason import NotABatch, Reason
from steps.fetch.source_client import NoAnswer, QuestionRefused, Source, SourceEnded, Spool

# Once on the way to a new batch, and once more after the counter was set back.
_MOST_TIMES_KNOWN: Final = 2
_MOST_NAMED: Final = 5
# Whoever is this far ahead has another counter than the one we know.
_MOST_GIVEN_UP: Final = 100
_AFTER_A_LOSS: Final = "AFTER_A_LOSS"
_LOST_AT_THE_END: Final = "an answer was lost just before the end of the source"


class AnswerRefused(Refused):
    """The source answered, but with nothing that can be stored; RAW is as it was."""


class BatchMissed(Refused):
    """A batch was lost, and this run has used up its restart of the counter; the next run restarts it again."""


class CounterUnsteady(Refused):
    """The same batches come again and again: somebody else keeps setting the counter back."""


class Asking:
    """The requests of one run; `alarmed` is called when one has been written down that somebody should look at."""

    def __init__(
        self,
        source: Source,
        engine: Engine,
        source_id: str,
        run_id: str,
        *,
        allow_restart: bool,
        growth: float,
        alarmed: Callable[[], None],
    ) -> None:
        self._source, self._engine, self._source_id, self._run_id = source, engine, source_id, run_id
        self._allow_restart, self._growth, self._alarmed = allow_restart, growth, alarmed
        self._times_known: Counter[int] = Counter()
        with engine.connect() as connection:
            self._stored = {batch.batch_number: batch for batch in raw.batches(connection, source_id)}
            self._given_up = raw.given_up(connection, source_id)
            self._restarted = raw.events_of_run(connection, source_id, run_id).get(Event.RESTARTED, 0) > 0

    def new_batch(self) -> Batch:
        """Return a batch that RAW now holds and did not before.

        Raises SourceEnded where there is none; AnswerRefused, BatchMissed, CounterUnsteady; Unreachable where asking
        again later may be right.
        """
        while True:
            request = self._note(Event.REQUEST_SENT, None, boundary="request_sent")
            try:
                spool = self._source.ask()
            except SourceEnded as end:
                self._end(request, str(end))
                continue
            except (NoAnswer, QuestionRefused, Unreachable) as fault:
                raise self._not_taken(request, fault) from None
            with closing(spool):
                batch = self._take(request, spool)
            if batch is not None:
                return batch

    def _take(self, request: int, spool: Spool) -> Batch | None:
        """Store the batch an answer holds if it is new; return None if it is not, and the next is to be asked for."""
        try:
            text = self._text(spool)
            number = text.early_number
            if number is None or number in self._stored or self._missing(number):
                for _ in text.lines():
                    pass
                number = text.number
                if number in self._stored:
                    self._pass_over(request, number, text, spool)
                    return None
                if (todo := self._ahead(request, number)) is not None:
                    self._mend(*todo)
                    return None
                text = self._text(spool)
            return self._store(request, number, text, spool)
        except NotABatch as fault:
            event = Event.CHANGED if fault.reason is Reason.CHANGED_CONTENT else Event.ANSWER_REFUSED
            self._refuse(request, event, fault.reason, fault.detail, spool.sha, spool.head())
            raise AnswerRefused(f"{fault} ({spool.size:,} bytes, sha256 {spool.sha[:12]}…); nothing stored") from None

    def _text(self, spool: Spool) -> BatchText:
        rows = {number: batch.rows for number, batch in self._stored.items()}
        return BatchText(spool.file, self._source.group, most_rows(rows, self._growth))

    def _store(self, request: int, number: int, text: BatchText, spool: Spool) -> Batch:
        missing = self._missing(number)
        if len(missing) > _MOST_GIVEN_UP:
            raise NotABatch(Reason.GAP, f"{len(missing):,} of those before batch {number}")
        with self._engine.begin() as connection:
            raw.copy_rows(connection, self._source_id, number, text.lines())
            if text.number != number:
                raise NotABatch(Reason.OTHER_SHAPE, "two batch numbers")
            batch = Batch(
                self._source_id, number, text.content_sha, spool.sha, text.rows, spool.size, round(spool.seconds, 3),
                spool.requested_at, spool.received_at,
            )  # fmt: skip
            raw.append_batch(connection, batch)
            self._append(connection, Event.STORED, request, number=number, sha=spool.sha)
            # In one transaction with the batch: whoever died in between would have lost this one too.
            for lost in missing:
                self._append_loss(connection, request, lost, f"batch {lost} is lost: the source has come to {number}")
        committed("batch_stored")
        log().info("stored", request=request, batch=number, rows=batch.rows, bytes=batch.bytes, seconds=batch.seconds)
        if missing:
            self._alarmed()
        return batch

    def _pass_over(self, request: int, number: int, text: BatchText, spool: Spool) -> None:
        if text.content_sha != self._stored[number].content_sha:
            raise NotABatch(Reason.CHANGED_CONTENT, f"batch {number}, now of {text.rows:,} rows")
        self._note(Event.KNOWN, request, boundary="batch_known", number=number, sha=spool.sha)
        self._times_known[number] += 1
        if self._times_known[number] > _MOST_TIMES_KNOWN:
            raise CounterUnsteady(f"batch {number} came {self._times_known[number]} times in one run")

    def _ahead(self, request: int, number: int) -> tuple[Remedy, str] | None:
        """Return what is to be done, and why, about batches missing before this one; None where it can be stored."""
        missing = self._missing(number)
        if not missing or (todo := self._remedy(request, missing[0])) is Remedy.GIVE_UP:
            return None
        if todo is Remedy.GIVE_UP_FIRST and len(missing) == 1:
            return None
        names = ", ".join(map(str, missing[:_MOST_NAMED])) + (" …" if missing[_MOST_NAMED:] else "")
        self._note(Event.GAP, request, boundary="gap_found", number=number, reason=Reason.GAP, detail=names)
        if todo is Remedy.GIVE_UP_FIRST:
            self._give_up(request, missing[0], f"batch {missing[0]} is lost: the source has come to {number}")
            self._given_up.add(missing[0])
            todo = Remedy.NEXT_RUN if self._restarted else Remedy.RESTART
        return todo, f"batch {number} came, but not {names}"

    def _missing(self, number: int) -> list[int]:
        return missing_before(number, self._stored, self._given_up)

    def _end(self, request: int, how: str) -> None:
        """Raise SourceEnded if this really is the end; return where the counter was set back instead."""
        if not self._missed(request):
            self._note(Event.END, request, boundary="source_ended", detail=how)
            raise SourceEnded(how)
        todo = self._remedy(request, None)
        self._note(Event.END, request, boundary="source_ended", reason=_AFTER_A_LOSS, detail=how)
        if todo in {Remedy.GIVE_UP, Remedy.GIVE_UP_FIRST}:
            self._give_up(request, None, f"{_LOST_AT_THE_END}: its last batch, maybe")
            raise SourceEnded(how)
        self._mend(todo, _LOST_AT_THE_END)

    def _remedy(self, request: int, missing: int | None) -> Remedy:
        with self._engine.connect() as connection:
            vain = raw.vain_restarts(connection, self._source_id, missing)
        missed = bool(self._missed(request))
        return remedy(allow_restart=self._allow_restart, restarted=self._restarted, missed=missed, vain=vain)

    def _missed(self, request: int) -> list[int]:
        with self._engine.connect() as connection:
            missed = raw.missed_requests(connection, self._source_id)
        return [lost for lost in missed if lost != request]

    def _mend(self, todo: Remedy, why: str) -> None:
        if todo is Remedy.NEXT_RUN:
            message = f"{why}; this run has set the counter back once, the next run will do so again"
            self._note(Event.LEFT_TO_NEXT_RUN, None, boundary="batch_missed", reason="BATCH_MISSED", detail=message)
            self._alarmed()
            raise BatchMissed(message)
        log().warning("restarting_counter", why=why)
        try:
            self._source.restart()
        except QuestionRefused as fault:
            raise AnswerRefused(f"{why}; the counter cannot be set back (APPRAISER_ALLOW_RESTART): {fault}") from None
        except NoAnswer as fault:
            raise Unreachable("APPRAISER_SOURCE_URL", self._source.url, f"restart of the counter: {fault}") from None
        self._restarted = True
        self._note(Event.RESTARTED, None, boundary="restarted", detail=why)

    def _give_up(self, request: int, number: int | None, what: str) -> None:
        with self._engine.begin() as connection:
            self._append_loss(connection, request, number, what)
        committed("batch_given_up")
        self._alarmed()

    def _append_loss(self, connection: Connection, request: int, number: int | None, what: str) -> None:
        why = "setting the counter back did not bring it" if self._allow_restart else "the counter must not be set back"
        self._append(connection, Event.GIVEN_UP, request, number=number, reason="BATCH_LOST", detail=f"{what}; {why}")

    def _not_taken(self, request: int, fault: NoAnswer | QuestionRefused | Unreachable) -> Exception:
        """Write down a request that brought no batch, and return what that means for the run."""
        if isinstance(fault, Unreachable):
            self._note(Event.NOT_SENT, request, boundary="answer_refused", detail=str(fault))
            return fault
        if isinstance(fault, QuestionRefused):
            detail = f"the source at {self._source.url} refuses to answer: {fault}"
            event = Event.QUESTION_REFUSED
            self._note(event, request, boundary="answer_refused", reason=event, detail=detail)
            self._alarmed()
            return AnswerRefused(detail)
        event = Event.LOST if fault.passing else Event.ANSWER_REFUSED
        self._refuse(request, event, fault.reason, fault.detail, fault.sha, fault.head)
        if fault.passing:
            return Unreachable("APPRAISER_SOURCE_URL", self._source.url, str(fault))
        return AnswerRefused(f"{fault}; nothing stored")

    def _refuse(self, request: int, event: Event, reason: Reason, detail: str, sha: str, head: bytes) -> None:
        # Another group counts batches of its own.
        number = None if reason is Reason.OTHER_GROUP else early_number(head)
        self._note(
            event, request, boundary="answer_refused", number=number, reason=reason, detail=detail, sha=sha, head=head
        )
        self._alarmed()

    def _note(
        self,
        event: Event,
        request: int | None,
        *,
        boundary: str,
        number: int | None = None,
        reason: str | None = None,
        detail: str | None = None,
        sha: str | None = None,
        head: bytes | None = None,
    ) -> int:
        """Commit what happened to a request, or that one is about to be sent; return the row's id."""
        with self._engine.begin() as connection:
            attempt = self._append(
                connection, event, request, number=number, reason=reason, detail=detail, sha=sha, head=head
            )
        committed(boundary)
        keys = {"batch": number, "reason": reason, "detail": detail}
        told = {key: value for key, value in keys.items() if value is not None}
        log().info(event.lower(), request=request or attempt, **told)
        return attempt

    def _append(
        self,
        connection: Connection,
        event: Event,
        request: int | None,
        *,
        number: int | None = None,
        reason: str | None = None,
        detail: str | None = None,
        sha: str | None = None,
        head: bytes | None = None,
    ) -> int:
        return raw.append_attempt(
            connection, self._source_id, self._run_id, event, request_id=request, batch_number=number,
            reason=reason, detail=detail, body_sha=sha, body_head=head,
        )  # fmt: skip
