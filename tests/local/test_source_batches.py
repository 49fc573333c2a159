"""Where batches come from: folders of files, the public CSV cut by its rules, and the identity of each."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.source_batches import CHUNK_ROWS, Batches, SourceUnusable, open_batches, source_id

# brokered_by, status, price, bed, bath, acre_lot, street, city, state, zip_code, house_size, prev_sold_date
NAMES = "brokered_by,status,price,bed,bath,acre_lot,street,city,state,zip_code,house_size,prev_sold_date"
GOOD: dict[str, Any] = {
    "brokered_by": 12.0,
    "status": "for_sale",
    "price": 250_000.0,
    "bed": 3.0,
    "bath": 2.0,
    "acre_lot": 0.25,
    "street": 77.0,
    "city": "Springfield",
    "state": "Ohio",
    "zip_code": 43001.0,
    "house_size": 1600.0,
    "prev_sold_date": "2015-03-01",
}


def rows_of(batches: Batches, number: int) -> list[dict[str, Any]]:
    return [
        dict(zip(chunk, row, strict=True))
        for chunk in batches.chunks(number)
        for row in zip(*chunk.values(), strict=True)
    ]


def listings(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [GOOD | change for change in changes]


def as_text(value: object) -> str:
    return "" if value is None else str(value)


def write_csv(file: Path, rows: list[dict[str, Any]]) -> Path:
    lines = [NAMES, *(",".join(as_text(row[name]) for name in NAMES.split(",")) for row in rows)]
    file.write_text("\n".join(lines) + "\n")
    return file


def write_parquet(file: Path, rows: list[dict[str, Any]]) -> Path:
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), file)
    return file


WRITERS = pytest.mark.parametrize(
    ("write", "ending"), [(write_csv, "csv"), (write_parquet, "parquet")], ids=["csv", "parquet"]
)
Writer = Callable[[Path, list[dict[str, Any]]], Path]


@WRITERS
def test_a_folder_is_served_in_its_own_order(tmp_path: Path, write: Writer, ending: str) -> None:
    many = listings(*({"street": float(street)} for street in range(2 * CHUNK_ROWS + 1, 0, -1)))
    few = listings({"price": 1.0}, {"state": "Maine"})
    write(tmp_path / f"batch_1.{ending}", many)
    write(tmp_path / f"batch_0.{ending}", few)
    (tmp_path / "README.md").write_text("not a batch")
    batches = open_batches(str(tmp_path))
    assert len(batches) == 2
    assert rows_of(batches, 0) == few
    assert rows_of(batches, 1) == many
    assert [list(chunk) for chunk in batches.chunks(0)] == [NAMES.split(",")]
    assert max(len(chunk["price"]) for chunk in batches.chunks(1)) <= CHUNK_ROWS


@WRITERS
def test_missing_values_of_a_folder_are_sent_as_missing(tmp_path: Path, write: Writer, ending: str) -> None:
    rows = listings({"price": None, "city": None}, {})
    write(tmp_path / f"batch_0.{ending}", rows)
    chunk = next(iter(open_batches(str(tmp_path)).chunks(0)))
    assert chunk["city"] == [None, "Springfield"]
    # A missing number may come as NaN, which the encoder writes as null.
    assert [price if price == price else None for price in chunk["price"]] == [None, 250_000.0]  # noqa: PLR0124  NaN


def test_what_is_no_number_in_a_csv_is_sent_as_text(tmp_path: Path) -> None:
    write_csv(tmp_path / "batch_0.csv", listings({"price": "call us", "zip_code": "01001", "bed": "1_0"}, {}))
    first, second = rows_of(open_batches(str(tmp_path)), 0)
    assert first == GOOD | {"price": "call us", "zip_code": 1001.0, "bed": "1_0"}
    assert second == GOOD


def test_whole_numbers_and_days_of_a_parquet_file_are_sent_as_floats_and_texts(tmp_path: Path) -> None:
    change = {"price": 250_000, "zip_code": 43001, "prev_sold_date": dt.date(2015, 3, 1)}
    write_parquet(tmp_path / "batch_0.parquet", listings(change))
    row = rows_of(open_batches(str(tmp_path)), 0)[0]
    assert row == GOOD
    assert {type(row[name]) for name in ("price", "zip_code")} == {float}


def nothing(folder: Path) -> None:
    (folder / "README.md").write_text("not a batch")


def a_gap(folder: Path) -> None:
    write_csv(folder / "batch_0.csv", listings({}))
    write_csv(folder / "batch_2.csv", listings({}))


def one_number_twice(folder: Path) -> None:
    write_csv(folder / "batch_0.csv", listings({}))
    write_parquet(folder / "batch_0.parquet", listings({}))


def no_price(folder: Path) -> None:
    pyarrow.parquet.write_table(pa.Table.from_pylist(listings({})).drop_columns("price"), folder / "batch_0.parquet")


def no_price_in_a_csv(folder: Path) -> None:
    (folder / "batch_0.csv").write_text("brokered_by,status\n1,sold\n")


def lists_for_prices(folder: Path) -> None:
    write_parquet(folder / "batch_0.parquet", listings({"price": [1.0]}))


def no_parquet(folder: Path) -> None:
    (folder / "batch_0.parquet").write_text("hello")


def an_empty_csv(folder: Path) -> None:
    (folder / "batch_0.csv").write_text("")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (nothing, "holds no file batch_<n>.parquet or batch_<n>.csv"),
        (a_gap, "batch 1 is missing"),
        (one_number_twice, "batch_0.csv and batch_0.parquet are the same batch"),
        (no_price, "batch_0.parquet: has no column price"),
        (no_price_in_a_csv, "price"),
        (lists_for_prices, "column price is list<element: double>: neither number, text nor date"),
        (no_parquet, "batch_0.parquet: "),
        (an_empty_csv, "batch_0.csv: "),
    ],
)
def test_a_folder_that_cannot_be_served_is_refused(tmp_path: Path, make: Callable[[Path], None], sentence: str) -> None:
    make(tmp_path)
    with pytest.raises(SourceUnusable, match=re.escape(str(tmp_path))) as refused:
        open_batches(str(tmp_path))
    assert sentence in str(refused.value)


# One listing for each side of each border, and the batch it belongs to.
BORDERS: list[tuple[dict[str, Any], int | None]] = [
    ({"price": 300_000.0, "house_size": 1500.0}, 0),
    ({"price": 1.0, "house_size": 9000.0}, 0),
    ({"price": 300_000.0, "house_size": 1499.0}, 1),
    ({"price": 300_000.0, "status": "sold"}, 2),
    ({"status": "sold", "house_size": 1499.0}, 2),
    ({"status": "sold", "state": "Massachusetts"}, 3),
    ({"status": "for_sale", "state": "Massachusetts", "house_size": 100.0}, 3),
    ({"status": "ready_to_build", "state": "Massachusetts"}, 3),
    ({"price": 300_001.0}, 4),
    ({"price": 500_000.0, "status": "sold", "state": "Massachusetts"}, 4),
    ({"price": 500_001.0}, 5),
    ({"price": 515_000_000.0, "status": "ready_to_build"}, 5),
    ({"status": "ready_to_build"}, None),
    ({"city": None}, None),
    ({"price": None}, None),
    ({"prev_sold_date": None, "price": 400_000.0}, None),
    ({"city": '""'}, None),
]


def test_the_public_csv_is_cut_at_the_borders_and_keeps_its_order(tmp_path: Path) -> None:
    twice = [change | {"street": float(street)} for street, (change, _) in enumerate(BORDERS * 2)]
    batches = open_batches(str(write_csv(tmp_path / "all.csv", listings(*twice))))
    assert len(batches) == 6
    for number in range(6):
        expected = [GOOD | change for change, (_, batch) in zip(twice, BORDERS * 2, strict=True) if batch == number]
        assert rows_of(batches, number) == expected


COLUMN_VALUES = {
    "price": st.sampled_from([None, 1.0, 299_999.0, 300_000.0, 300_001.0, 500_000.0, 500_001.0, 9e6]),
    "status": st.sampled_from(["for_sale", "sold", "ready_to_build", None]),
    "state": st.sampled_from(["Ohio", "Massachusetts", None]),
    "house_size": st.sampled_from([None, 1.0, 1499.0, 1500.0, 1_560_780.0]),
}


@given(st.lists(st.fixed_dictionaries(COLUMN_VALUES), max_size=30))
def test_every_complete_row_is_in_the_one_batch_of_its_rule(
    tmp_path_factory: pytest.TempPathFactory, changes: list[dict[str, Any]]
) -> None:
    kept = [change for change, batch in BORDERS if batch is not None]
    rows = listings(*kept, *changes)
    batches = open_batches(str(write_csv(tmp_path_factory.mktemp("csv") / "all.csv", rows)))
    for number in range(6):
        assert rows_of(batches, number) == [row for row in rows if batch_of(row) == number]


def batch_of(row: dict[str, Any]) -> int | None:
    """Say the rules once more, in other words than the code's."""
    if None in row.values():
        return None
    if row["price"] > 500_000:
        return 5
    if row["price"] > 300_000:
        return 4
    if row["state"] == "Massachusetts":
        return 3
    if row["status"] == "for_sale":
        return 0 if row["house_size"] >= 1500 else 1
    return 2 if row["status"] == "sold" else None


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (listings({}), "no complete row for batch 1 (at most 300k, for sale, below 1500 sqft, not Massachusetts)"),
        (listings({"price": "call us"}), "call us"),
    ],
)
def test_a_csv_that_cannot_be_cut_is_refused(tmp_path: Path, rows: list[dict[str, Any]], sentence: str) -> None:
    with pytest.raises(SourceUnusable, match=re.escape(str(tmp_path))) as refused:
        open_batches(str(write_csv(tmp_path / "all.csv", rows)))
    assert sentence in str(refused.value)


def test_a_csv_without_the_columns_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceUnusable, match=r"other\.csv"):
        open_batches(str(tmp_path / "other.csv"))


def test_the_identity_of_a_folder_follows_its_batches_and_nothing_else(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        write_csv(folder / "batch_0.csv", listings({}))
    identity = source_id(str(one))
    assert identity == source_id(str(other))
    (one / "README.md").write_text("not a batch")
    assert identity == source_id(str(one))
    write_csv(one / "batch_0.csv", listings({"bed": 4.0}))
    assert identity != source_id(str(one))
    (other / "batch_0.csv").rename(other / "batch_1.csv")
    write_csv(other / "batch_0.csv", listings({}))
    assert identity != source_id(str(other))


def test_the_identity_of_a_csv_is_its_content(tmp_path: Path) -> None:
    first = write_csv(tmp_path / "first.csv", listings({}))
    second = write_csv(tmp_path / "second.csv", listings({}))
    assert source_id(str(first)) == source_id(str(second))
    write_csv(second, listings({"bed": 4.0}))
    assert source_id(str(first)) != source_id(str(second))


def test_the_identity_of_synthetic_batches_is_their_parameters() -> None:
    seen = {source_id("synthetic", scale=scale, seed=seed) for scale in (0.02, 1.0, 2.0) for seed in (1, 2)}
    assert len(seen) == 6
    assert source_id("synthetic") == source_id("synthetic", scale=1.0, seed=1, group=5)


def test_the_identity_of_an_address_is_address_and_group() -> None:
    first = source_id("http://Source.example/api/", group=3)
    assert first == source_id("http://source.example:80/api", group=3)
    others = ["https://source.example/api", "http://source.example/ap-i", "http://source.example:81/api"]
    assert len({first, *(source_id(other, group=3) for other in others)}) == 4
    assert first != source_id("http://source.example/api", group=4)
    assert "source.example" in first


@pytest.mark.parametrize("source", ["synthetic", "http://127.0.0.1:8080/a b?c=d/../e", "https://source.example"])
def test_an_identity_can_name_a_folder(source: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9.-]{1,100}", source_id(source))


@pytest.mark.parametrize("source", ["no/such/file", "ftp://source.example", "http://", "http://source.example:x"])
def test_what_is_no_source_has_no_identity(source: str) -> None:
    with pytest.raises(SourceUnusable):
        source_id(source)
