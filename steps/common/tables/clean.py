"""CLEAN: the listings a model may learn from, and every refused row with its reason."""

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Double,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
)  # fmt: skip

metadata = MetaData()

# No index on the bucket: a fifth of the rows lies on nearly every page, so it would spare no reading, and it made
# writing a batch twice as slow.
listings = Table(
    "listings", metadata,
    Column("source_id", Text, primary_key=True),
    Column("batch_number", Integer, primary_key=True),
    Column("row_number", Integer, primary_key=True),
    Column("property_id", BigInteger, nullable=False),
    Column("bucket", SmallInteger, nullable=False),  # 0-19 test for ever, 20-99 train
    Column("price", Double, nullable=False),
    Column("status", Text, nullable=False),
    Column("bed", Double, nullable=False),
    Column("bath", Double, nullable=False),
    Column("house_size", Double, nullable=False),
    Column("state", Text, nullable=False),
    Column("zip_code", Text, nullable=False),
    Column("acre_lot", Double),
    Column("city", Text),
    Column("street", Text),
    Column("brokered_by", Text),
    Column("prev_sold_date", Date),
)  # fmt: skip

# How often each value of a field occurs among a batch's listings, for what later batches are compared with: counting
# all listings again for each new batch took half of its validation. Missing values are the rows that are left over.
value_counts = Table(
    "value_counts", metadata,
    Column("source_id", Text, primary_key=True),
    Column("batch_number", Integer, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("rows", Integer, nullable=False),
)  # fmt: skip

# By which rules of scope a batch's rows were made, with the digest of all of them; replaced together with them. What
# the ledger says of a batch is of the run that cleaned it: a later run may clean it again, by other rules.
cleanings = Table(
    "cleanings", metadata,
    Column("source_id", Text, primary_key=True),
    Column("batch_number", Integer, primary_key=True),
    Column("scope_version", Text, nullable=False),
    Column("digest", Text, nullable=False),
)  # fmt: skip

refusals = Table(
    "refusals", metadata,
    Column("source_id", Text, primary_key=True),
    Column("batch_number", Integer, primary_key=True),
    Column("row_number", Integer, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("rule", Text, nullable=False),
)  # fmt: skip
