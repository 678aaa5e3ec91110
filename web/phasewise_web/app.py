"""The web application: each page is a dataclass, rendered as HTML, and as JSON at its `.json` twin.

Handlers are plain functions, so that they run in threads and a query never blocks the others.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib import resources

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from jinja2 import Environment, PackageLoader
from phasewise_collector.hosts import Guarded, Hosts
from phasewise_collector.loader import Loader
from phasewise_reports import run_report, templating
from phasewise_reports.json_form import to_json
from phasewise_store.errors import PhasewiseError, UsageError
from phasewise_store.store import Store
from starlette.convertors import PathConvertor, register_url_convertor
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.gzip import GZipMiddleware

from phasewise_web.background.answers import Answers, Drawing
from phasewise_web.pages import address, views
from phasewise_web.pages.address import Place, check_scope, decoded, encoded
from phasewise_web.pages.agents import agents_page
from phasewise_web.pages.breaks import breaks_page
from phasewise_web.pages.call import call_page
from phasewise_web.pages.collector import collector_page
from phasewise_web.pages.flame import flame_page
from phasewise_web.pages.ledger import ledger_page
from phasewise_web.pages.nights import nights_page
from phasewise_web.pages.parameters import TAKES, AddressError, check
from phasewise_web.pages.patterns import patterns_page
from phasewise_web.pages.prefixes import prefixes_page
from phasewise_web.pages.runs import run_page, runs_page
from phasewise_web.pages.session import session_page
from phasewise_web.pages.sessions import sessions_page
from phasewise_web.pages.structure import structure_page
from phasewise_web.responses import Dressed
from phasewise_web.server_timing import Timed, metered


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """What went wrong, in words."""

    status: int
    title: str
    detail: str


@dataclass(frozen=True, slots=True)
class Where:
    """What the layout needs to know of a page's address."""

    place: Place
    twin_there: bool


LEAST_GZIPPED_BYTES = 1024


def make_app(
    store: Store,
    loader: Loader | None = None,
    hosts: Hosts | None = None,
    drawing: Drawing | None = None,
) -> FastAPI:
    """Make the application over a store, and over the collector's log where there is one.

    `hosts` says which names it answers to; by default this machine's own. `drawing` makes what
    takes long; by default it is made while the page waits.
    """
    app = FastAPI(title="Phasewise", docs_url=None, redoc_url=None, openapi_url=None)
    _add_pages(app, store, loader, Answers(store, drawing))
    _add_files(app)
    app.add_exception_handler(StarletteHTTPException, _http_error)
    app.add_exception_handler(PhasewiseError, _known_error)
    app.add_middleware(Dressed)
    app.add_middleware(GZipMiddleware, minimum_size=LEAST_GZIPPED_BYTES)
    app.add_middleware(Guarded, hosts=hosts or Hosts())
    app.add_middleware(Timed)
    return app


def compile_templates() -> None:
    """Compile all templates, which otherwise takes some 20 ms at the first look of each page."""
    for name in _environment().list_templates(["html"]):
        _environment().get_template(name)


def _add_pages(app: FastAPI, store: Store, loader: Loader | None, answers: Answers) -> None:
    def page(path: str, template: str, section: str, make: Callable[[Place, str], object]) -> None:
        twin = "/agents" if path == "/" else path

        def made(request: Request) -> tuple[Place, object]:
            place, id = _place(request, path)
            with store.snapshot():  # others write between the queries of a page
                check_scope(store, place)
                return place, make(place, id)

        def html(request: Request) -> Response:
            with store.precedence.answering():
                place, content = made(request)
                return HTMLResponse(_render(template, section, Where(place, True), content))

        def json(request: Request) -> Response:
            with store.precedence.answering():
                _, content = made(request)
                return Response(to_json(content), media_type="application/json")

        app.add_api_route(f"{twin}.json", metered(json), methods=["GET"])
        app.add_api_route(path, metered(html), methods=["GET"])

    page("/", "agents.html", "Agents", lambda place, _: agents_page(store, place))
    page("/sessions", "sessions.html", "Sessions", lambda place, _: sessions_page(store, place))
    page("/prefixes", "prefixes.html", "Prefixes", lambda place, _: prefixes_page(store, place))
    page(
        "/prefixes/flame",
        "flame.html",
        "Prefixes",
        lambda place, _: flame_page(store, place, answers),
    )
    page("/breaks", "breaks.html", "Breaks", lambda place, _: breaks_page(store, place))
    page("/ledger", "ledger.html", "Breaks", lambda place, _: ledger_page(store, place))
    page(
        "/structure",
        "structure.html",
        "Breaks",
        lambda place, _: structure_page(store, place, answers),
    )
    page("/runs", "runs.html", "Replay", lambda _, __: runs_page(store))
    page(
        "/sessions/{id:any}",
        "session.html",
        "Sessions",
        lambda place, id: session_page(store, id, place),
    )
    page("/calls/{id:any}", "call.html", "Sessions", lambda place, id: call_page(store, id, place))

    @app.get(REPORT)
    def report(request: Request) -> Response:
        place, id = _place(request, REPORT)
        check_scope(store, place)
        return HTMLResponse(run_report.render_html(run_page(store, id).verdict))

    page("/runs/{id:any}", "run_page.html", "Replay", lambda _, id: run_page(store, id))
    page("/nights/{id:any}", "nights.html", "Replay", lambda _, id: nights_page(store, id))
    page("/collector", "collector.html", "Collector", lambda _, __: collector_page(store, loader))
    page("/patterns", "patterns.html", "", lambda _, __: patterns_page())


def _add_files(app: FastAPI) -> None:
    @app.get("/static/style.css")
    def style() -> Response:
        return Response(templating.style(), media_type="text/css", headers=_CACHED)

    @app.get("/static/icon.svg")
    def icon() -> Response:
        return Response(_icon(), media_type="image/svg+xml", headers=_CACHED)

    @app.get("/healthz")
    def health() -> Response:
        return PlainTextResponse("ok")


_CACHED = {"cache-control": "max-age=300"}


class AnyText(PathConvertor):
    """The rest of a path, whatever it is made of; `path` of Starlette stops at a line's end."""

    regex = "(?s:.*)"


register_url_convertor("any", AnyText())
REPORT = "/runs/{id:any}/report.html"


def _place(request: Request, path: str) -> tuple[Place, str]:
    """Read the address of a page with this route's path, and the id in it.

    Raises AddressError for a query that the page does not take.
    """
    check(request.query_params.multi_items(), TAKES[path])
    id = decoded(request.path_params.get("id", ""))
    return Place(path.replace("{id:any}", encoded(id)), dict(request.query_params)), id


def _render(template: str, section: str, where: Where, page: object) -> str:
    return (
        _environment()
        .get_template(template)
        .render(page=page, place=where, section=section, parts=views.parts)
    )


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException | StarletteHTTPException)
    title = HTTPStatus(error.status_code).phrase
    detail = f"There is no page `{request.url.path}`." if error.status_code == 404 else title
    return _error(request, ErrorPage(error.status_code, title, detail))


def _known_error(request: Request, error: Exception) -> Response:
    """Show an error of ours: a wrong address, something that is not there, or a store's trouble."""
    known = {AddressError: 400, UsageError: 404}
    status = next((known[kind] for kind in known if isinstance(error, kind)), 500)
    return _error(request, ErrorPage(status, HTTPStatus(status).phrase, str(error)))


def _error(request: Request, page: ErrorPage) -> Response:
    if request.url.path.endswith(".json"):
        return Response(to_json(page), page.status, media_type="application/json")
    return HTMLResponse(_render("error.html", "", Where(Place("/", {}), False), page), page.status)


@cache
def _environment() -> Environment:
    made = templating.environment(extra=PackageLoader("phasewise_web"))
    made.filters.update(
        session_path=address.session_path,
        call_path=address.call_path,
        run_path=address.run_path,
        nights_path=address.nights_path,
    )
    return made


@cache
def _icon() -> str:
    return resources.files("phasewise_web").joinpath("static/icon.svg").read_text("utf-8")
