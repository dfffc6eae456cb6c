"""The pages of the console and who may open them. A person signs in with a key; the rest is reading.

Whatever the role, the overview opens; its list of keys only to the roles that may list them through the API. An error
is a page that says what to do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway.access.keys import KeyRecord
from gateway.console.guard import HEADERS, read_form
from gateway.console.overview import overview
from gateway.console.session import SESSION_S, Sessions
from gateway.console.templating import Templates
from gateway.errors import Forbidden, GatewayError, NotFound, Unauthenticated
from gateway.runtime import Runtime
from gateway.telemetry.merge import merge
from gateway.telemetry.metrics import TABLE

COOKIE: Final = "gateway_console"
_HOME: Final = "/console"
_LOGIN: Final = "/console/login"

Handler = Callable[[Request], Awaitable[Response]]


class Console:
    """The routes of the console.

    `pepper` is that of the keys, `may` says by permission which roles have it, `clock` gives epoch seconds.
    """

    def __init__(
        self, runtime: Runtime, pepper: bytes, may: Mapping[str, frozenset[str]], clock: Callable[[], float]
    ) -> None:
        self._runtime = runtime
        self._sessions = Sessions(pepper)
        self._may = may
        self._clock = clock
        self._templates = Templates()

    def routes(self) -> list[Route]:
        """For the admin port."""
        return [
            Route("/", self.root, methods=["GET"]),
            Route(_HOME, self._page(self.overview), methods=["GET"]),
            Route(_LOGIN, self._page(self.login_form), methods=["GET"]),
            Route(_LOGIN, self._page(self.login), methods=["POST"]),
            Route("/console/logout", self._page(self.logout), methods=["POST"]),
            Route("/console/static/{name}", self._page(self.static), methods=["GET"]),
        ]

    async def root(self, request: Request) -> Response:
        """Whoever types only host and port means the console."""
        return _redirect(_HOME)

    async def overview(self, request: Request) -> Response:
        """The one page: how the gateway is."""
        token = request.cookies.get(COOKIE)
        if token is None:
            return _redirect(_LOGIN)
        try:
            record = self._sessions.read(self._runtime.keys.ring, token, int(self._clock()))
        except Unauthenticated as error:
            return _forget(await self._login_page(error.message, 401))
        return await self._overview_page(record, token)

    async def login_form(self, request: Request) -> Response:
        """Where a key is pasted."""
        return await self._login_page("", 200)

    async def login(self, request: Request) -> Response:
        """A key for a session."""
        text = (await read_form(request)).get("key", "").strip()
        if not text:
            return await self._login_page("Paste a key first.", 400)
        try:
            token = self._sessions.open(self._runtime.keys.ring, text, int(self._clock()))
        except Unauthenticated as error:
            return await self._login_page(error.message, 401)
        reply = _redirect(_HOME)
        is_tls = request.url.scheme == "https"
        reply.set_cookie(COOKIE, token, max_age=SESSION_S, path=_HOME, secure=is_tls, httponly=True, samesite="strict")
        return reply

    async def logout(self, request: Request) -> Response:
        """The end of a session, in this browser."""
        form = await read_form(request)
        token = request.cookies.get(COOKIE)
        if token is not None and not self._sessions.knows_form(token, form.get("form_token", "")):
            raise Forbidden("This form is not of your session. Open the console again and sign out there.")
        return _forget(_redirect(_LOGIN))

    async def static(self, request: Request) -> Response:
        """The style sheet and the icon."""
        found = self._templates.static(request.path_params["name"])
        if found is None:
            raise NotFound("There is no such file.")
        return found

    async def _overview_page(self, record: KeyRecord, token: str) -> Response:
        merged = await run_in_threadpool(merge, self._runtime.process.run_dir, TABLE)
        role = record.caller.role
        values = {
            "page": overview(self._runtime, merged, self._clock(), with_keys=role in self._may["keys:read"]),
            "caller": record.caller,
            "worker": self._runtime.process.index,
            "form_token": self._sessions.form_token(token),
            "key_readers": sorted(self._may["keys:read"]),
        }
        return await self._render("overview.html", values, 200)

    async def _login_page(self, problem: str, status: int) -> Response:
        hours = SESSION_S // 3600
        return await self._render("login.html", {"problem": problem, "hours": hours}, status)

    async def _render(self, template: str, values: Mapping[str, object], status: int) -> Response:
        # in a thread: a long page takes milliseconds, and calls would wait for them
        html = await run_in_threadpool(self._templates.text, template, values)
        return Response(html, status, headers=HEADERS, media_type="text/html")

    def _page(self, handler: Handler) -> Handler:
        async def shown(request: Request) -> Response:
            try:
                return await handler(request)
            except GatewayError as error:
                return await self._render("problem.html", {"message": error.message}, error.status)

        return shown


def _redirect(to: str) -> Response:
    return RedirectResponse(to, 303, headers=HEADERS)


def _forget(reply: Response) -> Response:
    reply.delete_cookie(COOKIE, path=_HOME, httponly=True, samesite="strict")
    return reply
