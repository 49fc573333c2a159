"""The squared errors that evaluate kept of every scored version, read back, and two versions compared by them.

`errors.npz` is a zip of NumPy's own format, version 1.0, which this reads itself: NumPy would bring this image, which
decides from figures alone, from 92 to 145 MB.
"""

from __future__ import annotations

import ast
import io
import math
import sys
import zipfile
from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

# Magic, version 1.0, then the length of a header of text, as two bytes, the lower one first.
_BEGINS: Final = b"\x93NUMPY\x01\x00"
_TYPES: Final = {"<f8": "d", "<i4": "i", "<i8": "q"}
_ROWS: Final = "rows"
_SQUARED: Final = "squared_"


class ErrorsUnreadable(Exception):
    """The file is not one that evaluate writes."""


@dataclass(frozen=True)
class Gap:
    """RMSE of two versions on the same rows, in dollars, and the standard error of the first less the second.

    By the linearisation of the paired bootstrap over houses that evaluate draws: the same quantity without its
    replicates (Efron & Tibshirani, An Introduction to the Bootstrap, chapter 21). The interval made of it is normal.
    """

    champion: float
    candidate: float
    standard_error: float


@dataclass(frozen=True)
class StoredErrors:
    """Per test property its number of rows, and its sum of squared errors (dollars²) of each version."""

    rows: array[Any]
    squared: Mapping[int, array[Any]]

    def rmse(self, version: int) -> float | None:
        """Return a version's RMSE in dollars; None where it was not scored, or its errors are no number."""
        found = self.squared.get(version)
        mean = math.nan if found is None else float(math.fsum(found) / sum(self.rows))
        return math.sqrt(mean) if math.isfinite(mean) else None

    def gap(self, champion: int, candidate: int) -> Gap | None:
        """Return how two versions compare; None where one was not scored or has no RMSE above zero."""
        first, second = self.rmse(champion), self.rmse(candidate)
        if not first or not second:
            return None
        rows = sum(self.rows)
        each = zip(self.rows, self.squared[champion], self.squared[candidate], strict=True)
        variance = math.fsum(
            ((one - first**2 * count) / (2 * first) - (other - second**2 * count) / (2 * second)) ** 2
            for count, one, other in each
        )
        return Gap(first, second, math.sqrt(variance) / rows)


def read(path: Path) -> StoredErrors:
    """Return what a file holds; raise ErrorsUnreadable. Its sha256 is to be right before."""
    try:
        with zipfile.ZipFile(path) as parts:
            arrays = {name.removesuffix(".npy"): _array(parts.read(name)) for name in parts.namelist()}
        rows = arrays[_ROWS]
        squared = {int(name.removeprefix(_SQUARED)): arrays[name] for name in arrays if name.startswith(_SQUARED)}
    except (OSError, ValueError, KeyError, SyntaxError, zipfile.BadZipFile) as error:
        raise ErrorsUnreadable(f"{path.name}: {type(error).__name__}: {error}") from error
    if not sum(rows) or any(len(column) != len(rows) for column in squared.values()):
        raise ErrorsUnreadable(f"{path.name}: its arrays are not of one length, or of no rows")
    return StoredErrors(rows, squared)


def _array(content: bytes) -> array[Any]:
    stream = io.BytesIO(content)
    if stream.read(len(_BEGINS)) != _BEGINS:
        raise ValueError("not an array in version 1.0 of NumPy's format")
    header = ast.literal_eval(stream.read(int.from_bytes(stream.read(2), "little")).decode("latin-1"))
    kind, fortran, (length,) = itemgetter("descr", "fortran_order", "shape")(header)
    found = array(_TYPES[kind])
    found.frombytes(stream.read())
    if sys.byteorder == "big":
        found.byteswap()
    if fortran or len(found) != length:
        raise ValueError(f"an array of {len(found)} numbers that says it has {length}")
    return found
