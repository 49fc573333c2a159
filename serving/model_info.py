"""What there is to say of the model that is served: where it came from, what it knows, whether it is the right one."""

from __future__ import annotations

from serving import answers, explanation
from serving.champion import Champions
from serving.problems import Kind, Refused
from serving.trace import Trace
from steps.common.features import FEATURES, SOURCES
from steps.common.registry import PRODUCTION


def readiness(champions: Champions) -> str:
    """Return what the newest look at the alias found; raise Refused before the first one."""
    look = champions.newest
    if look is None:
        raise Refused(Kind.NOT_READY, "The alias has not been looked at yet.")
    return look.reason


def describe(champions: Champions, values: int, trace: Trace) -> answers.ModelInfo:
    """Describe the champion, with at most so many known values of each field; raise Refused without one."""
    champion, look = champions.current, champions.newest
    if champion is None:
        raise Refused(Kind.NO_MODEL, look.reason if look else "The alias has not been looked at yet.")
    trace.version = champion.version
    return {
        "model_version": champion.version,
        "request_id": trace.request_id,
        "loaded_at": champion.loaded_at,
        "loaded_from": champion.loaded_from,
        "alias": {
            "name": PRODUCTION,
            "version": look.version if look else None,
            "checked_at": look.at if look else None,
            "outcome": look.outcome.value if look else None,
            "trouble": look.trouble if look else None,
        },
        "card": dict(champion.bundle.card),
        "features": [
            {"feature": name, "title": explanation.TITLES[name], "fields": list(SOURCES[name])} for name in FEATURES
        ],
        "known_categories": {
            field: {"count": len(found), "values": list(found[:values])}
            for field, found in champion.known_values.items()
        },
    }
