"""Stored squared errors, read without NumPy, and how sure the gap between two versions is by them."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from steps.common.columns import Floats
from steps.common.resampling import properties, resampled_sums, root_mean
from steps.evaluate.scores import Scored, errors_file, rows_digest
from steps.promote import stored_errors
from steps.promote.stored_errors import ErrorsUnreadable
from tests.steps.evaluate.houses import draw


def stored(folder: Path, **prices: Floats) -> Path:
    """Return the file that evaluate writes about some houses, each listed twice, for `v<version>=prices`."""
    rows = draw(4000, 5, twins=True)
    scored = [Scored(int(name[1:]), rows_digest(rows), said) for name, said in prices.items()]
    path = folder / "errors.npz"
    path.write_bytes(errors_file(rows, properties(rows.property_id), scored))
    return path


def test_what_evaluate_writes_is_read_to_the_last_digit(tmp_path: Path) -> None:
    rows = draw(4000, 5, twins=True)
    said = rows.price * 1.1 + 1000
    path = stored(tmp_path, v3=said, v12=rows.price)
    found = stored_errors.read(path)
    with np.load(path) as arrays:
        assert found.rows.tolist() == arrays["rows"].tolist()
        assert found.squared[3].tolist() == arrays["squared_3"].tolist()
    assert found.squared.keys() == {3, 12}
    assert found.rmse(3) == pytest.approx(np.sqrt(np.mean((said - rows.price) ** 2)), rel=1e-12)
    assert found.rmse(4) is None
    assert found.gap(3, 4) is None
    assert found.gap(3, 12) is None, "no error at all has no direction"


@pytest.mark.parametrize("tail", [1.5, 3.0, 30.0])
def test_the_spread_of_a_gap_is_the_bootstraps(tmp_path: Path, tail: float) -> None:
    rows, random = draw(4000, 5, twins=True), np.random.default_rng(7)
    shared = 30_000 * random.standard_t(2 * tail, len(rows))
    first, second = rows.price + shared, rows.price + 0.97 * shared + random.normal(0, 5000, len(rows))
    gap = stored_errors.read(stored(tmp_path, v1=first, v2=second)).gap(1, 2)
    houses = properties(rows.property_id)
    squared = [houses.sums((said - rows.price) ** 2) for said in (first, second)]
    totals = resampled_sums(np.column_stack([houses.sums(np.ones(len(rows))), *squared]))
    gains = root_mean(totals[:, 1], totals[:, 0]) - root_mean(totals[:, 2], totals[:, 0])
    assert gap is not None
    assert gap.standard_error == pytest.approx(gains.std(), rel=0.1)
    assert gap.champion - gap.candidate == pytest.approx(gains.mean(), abs=0.1 * gains.std())


def _npz(**arrays: bytes) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as parts:
        for name, content in arrays.items():
            parts.writestr(f"{name}.npy", content)
    return written.getvalue()


def _npy(array: object, version: tuple[int, int] = (1, 0)) -> bytes:
    written = io.BytesIO()
    np.lib.format.write_array(written, np.asarray(array), version=version)
    return written.getvalue()


ROWS = _npy(np.ones(3, np.int32))
BROKEN = {
    "no zip": b"not a zip at all",
    "no rows": _npz(squared_1=_npy(np.ones(3))),
    "lengths": _npz(rows=ROWS, squared_1=_npy(np.ones(2))),
    "nothing": _npz(rows=_npy(np.zeros(0, np.int32))),
    "another version": _npz(rows=_npy(np.ones(3, np.int32), (2, 0))),
    "another type": _npz(rows=ROWS, squared_1=_npy(np.ones(3, np.float32))),
    "two dimensions": _npz(rows=ROWS, squared_1=_npy(np.ones((3, 1)))),
    "cut off": _npz(rows=ROWS, squared_1=_npy(np.ones(3))[:-8]),
    "cut within a number": _npz(rows=ROWS, squared_1=_npy(np.ones(3))[:-3]),
    "no version in the name": _npz(rows=ROWS, squared_x=_npy(np.ones(3))),
    "no array": _npz(rows=b"\x93NUMPY\x01\x00\x05\x00oh no"),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_no_such_file_is_refused(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "errors.npz"
    path.write_bytes(BROKEN[broken])
    with pytest.raises(ErrorsUnreadable, match=r"errors\.npz: "):
        stored_errors.read(path)
