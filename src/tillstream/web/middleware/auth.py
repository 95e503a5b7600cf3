"""Stands between the network and everything that the dashboard's port answers: lets in, asks to log in, or refuses."""

from __future__ import annotations

import asyncio
from typing import ClassVar
from urllib.parse import parse_qs, quote

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tillstream.web.api.routes import refusal
from tillstream.web.middleware.authenticator import COOKIE, Entrance
from tillstream.web.pages import login

OPEN = frozenset({"/health/live", "/health/ready"})
FORM_LIMIT_BYTES = 8_192

ASK_AGAIN_S = 2.0
"""How soon the live feed ends for one whose session did, or who had none when a password was set."""

logger = structlog.get_logger()


class Doorkeeper:
    """Answers `/login` and `/logout` itself, and all else but health only to those whom the entrance admits."""

    WRITTEN: ClassVar = ("/login", "/logout")

    def __init__(self, app: ASGIApp, entrance: Entrance) -> None:
        self._app = app
        self._entrance = entrance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        await self._entrance.refresh()
        request = Request(scope, receive)
        if scope["path"] == "/login":
            await (await self._login(request))(scope, receive, send)
        elif scope["path"] == "/logout":
            await (await self._logout(request))(scope, receive, send)
        elif self._entrance.is_misled(request):
            await _misled(request)(scope, receive, send)
        elif not self._entrance.asks:
            await self._app(scope, self._while_admitted(request, receive), send)
        elif self._entrance.admits(request):
            await self._app(scope, self._while_admitted(request, receive), _unkept(send))
        else:
            await self._turn_away(request)(scope, receive, send)

    def _while_admitted(self, request: Request, receive: Receive) -> Receive:
        """What the client says, or that it is gone once it may not be here any more: that ends the live feed."""

        async def hear() -> Message:
            hearing = asyncio.ensure_future(receive())
            try:
                while not (await asyncio.wait((hearing,), timeout=ASK_AGAIN_S))[0]:
                    await self._entrance.refresh()
                    if not self._entrance.admits(request):
                        return {"type": "http.disconnect"}
                return hearing.result()
            finally:
                hearing.cancel()

        return hear

    def _turn_away(self, request: Request) -> Response:
        """A browser that wants a page is asked to log in; all else learns what it lacks."""
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            query = f"?{request.url.query}" if request.url.query else ""
            wanted = quote(request.url.path + query, safe="/")
            return RedirectResponse(f"/login?next={wanted}", 303, {"Cache-Control": "no-store"})
        if self._entrance.has_reading_key(request):
            hint = "log in at /login, or use `tillstream quarantine` on the machine itself"
            return refusal(403, request.url.path, "a key for reading changes nothing", hint)
        hint = "log in at /login, or send `Authorization: Bearer KEY` with a key of `tillstream keys add --read`"
        headers = {"WWW-Authenticate": 'Bearer realm="tillstream"', "Cache-Control": "no-store"}
        return refusal(401, request.url.path, "this needs the password or a key for reading", hint, headers)

    async def _login(self, request: Request) -> Response:
        if not self._entrance.asks:
            return RedirectResponse("/", 303)
        if request.method != "POST":
            problem = "" if self._entrance.has_password else "no_password"
            return login.page(request, login.inside(request.query_params.get("next", "")), problem)
        form = await _form(request)
        wanted = login.inside(form.get("next", ""))
        wait_s = self._entrance.wait_s(request)
        if wait_s:
            return login.page(request, wanted, "too_many_attempts", 429, count=wait_s)
        token = await self._entrance.try_password(request, form.get("password", ""))
        if not token:
            logger.warning("login_refused", address=self._entrance.address(request))
            return login.page(request, wanted, "wrong_password", 403)
        answer = RedirectResponse(wanted, 303, {"Cache-Control": "no-store"})
        answer.set_cookie(
            COOKIE,
            token,
            max_age=self._entrance.lasts_s,
            secure=self._entrance.is_encrypted(request),
            httponly=True,
            samesite="lax",
        )
        return answer

    async def _logout(self, request: Request) -> Response:
        # A link from elsewhere must not log anybody out.
        if request.method != "POST":
            return RedirectResponse("/", 303)
        await self._entrance.leave(request)
        answer = RedirectResponse("/login", 303, {"Cache-Control": "no-store"})
        answer.delete_cookie(COOKIE, secure=self._entrance.is_encrypted(request), httponly=True, samesite="lax")
        return answer


def _misled(request: Request) -> Response:
    hint = "ask for localhost or 127.0.0.1; for other names set a password (`tillstream password set`)"
    return refusal(421, request.url.path, f"without a password nobody is let in as {request.headers['host']}", hint)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form; of what is larger, has more of them, or breaks off, none."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > FORM_LIMIT_BYTES:
                return {}
    except ClientDisconnect:
        return {}
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}


def _unkept(send: Send) -> Send:
    """What the answers say nothing else of, browsers and proxies do not keep: it is for those who are logged in."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "no-store")
        await send(message)

    return sending
