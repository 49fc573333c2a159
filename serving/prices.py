"""Answers the price routes: parses, prices with one champion, stores, and only then answers.

A row or two are priced where requests are read; more in a thread of their own, so that health checks are answered
meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Final, Never, Protocol

from serving import answers, explanation, predictions, pricing
from serving.champion import Champion, Champions
from serving.metrics import Metrics
from serving.pricing import NoBatch, NotJson
from serving.problems import Kind, Refused, fault
from serving.together import Together
from serving.trace import Trace
from steps.common.listing import Listing, Refusal

# Up to this many bytes of body the work is done in less time than handing it over takes.
_SMALL: Final = 8192


class Log(Protocol):
    """Where predictions are stored before they are answered."""

    async def append(self, payload: bytes) -> None: ...  # noqa: D102  the class says it


class Prices:
    """The price routes' work, for the champion of the moment of each request."""

    def __init__(self, champions: Champions, log: Log, metrics: Metrics, batch_rows: int) -> None:
        self._champions = champions
        self._log = log
        self._metrics = metrics
        self._batch_rows = batch_rows
        self._together = Together()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="batch")

    def close(self) -> None:
        """Let go of the thread; what it has not begun is not done."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    async def predict(self, body: bytes, trace: Trace) -> answers.Prediction:
        """Price one listing."""
        listing = await self._parse(body, "/predict", trace)
        champion = self._champion(trace)
        price = await self._together.price(champion.bundle, listing)
        unseen = champion.bundle.encodings.unseen(listing)
        stored = await self._store("/predict", trace, listing, price, unseen)
        return {
            "price": price, "model_version": champion.version, "request_id": trace.request_id,
            "unseen_fields": list(unseen), "inference_id": stored,
        }  # fmt: skip

    async def explain(self, body: bytes, trace: Trace) -> answers.Explanation:
        """Price one listing and say why."""
        listing = await self._parse(body, "/explain", trace)
        champion = self._champion(trace)
        price, log_price, base, contributions = explanation.explain(champion.bundle, listing)
        unseen = champion.bundle.encodings.unseen(listing)
        stored = await self._store("/explain", trace, listing, price, unseen)
        return {
            "price": price, "log_price": log_price, "model_version": champion.version, "request_id": trace.request_id,
            "unseen_fields": list(unseen), "inference_id": stored,
            "method": explanation.METHOD, "base": base, "contributions": contributions,
        }  # fmt: skip

    async def predict_batch(self, body: bytes, trace: Trace) -> answers.BatchPrediction:
        """Price many listings; a row that is none gets its reason, and the others their prices."""
        try:
            batch = await self._aside(body, lambda: pricing.parse_batch(body, self._batch_rows))
        except NotJson as error:
            await self.refuse(Kind.NOT_JSON, (), str(error), body, "/predict-batch", trace)
        except NoBatch as error:
            await self.refuse(Kind.REQUEST_REFUSED, (error.refusal,), str(error), body, "/predict-batch", trace)
        champion = self._champion(trace)
        trace.rows = batch.rows
        payload, answer, unseen = await self._aside(body, lambda: _price_batch(batch, champion, trace))
        await self._log.append(payload)
        self._metrics.predicted("/predict-batch", priced=answer["priced"], refused=answer["refused"], unseen=unseen)
        return answer

    async def _parse(self, body: bytes, route: str, trace: Trace) -> Listing:
        """Return the listing; store what is none, and raise Refused."""
        try:
            found = pricing.parse(body)
        except NotJson as error:
            await self.refuse(Kind.NOT_JSON, (), str(error), body, route, trace)
        if not isinstance(found, Listing):
            await self.refuse(Kind.LISTING_REFUSED, found, _told(found[0]), body, route, trace)
        return found

    async def refuse(
        self, kind: Kind, faults: tuple[Refusal, ...], why: str, body: bytes, route: str, trace: Trace
    ) -> Never:
        """Store what was sent and why it gets no price, then raise Refused."""
        refused = [(0, pricing.sent(body), why)]
        entry = predictions.entry(trace.request_id, route, trace.version, b"[]", [], refused)
        await self._log.append(predictions.encode(entry))
        self._metrics.predicted(route, refused=1)
        raise Refused(kind, why, faults)

    def _champion(self, trace: Trace) -> Champion:
        """Return the champion this request is answered with."""
        champion = self._champions.current
        if champion is None:
            look = self._champions.newest
            raise Refused(Kind.NO_MODEL, look.reason if look else "The alias has not been looked at yet.")
        trace.version = champion.version
        return champion

    async def _store(self, route: str, trace: Trace, listing: Listing, price: float, unseen: Sequence[str]) -> str:
        entry = predictions.entry(
            trace.request_id, route, trace.version, b"[%b]" % pricing.to_json_one(listing), [price]
        )
        await self._log.append(predictions.encode(entry))
        self._metrics.predicted(route, priced=1, unseen=dict.fromkeys(unseen, 1))
        return entry.inference_id(0)

    async def _aside[T](self, body: bytes, work: Callable[[], T]) -> T:
        if len(body) <= _SMALL:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _told(refusal: Refusal) -> str:
    return f"{refusal.field}: {refusal.rule}"


def _price_batch(
    batch: pricing.Batch, champion: Champion, trace: Trace
) -> tuple[bytes, answers.BatchPrediction, Mapping[str, int]]:
    """Return what is stored of a batch, its answer, and by field how many listings have a value never seen."""
    listings = list(batch.listings.values())
    prices, unseen = pricing.prices(champion.bundle, listings)
    refused = [(row, sent, _told(why)) for row, (sent, why) in batch.refused.items()]
    entry = predictions.entry(
        trace.request_id, "/predict-batch", champion.version, pricing.to_json_many(listings), prices, refused
    )
    results: list[answers.Row | None] = [None] * batch.rows
    for row, price, fields in zip(batch.listings, prices, unseen, strict=True):
        results[row] = {
            "price": price, "unseen_fields": fields, "error": None, "inference_id": entry.inference_id(row),
        }  # fmt: skip
    for row, (_, why) in batch.refused.items():
        results[row] = {
            "price": None, "unseen_fields": [], "error": fault(why), "inference_id": entry.inference_id(row),
        }  # fmt: skip
    answer: answers.BatchPrediction = {
        "model_version": champion.version, "request_id": trace.request_id, "priced": len(prices),
        "refused": len(refused), "results": [one for one in results if one is not None],
    }  # fmt: skip
    return predictions.encode(entry), answer, Counter(chain.from_iterable(unseen))
