"""Authentication of requests to the dashboard: sessions, keys for reading, the machine token, and the login page."""

from __future__ import annotations

import asyncio
import base64
from functools import cache
from urllib.parse import parse_qs, quote

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tillstream.access import exposure, machine_token
from tillstream.access.keys import Entropy, KeyRepository, bearer_or_basic, key_file
from tillstream.access.login_attempts import LoginAttempts
from tillstream.access.password import PasswordRepository
from tillstream.access.sessions import COOKIE, Sessions
from tillstream.clock import Clock
from tillstream.config import ports
from tillstream.config.data_directory import DataDirectory
from tillstream.config.settings import Settings
from tillstream.web.api.routing import refusal
from tillstream.web.middleware.security import Proxies
from tillstream.web.pages.rendering import Page
from tillstream.web.static_files import STATIC

OPEN = frozenset({"/health/live", "/health/ready"})
"""The paths that need no authentication."""

RECHECK_S = 2.0
"""How often open requests, such as the live feed, are checked. They end once their login or key is invalid."""

FORM_LIMIT_BYTES = 8_192
COOKIE_LIMIT_CHARACTERS = 200

_NO_STORE = {"Cache-Control": "no-store"}

logger = structlog.get_logger()


class Authenticator:
    """Decides which requests are allowed. If no password is set and none is required, all requests are allowed."""

    def __init__(self, directory: DataDirectory, settings: Settings, clock: Clock, entropy: Entropy) -> None:
        """Raises `AccessError` if a file with credentials cannot be used."""
        self.proxies = Proxies(settings.proxies, tls=settings.tls)
        self.sessions = Sessions(directory.sessions, clock, entropy, settings.session_hours)
        self._passwords = PasswordRepository(directory.password, clock)
        self._keys = KeyRepository(key_file(directory, settings), clock)
        self._token = machine_token.token(directory, entropy)
        self._attempts = LoginAttempts(clock)
        self._required = exposure.always_required(settings)
        self._any_host = settings.insecure
        # Checking a password keeps one CPU core busy, so passwords are checked one after another.
        self._checking = asyncio.Lock()

    async def refresh(self) -> None:
        """Read the password and the keys again if their files have changed. Use a thread, because disks may be slow."""
        for repository in (self._passwords, self._keys):
            if repository.due:
                await asyncio.to_thread(repository)

    @property
    def is_required(self) -> bool:
        """Whether requests need credentials."""
        return self._required or self.has_password

    @property
    def has_password(self) -> bool:
        return self._passwords.latest is not None

    @property
    def ingest_requires_key(self) -> bool:
        """Whether ingest accepts receipts only with a key."""
        return self._required or self._keys.latest.guard_ingest

    def allows(self, request: Request) -> bool:
        """Return whether the request has valid credentials or needs none. A key for reading does not allow POST."""
        if not self.is_required or self._has_session(request):
            return True
        if machine_token.is_token(_key(request), self._token):
            return True
        return request.method != "POST" and self.has_reading_key(request)

    def has_foreign_host(self, request: Request) -> bool:
        """Return whether the `Host` of the request is a name that is not allowed.

        If requests need credentials or the setting `insecure` is on, all names are allowed. Otherwise, only names of
        this machine are allowed, because another site could let its domain lead to this machine and then read the
        dashboard (DNS rebinding).
        """
        host = request.headers.get("host", "")
        return not (self.is_required or self._any_host or ports.names_this_machine(host))

    def has_reading_key(self, request: Request) -> bool:
        """Return whether the request has a valid key for reading."""
        key = self._keys.latest.find(_key(request))
        return key is not None and key.reads

    def _has_session(self, request: Request) -> bool:
        token, password = _session(request), self._passwords.latest
        return password is not None and bool(token) and self.sessions.is_active(token, password.salt)

    def wait_s(self, request: Request) -> int:
        """Return the seconds until the client may try a password. If it may try now, count the attempt and return 0."""
        return self._attempts.wait_s(self.proxies.client_address(request))

    async def log_in(self, request: Request, text: str) -> str:
        """Return the token of a new session, or an empty string if the text is not the password."""
        password = self._passwords.latest
        if password is None:
            return ""
        async with self._checking:
            matches = await asyncio.to_thread(password.matches, text)
        if not matches:
            return ""
        self._attempts.forgive(self.proxies.client_address(request))
        return await asyncio.to_thread(self.sessions.open, password.salt)

    async def log_out(self, request: Request) -> None:
        """End the session of the request, if it has one."""
        if token := _session(request):
            await asyncio.to_thread(self.sessions.close, token)


class Authentication:
    """Middleware that serves `/login` and `/logout`, and rejects requests that the authenticator does not allow."""

    def __init__(self, app: ASGIApp, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        await self._authenticator.refresh()
        request = Request(scope, receive)
        response = await self._respond(request)
        if response is not None:
            await response(scope, receive, send)
            return
        send = _not_stored(send) if self._authenticator.is_required else send
        await self._app(scope, self._while_allowed(request, receive), send)

    async def _respond(self, request: Request) -> Response | None:
        """Return the response to a login, a logout or a forbidden request. Return None for other requests."""
        path: str = request.scope["path"]
        if path == "/login":
            return await self._login(request)
        if path == "/logout":
            return await self._logout(request)
        if self._authenticator.has_foreign_host(request):
            hint = "use localhost or 127.0.0.1; for other names set a password (`tillstream password set`)"
            return refusal(421, path, f"without a password, the host {request.headers['host']} is not allowed", hint)
        return None if self._authenticator.allows(request) else self._refuse(request)

    def _while_allowed(self, request: Request, receive: Receive) -> Receive:
        """Return an ASGI function `receive` that reports a disconnect once the request's login or key is invalid."""

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

    def _refuse(self, request: Request) -> Response:
        """Redirect browsers to the login page, and send an error to other clients."""
        path = request.url.path
        if request.method != "POST" and "text/html" in request.headers.get("accept", ""):
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/login?next={quote(path + query, safe='/')}", 303, _NO_STORE)
        if self._authenticator.has_reading_key(request):
            hint = "log in at /login, or use `tillstream quarantine` on the machine itself"
            return refusal(403, path, "a key for reading does not allow changes", hint)
        hint = "log in at /login, or send `Authorization: Bearer KEY` with a key of `tillstream keys add --read`"
        headers = {"WWW-Authenticate": 'Bearer realm="tillstream"', **_NO_STORE}
        return refusal(401, path, "this needs the password or a key for reading", hint, headers)

    async def _login(self, request: Request) -> Response:
        if not self._authenticator.is_required:
            return RedirectResponse("/", 303)
        if request.method != "POST":
            problem = "" if self._authenticator.has_password else "no_password"
            return login_page(request, own_address(request.query_params.get("next", "")), problem)
        form = await _form(request)
        target = own_address(form.get("next", ""))
        wait_s = self._authenticator.wait_s(request)
        if wait_s:
            return login_page(request, target, "too_many_attempts", 429, count=wait_s)
        token = await self._authenticator.log_in(request, form.get("password", ""))
        if not token:
            logger.warning("login_refused", address=self._authenticator.proxies.client_address(request))
            return login_page(request, target, "wrong_password", 403)
        response = RedirectResponse(target, 303, _NO_STORE)
        response.set_cookie(
            COOKIE,
            token,
            max_age=self._authenticator.sessions.lifetime_s,
            secure=self._authenticator.proxies.is_encrypted(request),
            httponly=True,
            samesite="lax",
        )
        return response

    async def _logout(self, request: Request) -> Response:
        # Only a POST logs out. A link on another site, which causes a GET, must not log anybody out.
        if request.method != "POST":
            return RedirectResponse("/", 303)
        await self._authenticator.log_out(request)
        response = RedirectResponse("/login", 303, _NO_STORE)
        secure = self._authenticator.proxies.is_encrypted(request)
        response.delete_cookie(COOKIE, secure=secure, httponly=True, samesite="lax")
        return response


def _key(request: Request) -> str:
    return bearer_or_basic(request.headers.get("authorization", "")) or request.headers.get("x-api-key", "")


def _session(request: Request) -> str:
    token = request.cookies.get(COOKIE, "")
    return token if len(token) <= COOKIE_LIMIT_CHARACTERS else ""


async def _form(request: Request) -> dict[str, str]:
    """Return the fields of a form. If the form is truncated, too large, or has too many fields, return no fields."""
    try:
        body = await request.body()
        text = body.decode("utf-8", "replace") if len(body) <= FORM_LIMIT_BYTES else ""
        fields = parse_qs(text, keep_blank_values=True, max_num_fields=10)
    except (ClientDisconnect, ValueError):
        return {}
    return {name: values[0] for name, values in fields.items()}


def _not_stored(send: Send) -> Send:
    """Return an ASGI function `send` that tells browsers and proxies not to store the response."""

    async def send_not_stored(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "no-store")
        await send(message)

    return send_not_stored


def login_page(request: Request, target: str, problem: str = "", status: int = 200, **values: object) -> HTMLResponse:
    """Return the login page. The page contains its style and icon, because static files need authentication.

    `target` is the address to open after the login. `problem` is the message key of an error, and `values` replace
    the placeholders of this message.
    """
    page = Page(request, "", demo=False)
    error = page.localizer.text(problem, **values) if problem else ""
    response = page.render("login.html", status, **_login_assets(), problem=error, target=target)
    response.headers.update(_NO_STORE)
    if status == 429:
        response.headers["Retry-After"] = str(values["count"])
    return response


def own_address(address: str) -> str:
    """Return the address if it is a path of this server, otherwise `/`. A login must not redirect to another site."""
    own = address.startswith("/") and not address.startswith(("//", "/login", "/logout"))
    return address if own and address.isprintable() and "\\" not in address else "/"


@cache
def _login_assets() -> dict[str, str]:
    return {
        "style": (STATIC / "style.css").read_text(encoding="utf-8"),
        "icon": base64.b64encode((STATIC / "favicon.svg").read_bytes()).decode(),
    }
