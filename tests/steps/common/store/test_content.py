"""The canonical form of a batch's rows: numbers in their shortest form, everything else as it is."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steps.common.listing import SOURCE_FIELDS, SOURCE_NUMBERS
from steps.common.store.content import ContentSha, NotFinite, canonical
from steps.common.store.copying import written

PLAIN = ["289900.0", "4.0", "2", "0.38", "1758218.0", "6016.0", "0", "0.0", "999999999999999"]
ODD = [
    "-0.0", "-0", "1e5",
    "1E+2", "0.10", "0.00001", "5.00001", "1000000000000000", "123456789.123456789", "-7.0", "-0.5",
    "nan", "inf", "-Infinity", "1_000", " 12", "12 ", "٣", "01001", "1.", ".5", "", "null", r"\N", "3.0x", "x.0",
]  # fmt: skip
texts = st.none() | st.sampled_from([*PLAIN, *ODD]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
numbers = texts | st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.integers().map(str)
rows = st.lists(
    st.tuples(*(numbers if name in SOURCE_NUMBERS else texts for name in SOURCE_FIELDS)), min_size=1, max_size=5
)


def lines(rows: list[tuple[str | None, ...]]) -> bytes:
    return "".join("\t".join(map(written, row)) + "\n" for row in rows).encode()


def expected(name: str, text: str | None) -> str | None:
    """Return a value's canonical form by another way: what JSON takes for a number, written as Python writes it."""
    if name not in SOURCE_NUMBERS or text is None or text != text.strip():
        return text
    try:
        number = json.loads(text, parse_constant=lambda _: None)
    except ValueError:
        return text
    if not isinstance(number, int | float) or isinstance(number, bool):
        return text
    number = float(text)
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)


@given(rows=rows)
@settings(max_examples=300)
def test_numbers_are_in_their_shortest_form_and_all_else_as_it_is(rows: list[tuple[str | None, ...]]) -> None:
    form = [tuple(map(expected, SOURCE_FIELDS, row)) for row in rows]
    assert canonical(lines(rows)) == lines(form)
    # The form of the form is itself, and many lines at once are what they are one by one.
    assert canonical(lines(form)) == lines(form)
    assert b"".join(canonical(lines([row])) for row in rows) == lines(form)


def test_it_does_not_matter_how_the_lines_are_cut() -> None:
    text = lines([(*PLAIN[:8], "Ohio", "44101.0", "1500.0", None)] * 3)
    whole, pieces = ContentSha(), ContentSha()
    whole.update(text)
    for line in text.splitlines(keepends=True):
        pieces.update(line)
    assert whole.hexdigest() == pieces.hexdigest()


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400])
def test_a_number_no_float_can_hold_is_refused(number: str) -> None:
    row = tuple(number if name == "price" else "1" for name in SOURCE_FIELDS)
    with pytest.raises(NotFinite):
        canonical(lines([row]))
