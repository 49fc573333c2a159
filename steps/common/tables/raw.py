"""RAW: every batch and row exactly as the source sent it, every request for one, and every price that was served."""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    func,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import JSONB

from steps.common.listing import SOURCE_FIELDS

metadata = MetaData()

batches = Table(
    "batches", metadata,
    Column("source_id", Text, primary_key=True),
    Column("batch_number", Integer, primary_key=True),
    Column("content_sha", Text, nullable=False),  # over the ordered rows in canonical form
    Column("body_sha", Text, nullable=False),  # over the bytes of the answer
    Column("rows", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("seconds", Double, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
)  # fmt: skip

# The twelve values of a row as received, as text; null stays null. No row is dropped for looking like another.
# No foreign key: rows and batch are committed in one transaction, and the check would cost more than the COPY.
# Numbers first in the key, because of how long comparing texts for each row took.
listings = Table(
    "listings", metadata,
    Column("source_id", Text, nullable=False),
    Column("batch_number", Integer, nullable=False),
    Column("row_number", Integer, nullable=False),
    *(Column(name, Text) for name in SOURCE_FIELDS),
    PrimaryKeyConstraint("batch_number", "row_number", "source_id"),
)  # fmt: skip

# What became of each request: REQUEST_SENT before the call, then one of `steps.common.store.raw.Event` that names it.
# A REQUEST_SENT that no later row names is a lost batch: the source's counter has moved on without us.
fetch_attempts = Table(
    "fetch_attempts", metadata,
    Column("attempt_id", BigInteger, Identity(always=True), primary_key=True),
    Column("source_id", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("request_id", BigInteger),
    Column("batch_number", Integer),
    Column("reason", Text),
    Column("detail", Text),
    Column("body_sha", Text),
    Column("body_head", LargeBinary),  # the first 64 KiB of an answer that is not a batch
    Column("at", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
    Index("fetch_attempts_request", "source_id", "request_id"),
)  # fmt: skip

# Every price that was asked for, also of what is no listing: status PRICED, or REFUSED with the broken rule in `error`.
# `input` is the listing as the model saw it; of a refused one its known fields as sent, cut short.
predictions = Table(
    "predictions", metadata,
    Column("inference_id", Uuid, primary_key=True),
    Column("served_at", DateTime(timezone=True), nullable=False),
    Column("request_id", Text, nullable=False),
    Column("route", Text, nullable=False),
    Column("input", JSONB, nullable=False),
    Column("price", Double),
    Column("version", Integer),
    Column("status", Text, nullable=False),
    Column("error", Text),
    Index("predictions_served_at", "served_at"),
)  # fmt: skip
