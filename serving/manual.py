"""The OpenAPI document, meant to be the manual: what routes say of themselves beside their code.

Price routes read their bodies themselves, as strictly as the schema says and in one pass, so the document is told here
what those are.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema

from serving import answers
from serving.pricing import BatchOfListings
from serving.problems import MEDIA_TYPE
from steps.common.listing import Listing

DESCRIPTION: Final = """
Prices of houses by the model that the alias `Production` names, why they are what they are, and the history of the
models and batches behind them.

Every answer has the headers `X-Request-ID` (yours, if you send one of up to 64 letters, digits, `.`, `_`, `-`) and
`X-Model-Version`. Every error is `application/problem+json` (RFC 9457), but for a CORS preflight that is refused.
A price is stored before it is answered.
"""
TAGS: Final = [
    {"name": "Prices", "description": "What a house costs"},
    {"name": "Models", "description": "The model that is served"},
    {"name": "History", "description": "What happened to every batch and version, and why, from the ledger"},
    {"name": "Service", "description": "For those who run it"},
]
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
WELCOME: Final = {
    "service": "Appraiser: what a house costs, and why",
    "manual": "/docs",
    "links": {
        "price": "/predict", "explanation": "/explain", "model": "/model-info", "models": "/models",
        "batches": "/batches", "alerts": "/alerts", "metrics": "/metrics",
    },
}  # fmt: skip
_REF: Final = "#/components/schemas/{model}"
# The names of FastAPI's own shapes for errors, which are never sent.
_NEVER_SENT: Final = ("HTTPValidationError", "ValidationError")
_SAYS: Final = {
    400: "The body is not JSON",
    401: "The key is missing or wrong",
    403: "No token is configured",
    404: "There is nothing of that number",
    413: "The body is too large",
    422: "A rule is broken; `errors` names field and rule",
    500: "The service failed",
    503: "No model, no room to store a prediction, or no ledger; try again later",
}
_LISTING: Final = {name: (field.examples or [None])[0] for name, field in Listing.model_fields.items()}
_EXAMPLES: Final[dict[str, Any]] = {"Listing": _LISTING, "BatchOfListings": {"listings": [_LISTING]}}
_HEADERS: Final = {
    "X-Request-ID": {"description": "Id of this request", "schema": {"type": "string"}},
    "X-Model-Version": {"description": "Version that answered, or none", "schema": {"type": "string"}},
}


def route(
    tag: str, model: Any, *, body: str | None = None, unavailable: bool = False, missing: bool = False,
    token: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Return the keywords of a route's decorator: its answer, its errors, the schema of its body."""
    statuses = [422, 500]
    extra: dict[str, Any] = {}
    if body:
        statuses += [400, 401, 413, 503]
        schema = {"$ref": _REF.format(model=body)}
        content = {"application/json": {"schema": schema, "example": _EXAMPLES[body]}}
        extra["requestBody"] = {"required": True, "content": content}
        extra["security"] = [{}, {"key": []}]
    if token:
        statuses += [401, 403, 503]
        extra["security"] = [{"token": []}]
    statuses += [503] * unavailable + [404] * missing
    responses = {status: problem(status) for status in sorted(set(statuses))}
    return {
        "tags": [tag],
        "response_model": model,
        "responses": {200: {"description": "Done", "headers": _HEADERS}, **responses},
        "openapi_extra": extra,
    }


def text_route(tag: str) -> dict[str, Any]:
    """Return the keywords of a route that answers with text."""
    content = {"text/plain": {"schema": {"type": "string"}}}
    ok = {"description": "Done", "headers": _HEADERS, "content": content}
    return {"tags": [tag], "response_model": None, "responses": {200: ok, 500: problem(500)}}


def problem(status: int) -> dict[str, Any]:
    """Return how the document describes a problem."""
    content = {MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    return {"description": _SAYS[status], "content": content, "headers": _HEADERS}


def install(app: FastAPI) -> None:
    """Make the app serve this document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # the way FastAPI documents


def _document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(
        title=app.title, version=app.version, description=app.description, tags=app.openapi_tags, routes=app.routes
    )
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    _, bodies = models_json_schema([(Listing, "validation"), (BatchOfListings, "validation")], ref_template=_REF)
    schemas |= bodies["$defs"]
    # A row that is no listing is refused in its own place, and the batch is a batch all the same.
    anything = {"description": "Anything else: this row is refused, and its result says why"}
    listings = schemas["BatchOfListings"]["properties"]["listings"]
    listings["items"] = {"anyOf": [listings["items"], anything]}
    shape = TypeAdapter(answers.Problem).json_schema(ref_template=_REF)
    schemas |= shape.pop("$defs")
    schemas["Problem"] = shape
    for name in _NEVER_SENT:
        schemas.pop(name, None)
    components["securitySchemes"] = {
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "Only where one is configured"},
        "token": {"type": "http", "scheme": "bearer"},
    }
    return made
