"""Where the batches of the data source come from: a folder of files, the public CSV, or the synthetic generator.

`open_batches` opens what the option SOURCE names; `source_id` says what it is in one short text that stays the same
as long as the same rows would come out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from local.batch_rules import BATCH_RULES, COLUMNS, TEXT_COLUMNS
from local.source_answers import Chunk
from local.synthetic import SyntheticBatches, generate
from local.synthetic_market import Market

SYNTHETIC: Final = "synthetic"
CHUNK_ROWS: Final = 4096
# The identity of synthetic batches is taken from what comes out, but not from all of it: a million rows take seconds.
IDENTITY_SCALE: Final = 0.05

_FILE: Final = re.compile(r"batch_(\d{1,6})\.(parquet|csv)")


class SourceUnusable(ValueError):
    """What was named cannot be served as a source; the sentence says why."""


class Batches(Protocol):
    """A sequence of batches, numbered from 0."""

    def __len__(self) -> int: ...

    def chunks(self, number: int) -> Iterator[Chunk]:
        """Yield the rows of a batch in the source's own order, at most CHUNK_ROWS at a time."""
        ...


def open_batches(source: str, *, scale: float = 1.0, seed: int = 1) -> Batches:
    """Open `synthetic`, a folder or a CSV file; `scale` and `seed` are for synthetic rows.

    Raises SourceUnusable.
    """
    if source == SYNTHETIC:
        return GeneratedBatches(generate(_synthetic(scale, seed)))
    path = Path(source)
    if path.is_dir():
        return FolderBatches(path)
    if path.is_file():
        return CutBatches(path)
    raise SourceUnusable(f"{source}: neither `{SYNTHETIC}` nor a folder nor a file")


def source_id(source: str, *, scale: float = 1.0, seed: int = 1, group: int = 1) -> str:
    """Return the identity of a source, fit for a file's name: its kind and a digest of what it would send.

    Of a folder: the batch files' names and contents; of a CSV: its content; of synthetic batches: their parameters and
    rows; of an http address: the address and the group, since nothing else of it can be known beforehand.
    Raises SourceUnusable.
    """
    if source.startswith(("http://", "https://")):
        return _address_id(source, group)
    digest = hashlib.sha256()
    if source == SYNTHETIC:
        digest.update(repr(_synthetic(scale, seed)).encode())
        for table in generate(_synthetic(min(scale, IDENTITY_SCALE), seed)):
            for values in table.to_pydict().values():
                digest.update(repr(values).encode())
        return f"synthetic-{digest.hexdigest()[:16]}"
    path = Path(source)
    if path.is_dir():
        for file in _batch_files(path):
            digest.update(f"{file.name} {_sha256(file)}\n".encode())
        return f"folder-{digest.hexdigest()[:16]}"
    if path.is_file():
        return f"csv-{_sha256(path)[:16]}"
    raise SourceUnusable(f"{source}: neither `{SYNTHETIC}` nor a folder, a file or an http address")


class GeneratedBatches:
    """Batches that were generated as tables."""

    def __init__(self, tables: tuple[pa.Table, ...]) -> None:
        self._tables = tables

    def __len__(self) -> int:
        return len(self._tables)

    def chunks(self, number: int) -> Iterator[Chunk]:
        """Yield the rows of a batch."""
        for part in self._tables[number].to_batches(max_chunksize=CHUNK_ROWS):
            yield _sent(part)


class FolderBatches:
    """Files `batch_<n>.parquet` or `.csv`, numbered without a gap from 0; other files and columns do not count."""

    def __init__(self, folder: Path) -> None:
        self._files = _batch_files(folder)
        for file in self._files:
            _check_columns(file)

    def __len__(self) -> int:
        return len(self._files)

    def chunks(self, number: int) -> Iterator[Chunk]:
        """Yield the rows of a batch in the file's own order."""
        file = self._files[number]
        if file.suffix == ".csv":
            # All as text: what is no number in a column of numbers is sent as the text it is, as a real source would.
            for part in _csv_reader(file, dict.fromkeys(COLUMNS, pa.string())):
                yield from map(_sent_from_text, _slices(part))
            return
        with pyarrow.parquet.ParquetFile(file) as parquet:
            for part in parquet.iter_batches(CHUNK_ROWS, columns=list(COLUMNS)):
                yield _sent(part.select(COLUMNS))


class CutBatches:
    """The public CSV: rows with a missing value dropped, the others cut into six batches by the rules.

    The file is read anew for each batch, since all of it in memory is several times what an answer may take.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        rows = [0] * len(BATCH_RULES)
        try:
            for part in self._complete_rows():
                for number in range(len(BATCH_RULES)):
                    rows[number] += _obeying(number, part).num_rows
        except pa.ArrowException as error:
            raise SourceUnusable(f"{file}: {error}") from error
        for number, rule in enumerate(BATCH_RULES):
            if not rows[number]:
                raise SourceUnusable(f"{file}: no complete row for batch {number} ({rule.words})")

    def __len__(self) -> int:
        return len(BATCH_RULES)

    def chunks(self, number: int) -> Iterator[Chunk]:
        """Yield the rows of a batch in the file's own order."""
        for part in self._complete_rows():
            yield from map(_sent, _slices(_obeying(number, part)))

    def _complete_rows(self) -> Iterator[pa.RecordBatch]:
        types = {name: pa.string() if name in TEXT_COLUMNS else pa.float64() for name in COLUMNS}
        for part in _csv_reader(self._file, types):
            yield part.drop_null()


def _synthetic(scale: float, seed: int) -> SyntheticBatches:
    try:
        return SyntheticBatches(market=Market(seed=seed), scale=scale)
    except ValueError as error:
        raise SourceUnusable(str(error)) from error


def _address_id(address: str, group: int) -> str:
    """Name address and group readably; a digest keeps apart what looks alike once it is fit for a file's name."""
    parts = urlsplit(address)
    try:
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    except ValueError as error:
        raise SourceUnusable(f"{address}: {error}") from error
    if not parts.hostname:
        raise SourceUnusable(f"{address}: names no host")
    exact = f"{parts.scheme}://{parts.hostname}:{port}{parts.path.rstrip('/')} group {group}"
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", f"{parts.hostname}-{port}{parts.path.rstrip('/')}")
    return f"http-{readable}-group-{group}-{hashlib.sha256(exact.encode()).hexdigest()[:8]}"


def _batch_files(folder: Path) -> list[Path]:
    """Return the batch files of a folder by number."""
    files: dict[int, Path] = {}
    for file in sorted(folder.iterdir()):
        named = _FILE.fullmatch(file.name)
        if named is None:
            continue
        if int(named[1]) in files:
            raise SourceUnusable(f"{folder}: {files[int(named[1])].name} and {file.name} are the same batch")
        files[int(named[1])] = file
    if not files:
        raise SourceUnusable(f"{folder}: holds no file batch_<n>.parquet or batch_<n>.csv")
    missing = sorted(set(range(max(files) + 1)) - set(files))
    if missing:
        # A client takes a gap in the numbers for a lost batch and would ask for it for ever.
        raise SourceUnusable(f"{folder}: batch {missing[0]} is missing; batches are numbered from 0 without a gap")
    return [files[number] for number in sorted(files)]


def _check_columns(file: Path) -> None:
    """Refuse a file that has not the twelve columns, or one of a type that no answer can hold."""
    try:
        if file.suffix == ".csv":
            with _csv_reader(file, dict.fromkeys(COLUMNS, pa.string())) as reader:
                schema = reader.schema
        else:
            schema = pyarrow.parquet.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise SourceUnusable(f"{file}: {error}") from error
    for name in COLUMNS:
        if name not in schema.names:
            raise SourceUnusable(f"{file}: has no column {name}")
        if _sent_type(schema.field(name).type) is None:
            raise SourceUnusable(f"{file}: column {name} is {schema.field(name).type}: neither number, text nor date")


def _csv_reader(file: Path, types: dict[str, Any]) -> pyarrow.csv.CSVStreamingReader:
    convert = pyarrow.csv.ConvertOptions(
        column_types=types, include_columns=list(COLUMNS), strings_can_be_null=True, quoted_strings_can_be_null=True
    )
    return pyarrow.csv.open_csv(file, convert_options=convert)


def _obeying(number: int, part: pa.RecordBatch) -> pa.RecordBatch:
    needed = [part.column(name).to_numpy(zero_copy_only=False) for name in ("price", "status", "state", "house_size")]
    return part.filter(pa.array(BATCH_RULES[number].holds(*needed)))


def _slices(part: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, part.num_rows, CHUNK_ROWS):
        yield part.slice(start, CHUNK_ROWS)


def _sent_type(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pa.float64()
    if pa.types.is_temporal(kind) and not (pa.types.is_time(kind) or pa.types.is_duration(kind)):
        return pa.date32()
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)
    return pa.string() if text or pa.types.is_dictionary(kind) else None


def _sent(part: pa.RecordBatch) -> dict[str, list[Any]]:
    """Return the values as they are sent: floats, texts, days as `YYYY-MM-DD`, None where one is missing."""
    chunk = {}
    for name in COLUMNS:
        column = part.column(name)
        column = column.cast(_sent_type(column.type), safe=False)
        column = column.cast(pa.string()) if pa.types.is_date(column.type) else column
        # By way of numpy: an Arrow column gives its values one object at a time, ten times slower.
        chunk[name] = column.to_numpy(zero_copy_only=False).tolist()
    return chunk


def _sent_from_text(part: pa.RecordBatch) -> dict[str, list[Any]]:
    chunk = _sent(part)
    for name in COLUMNS:
        if name not in TEXT_COLUMNS:
            chunk[name] = [_number(value) for value in chunk[name]]
    return chunk


def _number(value: str | None) -> float | str | None:
    if value is None or "_" in value:  # to Python alone 1_000 is a number
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
