"""Every SQL statement on RAW's predictions: prices that were served, added once each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, func, select, text, true

from steps.common.tables import raw

PRICED: Final = "PRICED"
REFUSED: Final = "REFUSED"

# The rows of a request are those refused, by their numbers, and between them those priced. Functions side by side in
# one SELECT go forward together. Made in Python, the rows took more than half of the time of their prices.
_ADD: Final = text(f"""
WITH request AS MATERIALIZED (
    SELECT stem, to_timestamp(served_at) AS served_at, request_id, route, version, listings, prices, refused
    FROM jsonb_to_recordset(CAST(CAST(:requests AS text) AS jsonb)) AS sent (
        stem text, served_at float8, request_id text, route text, version integer,
        listings jsonb, prices jsonb, refused jsonb
    )
), asked AS (
    SELECT request.*, NULL AS error,
        unnest(ARRAY(
            SELECT generate_series(0, jsonb_array_length(prices) + jsonb_array_length(refused) - 1)
            EXCEPT SELECT CAST(one ->> 0 AS integer) FROM jsonb_array_elements(refused) AS one ORDER BY 1
        )) AS number,
        jsonb_array_elements(listings) AS input,
        CAST(jsonb_array_elements_text(prices) AS float8) AS price
    FROM request
    UNION ALL
    SELECT request.*, one ->> 2, CAST(one ->> 0 AS integer), one -> 1, NULL
    FROM request, jsonb_array_elements(refused) AS one
)
INSERT INTO predictions (inference_id, served_at, request_id, route, input, price, version, status, error)
SELECT CAST(stem || lpad(to_hex(number), 4, '0') AS uuid), served_at, request_id, route, input, price, version,
    CASE WHEN error IS NULL THEN '{PRICED}' ELSE '{REFUSED}' END, error
FROM asked
ON CONFLICT DO NOTHING
""")  # noqa: S608  # the two words above


def add(connection: Connection, requests: Sequence[str]) -> int:
    """Add what requests were answered, unless it is there, and return how many rows those were.

    A request is a JSON object: `stem`, the inference ids of its rows but for the last four hexadecimal digits, which
    are the row's number; `served_at` in seconds since 1970, `request_id`, `route`, `version`; `listings` and their
    `prices`; `refused`, a list of [row's number, what was sent, why]. In any order, as often as one likes. Raises
    DataError for what JSON may hold and JSONB may not.
    """
    return connection.execute(_ADD, {"requests": f"[{','.join(requests)}]"}).rowcount


@dataclass(frozen=True)
class Asked:
    """Priced houses people asked about: how many, how often with which text in each field, and when the newest was."""

    rows: int
    counts: Mapping[str, Mapping[str, int]]
    until: dt.datetime | None


def asked_since(connection: Connection, since: dt.datetime | None) -> Asked:
    """Return what people asked after a time, or ever.

    `until` is by the same clocks as `since`, those of who served, but not later than now: of a clock that ran ahead
    nothing would be read until it is reached. What was served before it and comes later, from another replica's spool,
    is in no verdict. In two statements, so read from one snapshot.
    """
    served = raw.predictions.c
    wanted = [served.status == PRICED] + ([] if since is None else [served.served_at > since])
    figures = select(func.count(), func.max(served.served_at), func.now()).where(*wanted)
    count, newest, now = connection.execute(figures).one()
    given = func.jsonb_each_text(served.input).table_valued("key", "value").render_derived()
    rows = connection.execute(
        select(given.c.key, given.c.value, func.count())
        .select_from(raw.predictions.join(given, true()))
        .where(*wanted, given.c.value.is_not(None))
        .group_by(given.c.key, given.c.value)
    )
    found: dict[str, dict[str, int]] = {}
    for field, value, times in rows:
        found.setdefault(field, {})[value] = times
    return Asked(count, found, newest and min(newest, now))
