"""What the drift laboratory plants: one cause each, in a market whose density and price function are known.

A scenario is the second batch of a source whose first batch is the base market's. What must come out is said beside
what is planted: the verdict without force, the codes and names its reasons hold, and, with a training forced, which
term of the explanation is the largest and what the gate says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from local.synthetic_market import Market, State, draw_listings
from tests.faults.market import BASE, BASE_ROWS, Table, base_batch

ROWS: Final = 24_000
NEW_STATE: Final = "Oregon"
LONELY_STATE: Final = "Wyoming"
SQUARE_METRES: Final = 0.09290304

Term = Literal["outside", "houses", "prices"]


@dataclass(frozen=True)
class Scenario:
    """One planted cause and what must come of it.

    `verdict` is validate's without force (None: fetch refuses the batch); `codes` stand among its reasons, `named`
    in their sentences. `largest` is the term of the champion's error that is real and the largest ("none": no term is
    real; None: not asked). `market` is what the batch is drawn from, where it is drawn from one. `trained` is False
    where no training is forced.
    """

    name: str
    planted: str
    batch: Callable[[], Table]
    verdict: str | None
    codes: tuple[str, ...] = ()
    named: str | None = None
    largest: Term | Literal["none"] | None = None
    promote: tuple[str, ...] = ()
    trained: bool = True
    market: Market | None = None
    misbehaviour: str | None = None
    weak_champion: bool = False
    short: bool = False


def drawn(market: Market, rows: int = ROWS, seed: int = 1) -> Table:
    """Return listings of a market, independent of the base's."""
    return draw_listings(market, np.random.default_rng([seed, rows]), rows)


def _changed(table: Table, **columns: NDArray[Any]) -> Table:
    return {**table, **columns}


def _small_houses() -> Market:
    """Return the base market with smaller houses: the same places and the same prices for like houses."""
    return replace(BASE, house_size_mean=BASE.house_size_mean - 0.35)


def _with_new_state() -> Market:
    return replace(BASE, states=(*BASE.states, State(NEW_STATE, 97_001, 0.9, 0.5)))


def _one_row_of_a_new_state() -> Table:
    table = {name: values.copy() for name, values in drawn(BASE).items()}
    table["state"][7], table["city"][7], table["zip_code"][7] = LONELY_STATE, "Lone Tree", 82_001.0
    return table


def _shuffled() -> Table:
    table = drawn(BASE)
    return _changed(table, price=np.random.default_rng(5).permutation(table["price"]))


def _tenfold_prices() -> Table:
    table = drawn(BASE)
    wrong = np.random.default_rng(6).random(ROWS) < 0.01
    return _changed(table, price=np.where(wrong, table["price"] * 10, table["price"]))


def _twins() -> Table:
    """Return a redraw half of whose rows are houses of the base batch, listed again the other way round."""
    table, old = drawn(BASE), base_batch()
    half = {name: values[: ROWS // 2].copy() for name, values in old.items()}
    half["status"] = np.where(half["status"] == "sold", "for_sale", "sold").astype(object)
    return {name: np.concatenate([half[name], values[ROWS // 2 :]]) for name, values in table.items()}


def _column_is(name: str, of_price: float) -> Callable[[], Table]:
    def batch() -> Table:
        table = drawn(BASE)
        return _changed(table, **{name: np.round(table["price"] * of_price, 4)})

    return batch


SCENARIOS: Final = (
    Scenario(
        "redraw", "nothing", lambda: drawn(BASE), "SKIP", largest="none", promote=("HOLD",), market=BASE, short=True
    ),
    # Eleven times the rows of the same market make a truly better model. That is no reason to train, but when somebody
    # forces it, the gate may say so: whether it is right is asked of the market itself.
    Scenario(
        "redraw x 10", "nothing, ten times the rows", lambda: drawn(BASE, 10 * BASE_ROWS), "SKIP", largest="none",
        promote=("HOLD", "PROMOTE"), market=BASE,
    ),
    Scenario(
        "redraw / 10", "nothing, a tenth of the rows", lambda: drawn(BASE, BASE_ROWS // 10), "SKIP", largest="none",
        promote=("HOLD",), market=BASE,
    ),
    Scenario(
        "other houses", "smaller houses, like houses priced alike", lambda: drawn(_small_houses()), "BY PROBE",
        codes=("DRIFT",), named="house_size", largest="houses", market=_small_houses(),
    ),
    # No feature tells the time, so a candidate that learns both price levels can only stand between them: whether that
    # is enough for a promotion is the gate's to say.
    Scenario(
        "prices x 1.1", "all prices a tenth higher", lambda: drawn(replace(BASE, price_factor=1.1)), "TRAIN",
        largest="prices", promote=("HOLD", "PROMOTE"), market=replace(BASE, price_factor=1.1), short=True,
    ),
    Scenario(
        "new state", f"{NEW_STATE}, dearer than any", lambda: drawn(_with_new_state()), "TRAIN",
        named=NEW_STATE.lower(), largest="outside", promote=("PROMOTE",), market=_with_new_state(),
    ),
    Scenario(
        "one row of a state", f"one row of {LONELY_STATE}", _one_row_of_a_new_state, "SKIP",
        named=LONELY_STATE.lower(), trained=False,
    ),
    Scenario(
        "square metres", "house_size in square metres",
        lambda: _changed(table := drawn(BASE), house_size=np.round(table["house_size"] * SQUARE_METRES, 1)),
        "QUARANTINE", named="house_size", trained=False, short=True,
    ),
    Scenario("shuffled target", "prices dealt out anew", _shuffled, "SKIP", codes=("NOT_LEARNABLE",), trained=False),
    Scenario("1 % x 10", "one price in a hundred times ten", _tenfold_prices, "SKIP", named="price", trained=False),
    Scenario(
        "extra column", "a key more than twelve", lambda: drawn(BASE), None, named="EXTRA_KEY", trained=False,
        misbehaviour="extra_key",
    ),
    Scenario(
        "copy of the price", "brokered_by is the price", _column_is("brokered_by", 1), "QUARANTINE",
        named="brokered_by", trained=False,
    ),
    Scenario(
        "price in thousands", "acre_lot is the price in thousands", _column_is("acre_lot", 1e-3), "QUARANTINE",
        named="acre_lot", trained=False,
    ),
    Scenario(
        "parameters alone", "the champion is of poor parameters, the data are the same", base_batch, None,
        promote=("PROMOTE",), weak_champion=True,
    ),
    Scenario("twins", "half the rows are houses of the batch before", _twins, "SKIP", trained=False),
)  # fmt: skip
