"""What is written by COPY is what PostgreSQL reads, and the other way round, for any text."""

import datetime as dt
import math
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql
from sqlalchemy import Engine, create_engine

from steps.common.store.connection import driver
from steps.common.store.copying import cells, copy_in, copy_out, read, written
from tests.servers import Databases

_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["\\N", "\\", "\\.", "\t", "\n", "\r\n", "a\\tb", "\v\f\b", "\x85", "\u2028", "NULL", ""]
)


@given(_texts)
@settings(max_examples=1000)
def test_a_cell_comes_back(text: str) -> None:
    cell = written(text)
    assert "\t" not in cell
    assert "\n" not in cell
    assert read(cell) == text


def test_null_is_no_text() -> None:
    assert written(None) == r"\N"
    assert read(r"\N") is None
    assert read(written(r"\N")) == r"\N"


@pytest.mark.parametrize("value", [0.1, 1e16, 250_000.0, math.pi, -0.0])
def test_numbers_keep_every_digit(value: float) -> None:
    assert float(written(value)) == value
    assert written(dt.date(987, 1, 2)) == "0987-01-02"


@pytest.fixture
def engine(databases: Databases) -> Iterator[Engine]:
    made = create_engine(databases.url("clean"))
    yield made
    made.dispose()


@given(st.lists(st.tuples(_texts, _texts), min_size=1, max_size=5))
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_postgresql_agrees(engine: Engine, values: list[tuple[str, str]]) -> None:
    with engine.connect() as connection:
        # One of the tables there are; what a step writes is committed by itself alone.
        lines = [f"s\t0\t{row}\t{written(one)}\t{written(two)}\trule\n" for row, (one, two) in enumerate(values)]
        names = ("source_id", "batch_number", "row_number", "reason", "field", "rule")
        copy_in(connection, "refusals", names, lines)
        query = sql.SQL("SELECT reason, field FROM refusals ORDER BY row_number")
        (block,) = copy_out(connection, query)
        columns = [[read(cell) for cell in column] for column in cells(block, 2)]
        direct = driver(connection).execute(query).fetchall()
    assert list(zip(*columns, strict=True)) == values == direct
