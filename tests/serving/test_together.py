"""Requests of one moment are priced in one call; each gets its own price, of its own model, or its own error."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.together import Together
from steps.common.bundle import Bundle
from steps.common.listing import Listing
from tests.serving.running import write_model
from tests.steps.common.listings import house, houses


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Bundle]:
    return [write_model(tmp_path_factory.mktemp("model"), trees) for trees in (20, 30)]


class Counted:
    """A model that notes how many listings it was asked about at once, and fails when told to."""

    def __init__(self, bundle: Bundle, failing: bool = False) -> None:
        self.asked: list[int] = []
        self._bundle = bundle
        self._failing = failing

    def prices(self, listings: list[Listing]) -> Any:
        """Return the model's own prices."""
        self.asked.append(len(listings))
        if self._failing:
            raise MemoryError("no room")
        return self._bundle.prices(listings)


async def all_of(*asked: Awaitable[float]) -> list[Any]:
    return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 10)


@given(st.lists(st.tuples(houses, st.integers(0, 1)), min_size=1, max_size=30))
@settings(max_examples=40)
def test_everybody_gets_the_price_of_their_house_and_model(
    bundles: list[Bundle], asked: list[tuple[Listing, int]]
) -> None:
    async def ask() -> list[float]:
        together = Together()
        return await all_of(*(together.price(bundles[model], listing) for listing, model in asked))

    assert asyncio.run(ask()) == [float(bundles[model].prices([listing])[0]) for listing, model in asked]


def test_those_of_one_moment_are_asked_at_once_and_not_too_many(bundles: list[Bundle]) -> None:
    model: Any = Counted(bundles[0])

    async def ask() -> list[float]:
        together = Together()
        first = await all_of(*(together.price(model, house()) for _ in range(150)))
        return [*first, await together.price(model, house())]

    assert len(set(asyncio.run(ask()))) == 1
    assert model.asked == [64, 64, 22, 1]


def test_an_error_is_for_those_who_asked_that_model(bundles: list[Bundle]) -> None:
    broken: Any = Counted(bundles[0], failing=True)

    async def ask() -> list[Any]:
        together = Together()
        found = await all_of(
            together.price(broken, house()), together.price(bundles[0], house()), together.price(broken, house())
        )
        return [*found, await together.price(bundles[0], house())]

    first, second, third, later = asyncio.run(ask())
    assert isinstance(first, MemoryError)
    assert isinstance(third, MemoryError)
    assert second == later == float(bundles[0].prices([house()])[0])


def test_whoever_gave_up_waiting_holds_nobody_up(bundles: list[Bundle]) -> None:
    async def ask() -> list[Any]:
        together = Together()
        impatient = asyncio.create_task(together.price(bundles[0], house(bed=9)))
        patient = asyncio.create_task(together.price(bundles[0], house()))
        asyncio.get_running_loop().call_soon(impatient.cancel)
        return await all_of(impatient, patient)

    gone, price = asyncio.run(ask())
    assert isinstance(gone, asyncio.CancelledError)
    assert price == float(bundles[0].prices([house()])[0])
