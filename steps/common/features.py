"""What a model sees of a listing: `features()` is the only way to make a model's input, in training and in serving.

Numbers go in as they are; a category goes in as what houses like it cost: the mean price of its state, city, zip code,
broker and kind of sale in the train part, as plain look-ups that travel with the model. No feature of a house is
computed from its own price: its train rows get theirs from look-ups fitted without their bucket (`training_features`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from steps.common.columns import NUMBERS, Category, Columns, Floats, encode, from_listings
from steps.common.listing import Listing

# Raise it with any change of what a feature holds: models, studies and noise floors of another version do not compare.
FEATURES_VERSION: Final = "features_v1"
# Look-ups for training are fitted without the rows' own fifth of the buckets.
FOLDS: Final = 5
# Below this many listings their rows are made one by one; above, columns are faster. The result is the same.
_FEW: Final = 32
# Rows of a group that weigh as much as the wider group, where groups do not differ at all.
_NO_DIFFERENCE: Final = 1e6

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Encoding:
    """A feature that is a look-up: of which fields, what it is the mean of, and which wider one fills its gaps."""

    feature: str
    fields: tuple[str, ...]
    per_square_foot: bool = False
    wider: str | None = None


# A wider place stands before the ones in it. Unseen values take the wider place's mean, or the mean of all: a city
# never seen is still in its state, and a zip code whose every house was for sale is still itself when they are sold.
ENCODINGS: Final = (
    Encoding("state_price", ("state",)),
    Encoding("city_price", ("state", "city"), wider="state_price"),
    Encoding("zip_price", ("zip_code",), wider="state_price"),
    Encoding("broker_price", ("brokered_by",)),
    Encoding("status_price", ("status",)),
    Encoding("zip_status_price", ("zip_code", "status"), wider="zip_price"),
    Encoding("zip_square_foot_price", ("zip_code",), per_square_foot=True),
)
# Neighbouring zip codes have neighbouring numbers, which places a zip code no house was ever seen in.
ZIP_NUMBER: Final = "zip_number"
FEATURES: Final = (*NUMBERS, ZIP_NUMBER, *(encoding.feature for encoding in ENCODINGS))
# Which fields of a listing each feature is made from, for whoever explains a price.
SOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    **{name: (name,) for name in ("bed", "bath", "acre_lot", "house_size")},
    **dict.fromkeys(("prev_sold_year", "prev_sold_month"), ("prev_sold_date",)),
    ZIP_NUMBER: ("zip_code",),
    **{encoding.feature: encoding.fields for encoding in ENCODINGS},
}


@dataclass(frozen=True)
class LookUp:
    """Means in dollars by the text of a category, and the mean of all for values that are not there."""

    values: Mapping[str, float]
    otherwise: float


@dataclass(frozen=True)
class Encodings:
    """What `features` learnt from data: what stands for a missing number, and a look-up for each encoded feature."""

    missing: Mapping[str, float]
    look_ups: Mapping[str, LookUp]

    def as_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` turns into an equal object."""
        look_ups = {
            name: {"otherwise": look_up.otherwise, "values": dict(look_up.values)}
            for name, look_up in self.look_ups.items()
        }
        return {"version": FEATURES_VERSION, "missing": dict(self.missing), "look_ups": look_ups}

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> Encodings:
        """Return the encodings of `as_json`; raise ValueError when another version of the features wrote them."""
        if plain["version"] != FEATURES_VERSION or set(plain["look_ups"]) != {e.feature for e in ENCODINGS}:
            raise ValueError(f"encodings of {plain['version']!r}; this code reads {FEATURES_VERSION!r}")
        look_ups = {name: LookUp(found["values"], found["otherwise"]) for name, found in plain["look_ups"].items()}
        return Encodings(plain["missing"], look_ups)

    def unseen(self, listing: Listing) -> tuple[str, ...]:
        """Return the fields whose value no listing of the train part had; a missing value is not an unseen one."""
        found = listing.__dict__
        return tuple(
            field
            for field, others, values in self._asked
            if (key := _key([*[found[name] for name in others], found[field]]) if others else found[field]) is not None
            and key not in values
        )

    def known(self) -> dict[str, LookUp]:
        """Return, by field, the look-up that knows every value of it; those of a city are read "state|city"."""
        return {
            encoding.fields[-1]: self.look_ups[encoding.feature] for encoding in ENCODINGS if encoding.feature in _KNOWN
        }

    @cached_property
    def _asked(self) -> tuple[tuple[str, tuple[str, ...], Mapping[str, float]], ...]:
        """Return what `unseen` asks: a field, the wider ones its look-up wants too, the values it knows."""
        wider = {encoding.fields[-1]: encoding.fields[:-1] for encoding in ENCODINGS if encoding.feature in _KNOWN}
        return tuple((field, wider[field], look_up.values) for field, look_up in self.known().items())

    def unseen_rows(self, columns: Columns) -> dict[str, NDArray[np.bool_]]:
        """Return by field which rows have a value that no listing of the train part had, as `unseen` has it."""
        found = {}
        for encoding in ENCODINGS:
            if encoding.feature in _KNOWN:
                category = _category(columns, encoding.fields)
                known = self.look_ups[encoding.feature].values
                unseen = np.array([value not in known for value in category.values] or [False])
                found[encoding.fields[-1]] = unseen[category.codes] & (category.codes >= 0)
        return found


# The look-up that knows every value of one field.
_KNOWN: Final = frozenset({"state_price", "city_price", "zip_price", "broker_price", "status_price"})


def features(listings: Columns | Sequence[Listing], encodings: Encodings) -> Matrix:
    """Return the model's input: float32, a row a listing, a column a name of FEATURES, nothing missing.

    Columns and listings of the same houses give the same bits.
    """
    if isinstance(listings, Columns):
        return _of_columns(listings, encodings)
    if len(listings) >= _FEW:
        return _of_columns(from_listings(listings), encodings)
    rows = [_of_listing(listing, encodings) for listing in listings]
    return np.array(rows, np.float32).reshape(len(rows), len(FEATURES))


def training_features(columns: Columns, price: Floats, bucket: NDArray[np.int64]) -> Matrix:
    """Return the features of rows to train on, each from look-ups that know no row of its own fold of buckets.

    With look-ups that know the row itself, training would believe them far more than a new house can.
    """
    matrix = np.empty((len(columns), len(FEATURES)), np.float32)
    fold = bucket % FOLDS
    for number in np.unique(fold):
        held_out = fold == number
        # Houses of a single bucket have no others to learn from; theirs are then the means of themselves.
        others = ~held_out if not held_out.all() else held_out
        matrix[held_out] = features(columns.take(held_out), fit_encodings(columns.take(others), price[others]))
    return matrix


def fit_encodings(columns: Columns, price: Floats) -> Encodings:
    """Return the look-ups and medians of some listings and their prices in dollars; raises ValueError for none."""
    if not len(columns):
        raise ValueError("look-ups cannot be fitted on no listings")
    missing = {}
    for name in NUMBERS:
        known = columns.numbers[name][~np.isnan(columns.numbers[name])]
        missing[name] = float(np.median(known)) if len(known) else 0.0
    look_ups: dict[str, LookUp] = {}
    estimates: dict[str, Floats] = {}
    for encoding in ENCODINGS:
        target = price / columns.numbers["house_size"] if encoding.per_square_foot else price
        overall = round(float(target.mean()), 2)
        wider = estimates[encoding.wider] if encoding.wider else np.full(len(price), overall)
        category = _category(columns, encoding.fields)
        values = dict(zip(category.values, _means(category, target, wider).round(2).tolist(), strict=True))
        counts = category.counts()
        look_ups[encoding.feature] = LookUp({text: values[text] for text in values if text in counts}, overall)
        estimates[encoding.feature] = _looked_up(category, look_ups[encoding.feature], wider)
    return Encodings(missing, look_ups)


def _means(category: Category, target: Floats, wider: Floats) -> Floats:
    """Return a mean for each value, drawn towards the wider group the more the fewer rows it has.

    Bühlmann-Straub credibility: (sum + m · wider mean) / (rows + m), with m the variance within values over the
    variance between them. A state with one single row is then not simply that row's price.
    """
    known = category.codes >= 0
    codes, values = category.codes[known], len(category.values)
    target, wider = target[known], wider[known]
    rows = np.bincount(codes, minlength=values).astype(np.float64)
    total, drawn = np.bincount(codes, target, values), np.bincount(codes, wider, values)
    seen = np.maximum(rows, 1)
    mean, prior = total / seen, drawn / seen
    groups = int((rows > 0).sum())
    spare = len(codes) - groups
    if groups < 2 or spare < 1:  # noqa: PLR2004  # two values make a difference, one does not
        return (total + prior) / (rows + 1)
    within = float(((target - mean[codes]) ** 2).sum()) / spare
    evenly = (len(codes) - float((rows**2).sum()) / len(codes)) / (groups - 1)
    between = (float((rows * (mean - prior) ** 2).sum()) / (groups - 1) - within) / evenly
    weight = within / between if between * _NO_DIFFERENCE > within else _NO_DIFFERENCE
    return (total + weight * prior) / np.maximum(rows + weight, 1e-12)


def _of_columns(columns: Columns, encodings: Encodings) -> Matrix:
    matrix = np.empty((len(columns), len(FEATURES)), np.float32)
    for place, name in enumerate(NUMBERS):
        numbers = columns.numbers[name]
        matrix[:, place] = np.where(np.isnan(numbers), encodings.missing[name], numbers)
    zips = columns.categories["zip_code"]
    matrix[:, len(NUMBERS)] = _gather(zips, [float(text) for text in zips.values], np.zeros(len(columns)))
    found: dict[str, Floats] = {}
    for place, encoding in enumerate(ENCODINGS, len(NUMBERS) + 1):
        look_up = encodings.look_ups[encoding.feature]
        wider = found[encoding.wider] if encoding.wider else np.full(len(columns), look_up.otherwise)
        found[encoding.feature] = _looked_up(_category(columns, encoding.fields), look_up, wider)
        matrix[:, place] = found[encoding.feature]
    return matrix


def _of_listing(listing: Listing, encodings: Encodings) -> list[float]:
    given = listing.__dict__
    sold = given["prev_sold_date"]
    missing = encodings.missing
    row = [
        given["bed"],
        given["bath"],
        missing["acre_lot"] if given["acre_lot"] is None else given["acre_lot"],
        given["house_size"],
        missing["prev_sold_year"] if sold is None else sold.year,
        missing["prev_sold_month"] if sold is None else sold.month,
        float(given["zip_code"]),
    ]
    found: dict[str, float] = {}
    for encoding in ENCODINGS:
        look_up = encodings.look_ups[encoding.feature]
        wider = found[encoding.wider] if encoding.wider else look_up.otherwise
        key = _key([given[name] for name in encoding.fields])
        found[encoding.feature] = wider if key is None else look_up.values.get(key, wider)
    return [*row, *found.values()]


def _key(texts: Sequence[str | None]) -> str | None:
    """Return what a look-up is asked with; None where a field is missing."""
    return None if None in texts else "|".join(texts)  # type: ignore[arg-type]  # no None is left


def _category(columns: Columns, fields: Sequence[str]) -> Category:
    """Return several fields as one category, its values joined as `_key` joins them."""
    found = columns.categories[fields[0]]
    for name in fields[1:]:
        found = _joined(found, columns.categories[name])
    return found


def _joined(left: Category, right: Category) -> Category:
    width = len(right.values)
    pairs = left.codes.astype(np.int64) * width + right.codes
    pairs[(left.codes < 0) | (right.codes < 0)] = -1
    unique, places = np.unique(pairs, return_inverse=True)
    texts = (
        None if pair < 0 else f"{left.values[pair // width]}|{right.values[pair % width]}" for pair in unique.tolist()
    )
    # By text, not by pair: two pairs that read alike are one key of the look-up.
    codes, seen = encode(texts)
    return Category(codes[places], tuple(seen))


def _looked_up(category: Category, look_up: LookUp, wider: Floats) -> Floats:
    get: Callable[[str, float], float] = look_up.values.get
    return _gather(category, [get(text, np.nan) for text in category.values], wider)


def _gather(category: Category, values: Sequence[float], otherwise: Floats) -> Floats:
    """Return each row's value by its code, `otherwise` where the row has none or its value is not a number."""
    if not category.values:
        return otherwise
    found = np.array(values, np.float64)[category.codes]
    return np.where((category.codes < 0) | np.isnan(found), otherwise, found)
