"""Why a price is what it is: each feature's exact contribution, in log price and in dollars, in words for people.

Contributions are the booster's own (TreeSHAP as XGBoost computes it, `pred_contribs`) and add up in log price, from
the booster's bias. A dollar amount is the contribution times the logarithmic mean of price and base, the one rate at
which amounts add up to the difference of the two whatever the order of the features.
"""

from __future__ import annotations

import calendar
import math
from collections.abc import Callable, Sequence
from typing import Final

from serving.answers import Base, Contribution
from steps.common.bundle import Bundle, price
from steps.common.features import FEATURES, SOURCES, features
from steps.common.listing import Listing

METHOD: Final = (
    "Exact contributions of XGBoost's TreeSHAP (pred_contribs), which add up in log price from the booster's bias. "
    "In dollars: contribution * (price - base) / (ln price - ln base); what rounding to cents leaves over is in the "
    "largest one."
)
NOT_GIVEN: Final = "not given"
TITLES: Final = {
    **{name: str(Listing.model_fields[name].title) for name in ("bed", "bath", "acre_lot", "house_size")},
    "prev_sold_year": "Year of the previous sale",
    "prev_sold_month": "Month of the previous sale",
    "zip_number": "Where the zip code lies",
    "state_price": "Prices in the state",
    "city_price": "Prices in the city",
    "zip_price": "Prices in the zip code",
    "broker_price": "Prices of the broker's houses",
    "status_price": "Prices of this kind of sale",
    "zip_status_price": "Prices of this kind of sale in the zip code",
    "zip_square_foot_price": "Prices per square foot in the zip code",
}
_WORDS: Final[dict[str, Callable[[Listing], str | None]]] = {
    "acre_lot": lambda listing: None if listing.acre_lot is None else f"{listing.acre_lot:,g} acres",
    "house_size": lambda listing: f"{listing.house_size:,g} sqft",
    "prev_sold_year": lambda listing: str(listing.prev_sold_date.year) if listing.prev_sold_date else None,
    "prev_sold_month": lambda listing: (
        calendar.month_name[listing.prev_sold_date.month] if listing.prev_sold_date else None
    ),
}


def explain(bundle: Bundle, listing: Listing) -> tuple[float, float, Base, list[Contribution]]:
    """Return price, log price, base and contributions, the largest first.

    In log price base and contributions add up to within 1e-4 of it, in dollars to the cent.
    """
    (row,) = bundle.contributions([listing]).tolist()
    *parts, bias = row
    (seen,) = features([listing], bundle.encodings).tolist()
    margin = float(bundle.margins([listing])[0])
    priced, base = price(margin), price(bias)
    amounts = dollars(parts, priced, base)
    unseen = frozenset(bundle.encodings.unseen(listing))
    found = [
        Contribution(
            feature=name, title=TITLES[name], fields=list(SOURCES[name]), value=words(name, listing, unseen),
            model_value=value, log_price=part, dollars=amount,
        )
        for name, value, part, amount in zip(FEATURES, seen, parts, amounts, strict=True)
    ]  # fmt: skip
    found.sort(key=_size, reverse=True)
    return priced, margin, Base(log_price=bias, dollars=base), found


def _size(one: Contribution) -> float:
    return abs(one["log_price"])


def dollars(parts: Sequence[float], price: float, base: float) -> list[float]:
    """Return contributions in log price as amounts in dollars that add up to `price` less `base`, to the cent."""
    rate = price if price == base else (price - base) / (math.log(price) - math.log(base))
    cents = [round(100 * rate * part) for part in parts]
    largest = max(range(len(parts)), key=lambda place: abs(parts[place]))
    cents[largest] += round(100 * price) - round(100 * base) - sum(cents)
    return [amount / 100 for amount in cents]


def words(feature: str, listing: Listing, unseen: frozenset[str]) -> str:
    """Return what a feature was made from in words for people: the listing's own values, and which are new."""
    if feature in _WORDS:
        return _WORDS[feature](listing) or NOT_GIVEN
    told = []
    for name in SOURCES[feature]:
        value = getattr(listing, name)
        text = f"{value:g}" if isinstance(value, float) else (value or NOT_GIVEN)
        told.append(f"{text} (never seen)" if name in unseen else text)
    return ", ".join(reversed(told))
