"""Authentication for everything on the port: login, logout and refusals."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, quote

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tillstream.access.sessions import COOKIE
from tillstream.web.api.routing import refusal
from tillstream.web.middleware.authenticator import Authenticator
from tillstream.web.pages import login

OPEN = frozenset({"/health/live", "/health/ready"})
FORMS = ("/login", "/logout")
"""The paths that take a POST from anybody."""

FORM_LIMIT_BYTES = 8_192

RECHECK_S = 2.0
"""Longest time that the live feed may continue after its session has ended or a password has been set."""

logger = structlog.get_logger()


class Authentication:
    """Answers `/login` and `/logout` itself, and passes on requests that the authenticator allows."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        await self._authenticator.refresh()
        request = Request(scope, receive)
        if scope["path"] == "/login":
            await (await self._login(request))(scope, receive, send)
        elif scope["path"] == "/logout":
            await (await self._logout(request))(scope, receive, send)
        elif self._authenticator.has_foreign_name(request):
            await _foreign_name(request)(scope, receive, send)
        elif not self._authenticator.is_required:
            await self._app(scope, self._while_allowed(request, receive), send)
        elif self._authenticator.allows(request):
            await self._app(scope, self._while_allowed(request, receive), _not_stored(send))
        else:
            await self._refusal(request)(scope, receive, send)

    def _while_allowed(self, request: Request, receive: Receive) -> Receive:
        """`receive` that reports a disconnect once the request is no longer allowed, which ends the live feed."""

        async def receive_allowed() -> Message:
            receiving = asyncio.ensure_future(receive())
            try:
                while not (await asyncio.wait((receiving,), timeout=RECHECK_S))[0]:
                    await self._authenticator.refresh()
                    if not self._authenticator.allows(request):
                        return {"type": "http.disconnect"}
                return receiving.result()
            finally:
                receiving.cancel()

        return receive_allowed

    def _refusal(self, request: Request) -> Response:
        """The login page for a browser that wants a page, else an error."""
        if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
            query = f"?{request.url.query}" if request.url.query else ""
            wanted = quote(request.url.path + query, safe="/")
            return RedirectResponse(f"/login?next={wanted}", 303, {"Cache-Control": "no-store"})
        if self._authenticator.has_reading_key(request):
            hint = "log in at /login, or use `tillstream quarantine` on the machine itself"
            return refusal(403, request.url.path, "a key for reading changes nothing", hint)
        hint = "log in at /login, or send `Authorization: Bearer KEY` with a key of `tillstream keys add --read`"
        headers = {"WWW-Authenticate": 'Bearer realm="tillstream"', "Cache-Control": "no-store"}
        return refusal(401, request.url.path, "this needs the password or a key for reading", hint, headers)

    async def _login(self, request: Request) -> Response:
        if not self._authenticator.is_required:
            return RedirectResponse("/", 303)
        if request.method != "POST":
            problem = "" if self._authenticator.has_password else "no_password"
            return login.page(request, login.own_address(request.query_params.get("next", "")), problem)
        form = await _form(request)
        wanted = login.own_address(form.get("next", ""))
        wait_s = self._authenticator.wait_s(request)
        if wait_s:
            return login.page(request, wanted, "too_many_attempts", 429, count=wait_s)
        token = await self._authenticator.log_in(request, form.get("password", ""))
        if not token:
            logger.warning("login_refused", address=self._authenticator.client_address(request))
            return login.page(request, wanted, "wrong_password", 403)
        response = RedirectResponse(wanted, 303, {"Cache-Control": "no-store"})
        response.set_cookie(
            COOKIE,
            token,
            max_age=self._authenticator.session_s,
            secure=self._authenticator.is_encrypted(request),
            httponly=True,
            samesite="lax",
        )
        return response

    async def _logout(self, request: Request) -> Response:
        # A link on another site must not log anybody out.
        if request.method != "POST":
            return RedirectResponse("/", 303)
        await self._authenticator.log_out(request)
        response = RedirectResponse("/login", 303, {"Cache-Control": "no-store"})
        secure = self._authenticator.is_encrypted(request)
        response.delete_cookie(COOKIE, secure=secure, httponly=True, samesite="lax")
        return response


def _foreign_name(request: Request) -> Response:
    hint = "ask for localhost or 127.0.0.1; for other names set a password (`tillstream password set`)"
    return refusal(421, request.url.path, f"without a password nobody is let in as {request.headers['host']}", hint)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form; none where it is too large, has too many fields, or breaks off."""
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


def _not_stored(send: Send) -> Send:
    """`send` that tells browsers and proxies not to store what only authenticated users may see."""

    async def send_unstored(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "no-store")
        await send(message)

    return send_unstored
