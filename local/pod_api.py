"""The routes of the Kubernetes API that the pod runner answers, and no more."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from local import pod_discovery
from local.pod_answers import HANDLERS, ApiError, TokenRequired, accepts_table, not_found, status_object
from local.pod_kubelet import Kubelet
from local.pod_log import LogQuery
from local.pod_patch import JSON_PATCH, MERGE_PATCHES, patched_metadata
from local.pod_selectors import Selector, select
from local.pod_spec import NAMESPACE, Object, admit
from local.pod_status import container_status
from local.pod_store import Change, Kind, RevisionExpired, Store
from local.pod_table import table

_LIST_KINDS: dict[Kind, str] = {"pods": "PodList", "events": "EventList", "namespaces": "NamespaceList"}
_WATCH_SECONDS = 1800.0
_ROOT = "/api/v1"
_PODS = f"{_ROOT}/namespaces/{{namespace}}/pods"


def application(store: Store, kubelet: Kubelet, token: str) -> Starlette:
    """Return the web application over a store and the kubelet that runs its pods."""
    api = Api(store, kubelet)
    return Starlette(
        routes=api.routes(), exception_handlers=HANDLERS, middleware=[Middleware(TokenRequired, token=token)]
    )


class Api:
    """The handlers; each is one route and method."""

    def __init__(self, store: Store, kubelet: Kubelet) -> None:
        self._store = store
        self._kubelet = kubelet

    def routes(self) -> list[Route]:
        """Return the route table."""
        collections: list[tuple[Kind, str]] = [
            ("pods", f"{_ROOT}/pods"), ("pods", _PODS), ("namespaces", f"{_ROOT}/namespaces"),
            ("events", f"{_ROOT}/events"), ("events", f"{_ROOT}/namespaces/{{namespace}}/events"),
        ]  # fmt: skip
        return [
            *(Route(path, _answer_ok) for path in ("/healthz", "/livez", "/readyz")),
            Route("/version", _answer_version),
            Route("/api", partial(_answer_discovery, core=True)),
            Route("/apis", partial(_answer_discovery, core=False)),
            Route(_ROOT, _answer_resources),
            *(Route(path, partial(self.list_objects, kind=kind), methods=["GET"]) for kind, path in collections),
            Route(f"{_ROOT}/namespaces/{{name}}", partial(self.get_object, kind="namespaces"), methods=["GET"]),
            Route(
                f"{_ROOT}/namespaces/{{namespace}}/events/{{name}}",
                partial(self.get_object, kind="events"),
                methods=["GET"],
            ),
            Route(_PODS, self.create_pod, methods=["POST"]),
            Route(f"{_PODS}/{{name}}", partial(self.get_object, kind="pods"), methods=["GET"]),
            Route(f"{_PODS}/{{name}}", self.patch_pod, methods=["PATCH"]),
            Route(f"{_PODS}/{{name}}", self.delete_pod, methods=["DELETE"]),
            Route(f"{_PODS}/{{name}}/log", self.read_log, methods=["GET"]),
        ]

    async def list_objects(self, request: Request, kind: Kind) -> Response:
        """List or watch the objects of a kind that match the selectors."""
        query = request.query_params
        selector = select(kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        if _flag(request, "sendInitialEvents"):
            raise ApiError(HTTPStatus.UNPROCESSABLE_ENTITY, "sendInitialEvents is forbidden: list first, then watch")
        found = [found for found in self._store.objects(kind) if _in_namespace(request) and selector(found)]
        revision = str(self._store.revision)
        as_table = accepts_table(request)
        if _flag(request, "watch"):
            since = _number(request, "resourceVersion") or 0
            initial = [] if since else found
            seconds = float(_number(request, "timeoutSeconds") or _WATCH_SECONDS)
            include = query.get("includeObject", "Metadata") if as_table else None
            changes = self._store.changes(kind, since or self._store.revision, seconds)
            return StreamingResponse(_watch(kind, initial, changes, selector, include), media_type="application/json")
        if as_table:
            return JSONResponse(table(kind, found, revision, query.get("includeObject", "Metadata")))
        metadata = {"resourceVersion": revision}
        return JSONResponse({"kind": _LIST_KINDS[kind], "apiVersion": "v1", "metadata": metadata, "items": found})

    async def get_object(self, request: Request, kind: Kind) -> Response:
        """Return one object."""
        found = self._find(request, kind)
        if accepts_table(request):
            include = request.query_params.get("includeObject", "Metadata")
            return JSONResponse(table(kind, [found], found["metadata"]["resourceVersion"], include))
        return JSONResponse(found)

    async def create_pod(self, request: Request) -> Response:
        """Create a pod and begin to start it."""
        _refuse_dry_run(request)
        body = await _body(request, ("application/json",))
        metadata = body.get("metadata") or {}
        if not _in_namespace(request):
            raise not_found("namespaces", request.path_params["namespace"])
        if metadata.get("namespace", NAMESPACE) != NAMESPACE:
            raise ApiError(HTTPStatus.BAD_REQUEST, "the namespace of the object is not the namespace of the request")
        pod = admit(body, datetime.now(UTC))
        name = pod["metadata"]["name"]
        if self._store.get("pods", name):
            details = {"name": name, "kind": "pods"}
            raise ApiError(HTTPStatus.CONFLICT, f'pods "{name}" already exists', "AlreadyExists", details)
        return JSONResponse(self._kubelet.add(pod), HTTPStatus.CREATED)

    async def patch_pod(self, request: Request) -> Response:
        """Change labels and annotations of a pod."""
        _refuse_dry_run(request)
        patch = await _body(request, (JSON_PATCH, *MERGE_PATCHES))
        pod = self._find(request, "pods")
        changed = patched_metadata(pod, patch, _content_type(request))
        return JSONResponse(
            self._store.change_pod(pod["metadata"]["name"], lambda pod: pod["metadata"].update(changed))
        )

    async def delete_pod(self, request: Request) -> Response:
        """Delete a pod; a running one is first asked to end, and is there until it has."""
        _refuse_dry_run(request)
        options = await _body(request, ("application/json", "")) if await request.body() else {}
        pod = self._find(request, "pods")
        wanted = (options.get("preconditions") or {}).get("uid")
        if wanted and wanted != pod["metadata"]["uid"]:
            raise ApiError(HTTPStatus.CONFLICT, f"the UID in the precondition ({wanted}) is another pod's", "Conflict")
        grace = options.get("gracePeriodSeconds")
        grace = _number(request, "gracePeriodSeconds") if grace is None else int(grace)
        return JSONResponse(self._kubelet.delete(pod, grace))

    async def read_log(self, request: Request) -> Response:
        """Return the log of a pod's container, or the part that is asked for."""
        query = request.query_params
        pod = self._find(request, "pods")
        name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]["name"]
        if query.get("container", container) != container:
            raise ApiError(HTTPStatus.BAD_REQUEST, f"container {query['container']} is not valid for pod {name}")
        if _flag(request, "previous"):
            message = f'previous terminated container "{container}" in pod "{name}" not found'
            raise ApiError(HTTPStatus.BAD_REQUEST, message)
        log = self._kubelet.log(name)
        if waiting := container_status(pod)["state"].get("waiting"):
            message = f'container "{container}" in pod "{name}" is waiting to start: {waiting["reason"]}'
            raise ApiError(HTTPStatus.BAD_REQUEST, message)
        if not log.exists:
            return PlainTextResponse("")
        return StreamingResponse(log.read(_log_query(request)), media_type="text/plain")

    def _find(self, request: Request, kind: Kind) -> Object:
        name = request.path_params["name"]
        found = self._store.get(kind, name) if _in_namespace(request) else None
        if found is None:
            raise not_found(kind, name)
        return found


async def _watch(
    kind: Kind, initial: Iterable[Object], changes: AsyncIterator[Change], selector: Selector, include: str | None
) -> AsyncIterator[str]:
    """Write each change as a client with this selector sees it: what begins to match is added, what ceases deleted."""

    def line(name: str, found: Object) -> str:
        shown = found if include is None else table(kind, [found], found["metadata"]["resourceVersion"], include)
        return json.dumps({"type": name, "object": shown}) + "\n"

    for found in initial:
        yield line("ADDED", found)
    try:
        async for change in changes:
            before = change.before if change.before and selector(change.before) else None
            after = change.after if change.after and selector(change.after) else None
            if after:
                yield line("MODIFIED" if before else "ADDED", after)
            elif before:
                gone = change.after or before
                metadata = gone["metadata"] | {"resourceVersion": str(change.revision)}
                yield line("DELETED", gone | {"metadata": metadata})
    except RevisionExpired:
        error = status_object(HTTPStatus.GONE, "the changes since this resourceVersion are no longer known")
        yield json.dumps({"type": "ERROR", "object": error}) + "\n"


async def _answer_ok(_request: Request) -> Response:
    return PlainTextResponse("ok")


async def _answer_version(_request: Request) -> Response:
    return JSONResponse(pod_discovery.VERSION)


async def _answer_resources(_request: Request) -> Response:
    return JSONResponse(pod_discovery.resources())


async def _answer_discovery(request: Request, *, core: bool) -> Response:
    if accepts_table(request, "as=APIGroupDiscoveryList") and "v=v2;" in request.headers["accept"]:
        return JSONResponse(pod_discovery.aggregated(core=core), media_type=pod_discovery.AGGREGATED)
    return JSONResponse(pod_discovery.versions(request.url.netloc) if core else pod_discovery.groups())


def _in_namespace(request: Request) -> bool:
    namespace: str = request.path_params.get("namespace", NAMESPACE)
    return namespace == NAMESPACE


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip()


async def _body(request: Request, content_types: Iterable[str]) -> Any:
    if _content_type(request) not in content_types:
        message = (
            f"the body of the request was in an unknown format: accepted are {', '.join(filter(None, content_types))}"
        )
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
    try:
        body = json.loads(await request.body())
    except ValueError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict) and request.method != "PATCH":
        raise ApiError(HTTPStatus.BAD_REQUEST, "the body is not a JSON object")
    return body


def _refuse_dry_run(request: Request) -> None:
    if request.query_params.get("dryRun"):
        raise ApiError(HTTPStatus.BAD_REQUEST, "the pod runner has no dry run")


def _flag(request: Request, name: str) -> bool:
    # kubectl writes true, the Python client True.
    return request.query_params.get(name, "") in ("1", "t", "T", "true", "TRUE", "True")


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if not text:
        return None
    if not text.isdecimal():
        raise ApiError(HTTPStatus.BAD_REQUEST, f"{name}: {text!r} is not a whole number")
    return int(text)


def _log_query(request: Request) -> LogQuery:
    query = request.query_params
    since = None
    try:
        if query.get("sinceTime"):
            since = datetime.fromisoformat(query["sinceTime"])
    except ValueError as error:
        raise ApiError(HTTPStatus.BAD_REQUEST, f"sinceTime: {error}") from error
    if (seconds := _number(request, "sinceSeconds")) is not None:
        since = datetime.now(UTC) - timedelta(seconds=seconds)
    return LogQuery(
        follow=_flag(request, "follow"),
        timestamps=_flag(request, "timestamps"),
        tail=_number(request, "tailLines"),
        since=since,
        limit=_number(request, "limitBytes"),
    )
