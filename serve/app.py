"""The app: settings and a classifier in, FastAPI out."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from detente import Classifier, __version__
from serve import routes
from serve.access import Store
from serve.batching import Batcher
from serve.demo import PATH, mount_demo
from serve.guard import Counters, Guard
from serve.settings import Settings


def make_app(settings: Settings | None = None, classifier: Classifier | None = None) -> FastAPI:
    """The service, not yet started.

    Args:
        settings: None reads them from the environment.
        classifier: None loads the one that the settings name.

    Raises:
        ArtifactError: The model cannot be loaded.
    """
    settings = settings or Settings()
    classifier = classifier or Classifier.from_pretrained(settings.model)
    counters = Counters(classifier.manifest.model_version)

    app = FastAPI(
        title="detente",
        version=__version__,
        summary="Who is hostile to whom: stance, hostility and sentiment of statements",
        lifespan=_live(settings, classifier, counters),
        docs_url="/docs",
        redoc_url=None,
        generate_unique_id_function=_name,
    )
    if not settings.require_key:
        app.openapi = _make_document(app.openapi)  # type: ignore[method-assign]  # as FastAPI's documentation does it
    app.include_router(routes.api)
    app.include_router(routes.health)
    app.add_exception_handler(HTTPException, _show_http)
    app.add_exception_handler(RequestValidationError, _show_invalid)

    def find() -> routes.Service | None:
        return getattr(app.state, "service", None)

    app.add_middleware(_Gate, find=find)
    app.add_middleware(
        Guard,
        counters=counters,
        max_body_bytes=settings.max_body_bytes,
        max_upload_bytes=settings.max_upload_bytes,
    )
    app.add_api_route("/", _open_demo, include_in_schema=False)
    mount_demo(app, find, settings.max_upload_bytes)
    return app


def _live(
    settings: Settings, classifier: Classifier, counters: Counters
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def live(app: FastAPI) -> AsyncIterator[None]:
        batcher = Batcher(
            classifier.score_many, settings.max_batch_tokens, settings.max_queue_tokens, counters.batch.observe
        )
        batcher.start()
        store = Store(settings.database_url)
        app.state.service = routes.Service(classifier, batcher, counters, settings, store)
        yield
        await batcher.stop()
        store.close()

    return live


class _Gate:
    """Lets nobody into the demo, its API and its MCP server whom the routes would refuse."""

    def __init__(self, app: ASGIApp, find: Callable[[], routes.Service | None]) -> None:
        self._app = app
        self._find = find

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"].startswith(PATH):
            service = self._find()
            try:
                if service is None:
                    raise HTTPException(503, "the model is not loaded yet", headers={"Retry-After": "1"})
                await service.find_caller(HTTPConnection(scope))
            except HTTPException as error:
                await (await _show_http(Request(scope), error))(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def _open_demo() -> RedirectResponse:
    return RedirectResponse(f"{PATH}/")


def _make_document(describe: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """FastAPI's document, which has no word for a key that may be left out."""

    def describe_with_optional_keys() -> dict[str, Any]:
        document = describe()
        for path in document["paths"].values():
            for operation in path.values():
                if "security" in operation and {} not in operation["security"]:
                    operation["security"].append({})
        return document

    return describe_with_optional_keys


def _name(route: APIRoute) -> str:
    """The name by which generated clients call a route."""
    return route.name


async def _show_http(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail), "details": []}, error.status_code, headers=error.headers)


async def _show_invalid(request: Request, error: Exception) -> JSONResponse:
    """What is wrong, by place; what was sent is not repeated, since it may hold texts and what JSON cannot carry."""
    del request
    assert isinstance(error, RequestValidationError)
    details = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
    details = [detail.encode("utf-8", "replace").decode() for detail in details]
    is_broken = any(e["type"] == "json_invalid" for e in error.errors())
    message = "the body is no JSON" if is_broken else "the request is not as the schema has it: see details, and /docs"
    return JSONResponse({"error": message, "details": details}, 400 if is_broken else 422)
