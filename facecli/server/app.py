"""The HTTP interface: its paths, their parameters and their answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Route

from facecli import __version__
from facecli.errors import FacecliError, GalleryUnavailable
from facecli.recognition.identify import CANDIDATES
from facecli.recognition.networks import Faces
from facecli.records import health as records
from facecli.records import stamped, to_json
from facecli.records.embedding import EmbeddingRecord
from facecli.records.enrollment import EnrollmentRecord
from facecli.records.gate import SightingRecord
from facecli.records.kinds import Record
from facecli.records.people import ForgottenRecord, MergedRecord, PersonRecord, RenamedRecord
from facecli.records.recognition import IdentificationRecord, VerificationRecord
from facecli.server.access import Access
from facecli.server.bodies import Merging, Names, Pair, Renaming
from facecli.server.described import PAGE, page, secured
from facecli.server.limits import Lanes, LimitedApp, Workers
from facecli.server.metrics import CONTENT_TYPE, Metrics
from facecli.server.schemas import answer
from facecli.server.service import EnrollmentOptions, RecognitionService
from facecli.server.sessions import Sessions

PAGES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
PICTURE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A photo: JPEG, PNG, WebP, TIFF, GIF, BMP, AVIF or HEIC",
        "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}
GAP = "two people closer than this in squared L2 are ambiguous; else 5 % of the threshold"
WhichFaces = Annotated[Faces, Query(description="all faces, or the main one")]
DESCRIPTION = (
    "Every number is a squared L2 between unit vectors: 0 for the same picture, at most 4, lower "
    "is more alike. The records are those of `facecli --json`."
)


def build(
    service: RecognitionService, sessions: Sessions, access: Access, lanes: Lanes
) -> LimitedApp:
    """Return the service as an ASGI application, inside its limits."""
    app = FastAPI(
        title="facecli",
        version=__version__,
        description=DESCRIPTION,
        docs_url=None,  # these pages load files from other servers
        redoc_url=None,
        responses={"4XX": answer(records.ErrorRecord, "Refused, and why, in one line")},
    )
    metrics = Metrics()
    limited = LimitedApp(app, access, lanes, metrics)
    _add_questions(app, service, lanes.looks, metrics)
    _add_changes(app, service, lanes)
    _add_embedding(app, service, lanes.admin)
    _add_state(app, service, limited, metrics)
    _add_page(app, sessions, lanes.looks, metrics)
    _add_errors(app)
    _add_description(app, access, lanes.quick)
    limited.paths = frozenset(_paths(app))
    limited.bodies = frozenset(_paths(app, "POST"))
    return limited


async def _picture(request: Request) -> bytes:
    """Return the photo that a request consists of; refuse a form or JSON, and say what works.

    curl --data-binary calls its body application/x-www-form-urlencoded, so that is taken.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in ("multipart/form-data", "application/json"):
        works = f"curl --data-binary @photo.jpg '{request.url}'"
        raise HTTPException(415, f"{kind} is no photo; send the photo itself: {works}")
    return await request.body()


def _paths(app: FastAPI, method: str | None = None) -> Iterator[str]:
    """Yield the paths of an application, or those that take a method."""
    for route in app.routes:
        if isinstance(route, Route) and (method is None or method in (route.methods or ())):
            yield route.path


def _add_questions(
    app: FastAPI, service: RecognitionService, looks: Workers, metrics: Metrics
) -> None:
    @app.post("/verify", responses={200: answer(VerificationRecord, "The verdict")})
    async def verify(pair: Pair) -> Response:
        """Tell whether two photos, or a photo and an enrolled person, are the same person."""
        return _json(await looks.do(lambda: service.verify((pair.a.given, pair.b.given))))

    @app.post(
        "/identify",
        openapi_extra=PICTURE,
        responses={200: answer(IdentificationRecord, "An answer for each face", many=True)},
    )
    async def identify(
        request: Request,
        k: Annotated[int, Query(ge=1, le=100, description="people listed for a face")] = CANDIDATES,
        gap: Annotated[float | None, Query(ge=0, le=4, description=GAP)] = None,
        faces: WhichFaces = "all",
    ) -> Response:
        """Tell who is in a photo, among the people enrolled."""
        photo = await _picture(request)
        found = await looks.do(lambda: service.identify(photo, k=k, gap=gap, faces=faces))
        metrics.faces(str(one["status"]) for one in found)
        return _json_list(found)


def _add_changes(app: FastAPI, service: RecognitionService, lanes: Lanes) -> None:
    @app.post(
        "/enroll",
        openapi_extra=PICTURE,
        responses={
            200: answer(EnrollmentRecord, "Stored now, or stored already"),
            422: answer(EnrollmentRecord, "Refused, and why"),
        },
    )
    async def enroll(
        request: Request,
        name: Annotated[str, Query(description="the person", examples=["Ada Lovelace"])],
        external_id: Annotated[str | None, Query(description="the key in another system")] = None,
        largest: Annotated[bool, Query(description="take the main face of several")] = False,
        allow_look_alike: Annotated[bool, Query(description="even if like another person")] = False,
        dry_run: Annotated[bool, Query(description="store nothing")] = False,
    ) -> Response:
        """Enroll a person from a photo. Needs the administrator's token."""
        photo = await _picture(request)
        wanted = EnrollmentOptions(name, external_id, largest, allow_look_alike, dry_run)
        record = await lanes.admin.do(lambda: service.enroll(photo, wanted))
        return _json(record, status=422 if record["refused"] else 200)

    @app.post("/forget", responses={200: answer(ForgottenRecord, "The receipt")})
    async def forget(people: Names) -> Response:
        """Erase people with all their templates. Needs the administrator's token."""
        return _json(await lanes.quick.do(lambda: service.forget(people.names)))

    @app.post("/rename", responses={200: answer(RenamedRecord, "The person has the new name")})
    async def rename(names: Renaming) -> Response:
        """Rename a person. Refused if another person has the name.

        Needs the administrator's token.
        """
        return _json(await lanes.quick.do(lambda: service.rename(names.before, names.now)))

    @app.post("/merge", responses={200: answer(MergedRecord, "The templates belong to one person")})
    async def merge(people: Merging) -> Response:
        """Move all templates of one person to another, and remove the first.

        Needs the administrator's token.
        """
        return _json(await lanes.quick.do(lambda: service.merge(people.source, people.target)))


def _add_embedding(app: FastAPI, service: RecognitionService, admin: Workers) -> None:
    @app.post(
        "/embed",
        openapi_extra=PICTURE,
        responses={200: answer(EmbeddingRecord, "Each face, largest first", many=True)},
    )
    async def embed(request: Request, faces: WhichFaces = "all") -> Response:
        """Compute the embeddings of the faces in a photo. Needs the administrator's token."""
        photo = await _picture(request)
        return _json_list(await admin.do(lambda: service.embed(photo, faces=faces)))


def _add_state(
    app: FastAPI, service: RecognitionService, limited: LimitedApp, metrics: Metrics
) -> None:
    quick = limited.lanes.quick

    @app.get("/people", responses={200: answer(PersonRecord, "Everyone, by name", many=True)})
    async def people() -> Response:
        """List everyone enrolled."""
        return _json_list(await quick.do(service.people))

    @app.get(
        "/health",
        responses={
            200: answer(records.HealthRecord, "The gallery can be read"),
            503: answer(records.HealthRecord, "It cannot be read"),
        },
    )
    async def health() -> Response:
        """Tell whether the gallery can be read. Needs no token and shows no names."""
        try:
            await quick.do(service.counts)
            healthy = True
        except FacecliError:
            healthy = False
        record = records.health(__version__, healthy=healthy)
        return _json(record, status=200 if healthy else 503)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def count() -> Response:
        """Return counts for Prometheus."""
        enrolled, templates = await quick.do(service.counts)
        text = metrics.text(
            requests_in_flight=limited.in_flight, people=enrolled, templates=templates
        )
        return Response(text, media_type=CONTENT_TYPE)


def _add_page(app: FastAPI, sessions: Sessions, looks: Workers, metrics: Metrics) -> None:
    @app.post(
        "/gate",
        openapi_extra=PICTURE,
        responses={200: answer(SightingRecord, "What is in view")},
    )
    async def gate(
        request: Request,
        session: Annotated[
            str,
            Query(
                pattern="^[0-9a-f]{32}$",
                description="a random number that the page keeps",
                examples=["0123456789abcdef0123456789abcdef"],
            ),
        ],
    ) -> Response:
        """Send one frame of a camera. The answer holds the faces in view and the new decisions."""
        frame = await _picture(request)
        seen = await looks.do(lambda: sessions.feed(session, frame))
        metrics.faces(str(event["status"]) for event in seen["events"])
        return _json(seen)

    for path, (file, kind) in PAGES.items():
        app.get(path, include_in_schema=False)(_page((PAGE / file).read_bytes(), kind))


def _add_description(app: FastAPI, access: Access, quick: Workers) -> None:
    """Describe all paths so far, to programs and to people. No path may be added after this."""

    @app.get("/api", include_in_schema=False)
    async def api(request: Request) -> Response:
        address = f"http://{request.headers.get('host', '127.0.0.1')}"
        return HTMLResponse(await quick.do(lambda: page(described, address)))

    described = app.openapi()  # kept until a path is added, and sent as /openapi.json
    secured(described, access)


def _page(content: bytes, kind: str) -> Any:
    async def page() -> Response:
        return Response(content, media_type=kind)

    return page


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(FacecliError)
    async def refused(_: Request, error: Exception) -> Response:
        # A gallery out of reach is not the client's mistake: the same may work later.
        out_of_reach = isinstance(error, GalleryUnavailable)
        return _error(503 if out_of_reach else 422, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(one) for one in first["loc"][1:]) or "request"
        return _error(422, f"{where}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def missing(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _error(error.status_code, str(error.detail))


def _error(status: int, reason: str) -> Response:
    return _json(records.error(reason), status=status)


def _json(record: Record, *, status: int = 200) -> Response:
    return _answered(to_json(stamped(record)), status)


def _json_list(several: Sequence[Record]) -> Response:
    return _answered(to_json([stamped(one) for one in several]), 200)


def _answered(text: str, status: int) -> Response:
    return Response(text, status_code=status, media_type="application/json")
