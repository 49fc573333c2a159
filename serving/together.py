"""Prices the listings of requests that came at the same moment with one call of the booster.

Between two prices a server does other work, which takes the trees out of the processor's nearest memory: one price
after the other took four times as long as the same ones together. Nobody waits for company: whatever has been asked by
the time the event loop comes round is priced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from steps.common.bundle import Bundle
from steps.common.listing import Listing

# So many take some milliseconds; then requests are read again.
_MOST: Final = 64

_Asked = tuple[Bundle, Listing, asyncio.Future[float]]


class Together:
    """Gathers listings and prices them, each with the model of its own request; used from one event loop."""

    def __init__(self) -> None:
        self._asked: list[_Asked] = []

    async def price(self, bundle: Bundle, listing: Listing) -> float:
        """Return a listing's price in dollars, rounded to the cent."""
        loop = asyncio.get_running_loop()
        priced: asyncio.Future[float] = loop.create_future()
        if not self._asked:
            loop.call_soon(self._price, loop)
        self._asked.append((bundle, listing, priced))
        return await priced

    def _price(self, loop: asyncio.AbstractEventLoop) -> None:
        now, self._asked = self._asked[:_MOST], self._asked[_MOST:]
        if self._asked:
            loop.call_soon(self._price, loop)
        # Around a change of champion there are two of them.
        for bundle in {id(bundle): bundle for bundle, _, _ in now}.values():
            _settle(bundle, [(listing, priced) for its, listing, priced in now if its is bundle])


def _settle(bundle: Bundle, asked: Sequence[tuple[Listing, asyncio.Future[float]]]) -> None:
    try:
        prices = bundle.prices([listing for listing, _ in asked]).tolist()
    except Exception as error:  # noqa: BLE001  # it is raised where each of them waits
        for _, priced in asked:
            if not priced.done():
                priced.set_exception(error)
        return
    for (_, priced), price in zip(asked, prices, strict=True):
        # A request that ran out of time has given up waiting.
        if not priced.done():
            priced.set_result(price)
