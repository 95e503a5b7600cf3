"""The port of the dashboard: strangers see only the login page, and credentials open as much as they allow."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from starlette.requests import Request

from tests.inprocess.access import add_key, set_password
from tests.inprocess.clock import ManualClock
from tests.inprocess.dashboard import DashboardClient, dashboard_server
from tests.inprocess.pipeline import Pipeline
from tests.support.access import PASSWORD
from tests.support.waiting import wait_until
from tillstream.access import login_attempts, machine_token, password
from tillstream.access.sessions import COOKIE
from tillstream.clock import SystemClock
from tillstream.config.data_directory import DataDirectory, open_directory
from tillstream.config.settings import Settings
from tillstream.web.middleware import auth
from tillstream.web.middleware.auth import Authenticator, login_page, own_address

EVERYTHING = [
    "/",
    "/shops/12",
    "/receipts",
    "/docs",
    "/openapi.json",
    "/metrics",
    "/api/v1/summary",
    "/api/v1/live",
    "/api/v1/metrics/sales.csv",
    "/assets/style.css",
    "/assets/page/main.js",
    "/docs/files/swagger-ui.css",
    "/nope",
    "/health",
    "/health/live/x",
    "//health/live",
]


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    directory = open_directory(tmp_path / "access")
    set_password(directory)
    return directory


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[Pipeline]:
    pipeline = Pipeline(tmp_path, Settings(dashboard_port=0, live_interval_ms=50))
    yield pipeline
    pipeline.close()


def authenticator(directory: DataDirectory) -> Authenticator:
    return Authenticator(directory, Settings(), SystemClock(), secrets.token_bytes)


@pytest.fixture
def client(pipeline: Pipeline, directory: DataDirectory) -> DashboardClient:
    return DashboardClient(pipeline, authenticator=authenticator(directory))


def logged_in(client: DashboardClient, **headers: str) -> httpx.Response:
    return client.request("/login", "POST", headers, form={"password": PASSWORD, "next": "/shops/12?day=2026-11-24"})


def cookie(answer: httpx.Response) -> dict[str, str]:
    morsel = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    return {"Cookie": f"{COOKIE}={morsel.value}"}


def test_a_stranger_is_refused_whatever_is_asked_for_but_health(client: DashboardClient) -> None:
    for path in EVERYTHING:
        answer = client.request(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="tillstream"'), path
        assert answer.headers["cache-control"] == "no-store"
        assert "log in at /login" in answer.json()["errors"][0]["hint"]
    for path in ("/health/live", "/health/ready"):
        assert client.request(path).status_code == 200


def test_without_a_password_only_this_machine_s_own_names_are_answered(pipeline: Pipeline, tmp_path: Path) -> None:
    client = DashboardClient(pipeline, authenticator=authenticator(open_directory(tmp_path / "open")))
    for path in ("/", "/api/v1/summary", "/api/v1/live", "/metrics", "/nope"):
        answer = client.request(path, headers={"Host": "shop.example"})
        assert (answer.status_code, answer.json()["errors"][0]["error"]) == (
            421,
            "without a password, the host shop.example is not allowed",
        ), path
    for host in ("localhost:8050", "127.0.0.1:8050", "[::1]:8050"):
        assert client.request("/api/v1/summary", headers={"Host": host}).status_code == 200
    assert client.request("/health/ready", headers={"Host": "shop.example"}).status_code == 200


def test_a_browser_is_led_to_the_login_and_told_where_it_wanted_to_go(client: DashboardClient) -> None:
    answer = client.request("/shops/12", headers={"Accept": "text/html,*/*;q=0.8"}, day="2026-11-24")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=/shops/12%3Fday%3D2026-11-24")
    page = client.request("/login", next="/shops/12?day=2026-11-24")
    assert page.status_code == 200
    assert 'name="next" value="/shops/12?day=2026-11-24"' in page.text


def test_the_password_opens_everything_and_leads_on(client: DashboardClient) -> None:
    answer = logged_in(client)
    assert (answer.status_code, answer.headers["location"]) == (303, "/shops/12?day=2026-11-24")
    assert answer.headers["cache-control"] == "no-store"
    inside = cookie(answer)
    for path in ("/", "/receipts", "/api/v1/summary", "/assets/style.css", "/docs", "/metrics"):
        assert client.request(path, headers=inside).status_code == 200
    assert client.request("/api/v1/summary", headers=inside).headers["cache-control"] == "no-store"
    assert "/logout" in client.request("/receipts", headers=inside).text


def test_the_cookie_is_for_the_browser_alone_and_for_https_where_there_is_any(client: DashboardClient) -> None:
    for proto, secure in (("https", True), ("http", False)):
        morsel = SimpleCookie(logged_in(client, **{"X-Forwarded-Proto": proto}).headers["set-cookie"])[COOKIE]
        assert (morsel["httponly"], morsel["samesite"].lower(), morsel["path"]) == (True, "lax", "/")
        assert int(morsel["max-age"]) == 720 * 3600
        assert bool(morsel["secure"]) is secure


def test_another_password_is_told_and_opens_nothing(client: DashboardClient) -> None:
    many = {"password": PASSWORD, **{str(number): "" for number in range(10)}}
    for form in ({"password": "croissant"}, {}, {"password": PASSWORD, "x": "y" * 9_000}, many):
        answer = client.request("/login", "POST", form=form, headers={"Accept-Language": "fr"})
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)
        assert "Ce n’est pas le bon mot de passe." in answer.text


def test_guessing_becomes_slow(client: DashboardClient) -> None:
    for _ in range(login_attempts.ADDRESS_BURST):
        assert client.request("/login", "POST", form={}).status_code == 403
    answer = logged_in(client)
    assert (answer.status_code, "Too many attempts" in answer.text) == (429, True)
    assert 0 < int(answer.headers["retry-after"]) <= 31
    elsewhere = client.request("/login", "POST", form={"password": PASSWORD}, client_address="192.0.2.9")
    assert elsewhere.status_code == 303


def test_who_logs_out_sees_nothing_any_more(client: DashboardClient) -> None:
    inside = cookie(logged_in(client))
    assert client.request("/logout", headers=inside).headers["location"] == "/"
    assert client.request("/api/v1/summary", headers=inside).status_code == 200
    answer = client.request("/logout", "POST", headers=inside)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert 'tillstream_session=""' in answer.headers["set-cookie"]
    assert client.request("/api/v1/summary", headers=inside).status_code == 401


def test_the_api_takes_a_key_for_reading_and_only_reads(client: DashboardClient, directory: DataDirectory) -> None:
    key = {"Authorization": f"Bearer {add_key(directory, reads=True)}"}
    wait_until(lambda: client.request("/api/v1/summary", headers=key).status_code == 200, "the key is known")
    assert client.request("/metrics", headers=key).status_code == 200
    assert client.request("/api/v1/summary", "POST", headers=key).status_code == 405
    assert "/login" not in client.request("/openapi.json", headers=key).json()["paths"]


def test_the_description_names_who_may_ask(pipeline: Pipeline) -> None:
    described = DashboardClient(pipeline).json("/openapi.json")
    schemes = described["components"]["securitySchemes"]
    assert {(each["type"], each.get("name", "")) for each in schemes.values()} == {
        ("http", ""),
        ("apiKey", "X-API-Key"),
        ("apiKey", COOKIE),
    }
    assert len(described["paths"]["/api/v1/summary"]["get"]["security"]) == 4
    assert "401" in described["paths"]["/api/v1/summary"]["get"]["responses"]
    assert "security" not in described["paths"]["/health/live"]["get"]


def test_without_a_password_there_is_nothing_to_log_in_to(pipeline: Pipeline) -> None:
    open_ = DashboardClient(pipeline)
    assert (open_.request("/login").status_code, open_.request("/login").headers["location"]) == (303, "/")
    assert open_.request("/api/v1/summary").headers["cache-control"] == "no-cache"
    assert "/logout" not in open_.request("/receipts").text


def test_where_a_password_is_required_and_missing_the_page_says_how_to_set_it(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    directory = open_directory(tmp_path / "other")
    required = Authenticator(directory, Settings(access="on"), SystemClock(), secrets.token_bytes)
    guarded = DashboardClient(pipeline, authenticator=required)
    assert "tillstream password set" in guarded.request("/login").text
    assert guarded.request("/login", "POST", form={"password": PASSWORD}).status_code == 403
    assert guarded.request("/").status_code == 401


def test_the_live_feed_ends_for_who_logs_out_and_goes_on_for_others(
    pipeline: Pipeline, directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "RECHECK_S", 0.05)
    with (
        dashboard_server(pipeline, authenticator=authenticator(directory)) as server,
        httpx.Client(base_url=server.address) as client,
    ):
        sessions = [cookie(client.post("/login", data={"password": PASSWORD})) for _ in range(2)]
        client.cookies.clear()
        with (
            client.stream("GET", "/api/v1/live", headers=sessions[0]) as mine,
            client.stream("GET", "/api/v1/live", headers=sessions[1]) as other,
        ):
            lines, others = mine.iter_lines(), other.iter_lines()
            next(lines)
            next(others)
            assert server.live.viewers == 2
            client.post("/logout", headers=sessions[0])
            wait_until(lambda: server.live.viewers == 1, "the feed has ended")
            assert any(line.startswith("event: overview") for line in others)
        assert client.get("/api/v1/live", headers=sessions[0]).status_code == 401


def test_a_live_feed_from_before_the_password_ends_once_there_is_one(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "RECHECK_S", 0.05)
    directory = open_directory(tmp_path / "open")
    with (
        dashboard_server(pipeline, authenticator=authenticator(directory)) as server,
        httpx.Client(base_url=server.address) as client,
    ):
        with client.stream("GET", "/api/v1/live") as feed:
            lines = feed.iter_lines()
            next(lines)
            assert server.live.viewers == 1
            set_password(directory)
            wait_until(lambda: server.live.viewers == 0, "the feed has ended")
        assert client.get("/api/v1/live").status_code == 401


NOW_US = 1_795_435_200_000_000


@pytest.fixture
def bare(tmp_path: Path) -> DataDirectory:
    return open_directory(tmp_path / "data")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW_US)


def authenticator_of(bare: DataDirectory, clock: ManualClock, **settings: object) -> Authenticator:
    return Authenticator(bare, Settings(**settings), clock, secrets.token_bytes)  # type: ignore[arg-type]


def request(client: str = "127.0.0.1", **headers: str) -> Request:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": named, "client": (client, 5_000)})


def bearer(text: str) -> Request:
    return request(authorization=f"Bearer {text}")


def test_without_a_password_everybody_comes_in(bare: DataDirectory, clock: ManualClock) -> None:
    open_one = authenticator_of(bare, clock)
    assert (open_one.is_required, open_one.has_password, open_one.allows(request())) == (False, False, True)


def test_without_a_password_no_name_that_others_could_have_given_leads_in(
    bare: DataDirectory, clock: ManualClock
) -> None:
    named = request(host="shop.example:8050")
    open_one = authenticator_of(bare, clock)
    assert [open_one.has_foreign_host(each) for each in (named, request(host="localhost:8050"), request())] == [
        *(True, False, False)
    ]
    assert not authenticator_of(bare, clock, insecure=True).has_foreign_host(named)
    set_password(bare)
    assert not authenticator_of(bare, clock).has_foreign_host(named)


def test_where_one_is_required_nobody_does_until_it_is_set(bare: DataDirectory, clock: ManualClock) -> None:
    guarded = authenticator_of(bare, clock, host="0.0.0.0")
    assert (guarded.is_required, guarded.has_password, guarded.allows(request())) == (True, False, False)
    assert asyncio.run(guarded.log_in(request(), PASSWORD)) == ""
    assert guarded.allows(bearer(machine_token.token(bare, secrets.token_bytes)))


def test_the_password_opens_a_session_that_ends(bare: DataDirectory, clock: ManualClock) -> None:
    set_password(bare)
    guarded = authenticator_of(bare, clock, session_hours=1)
    assert asyncio.run(guarded.log_in(request(), "croissant")) == ""
    token = asyncio.run(guarded.log_in(request(), PASSWORD))
    inside = request(cookie=f"{COOKIE}={token}")
    assert guarded.sessions.lifetime_s == 3_600
    assert guarded.allows(inside)
    assert not guarded.allows(request(cookie=f"{COOKIE}={token}x"))
    assert not guarded.allows(request(cookie=f"{COOKIE}={'x' * 1_000}"))
    clock.advance(3_600)
    assert not guarded.allows(inside)


def test_who_leaves_has_to_log_in_again(bare: DataDirectory, clock: ManualClock) -> None:
    set_password(bare)
    guarded = authenticator_of(bare, clock)
    inside = request(cookie=f"{COOKIE}={asyncio.run(guarded.log_in(request(), PASSWORD))}")
    assert guarded.allows(inside)
    asyncio.run(guarded.log_out(inside))
    assert not guarded.allows(inside)


def test_only_a_key_for_reading_and_the_machines_token_come_in(bare: DataDirectory, clock: ManualClock) -> None:
    set_password(bare)
    reading, posting = add_key(bare, reads=True), add_key(bare, "12")
    guarded = authenticator_of(bare, clock)
    assert guarded.ingest_requires_key
    assert guarded.allows(bearer(reading))
    assert guarded.allows(request(x_api_key=reading))
    assert guarded.allows(bearer(machine_token.token(bare, secrets.token_bytes)))
    assert not guarded.allows(bearer(posting))
    assert not guarded.allows(bearer(PASSWORD))
    assert not guarded.allows(bearer(""))


def test_a_password_set_or_changed_elsewhere_counts_within_a_second(bare: DataDirectory, clock: ManualClock) -> None:
    guarded = authenticator_of(bare, clock)
    set_password(bare)
    clock.advance(1)
    asyncio.run(guarded.refresh())
    assert not guarded.allows(request())
    inside = request(cookie=f"{COOKIE}={asyncio.run(guarded.log_in(request(), PASSWORD))}")
    assert guarded.allows(inside)
    set_password(bare, "tarte aux pommes")
    clock.advance(1)
    asyncio.run(guarded.refresh())
    assert not guarded.allows(inside)
    password.clear(bare.password)
    clock.advance(1)
    asyncio.run(guarded.refresh())
    assert guarded.allows(request())


def test_tries_are_counted_by_address_and_forgiven_to_who_knows(bare: DataDirectory, clock: ManualClock) -> None:
    set_password(bare)
    guarded = authenticator_of(bare, clock)
    for _ in range(10):
        assert guarded.wait_s(request()) == 0
    assert guarded.wait_s(request()) > 0
    assert guarded.wait_s(request(client="192.0.2.1")) == 0
    asyncio.run(guarded.log_in(request(), PASSWORD))
    assert guarded.wait_s(request()) == 0


@pytest.mark.parametrize(("client", "encrypted"), [("127.0.0.1", True), ("192.0.2.1", True), ("192.0.2.2", False)])
def test_only_known_proxies_are_believed(bare: DataDirectory, clock: ManualClock, client: str, encrypted: bool) -> None:
    guarded = authenticator_of(bare, clock, proxies=["192.0.2.1"])
    asked = request(client=client, x_forwarded_proto="https", x_forwarded_for="198.51.100.4")
    assert guarded.proxies.is_encrypted(asked) == encrypted
    assert guarded.proxies.client_address(asked) == ("198.51.100.4" if encrypted else client)


def test_with_tls_of_its_own_every_request_is_encrypted(bare: DataDirectory, clock: ManualClock) -> None:
    own = authenticator_of(bare, clock, tls_certificate_file="certificate.pem", tls_key_file="key.pem")
    assert own.proxies.is_encrypted(request(client="192.0.2.1"))


def asked(language: str = "en") -> Request:
    return Request({"type": "http", "headers": [(b"accept-language", language.encode())], "query_string": b""})


def text(problem: str = "", language: str = "en", wanted: str = "/", **values: int) -> str:
    return bytes(login_page(asked(language), wanted, problem, 200, **values).body).decode()


def test_it_loads_nothing_from_anywhere() -> None:
    shown = text()
    assert re.findall(r'(?:src|href)="(?!data:)', shown) == []
    assert "prefers-color-scheme: dark" in shown
    assert "<script" not in shown


@pytest.mark.parametrize(("language", "title"), [("en", "Log in"), ("fr-FR", "Connexion")])
def test_it_speaks_the_browsers_language(language: str, title: str) -> None:
    shown = text(language=language)
    assert f'<html lang="{language[:2]}">' in shown
    assert f"<h1>{title}</h1>" in shown
    assert 'autocomplete="current-password"' in shown


def test_a_problem_is_told_and_read_out() -> None:
    assert 'role="alert"' not in text()
    shown = text("wrong_password")
    assert '<p class="bad" id="problem" role="alert">That is not the password.</p>' in shown
    assert 'aria-describedby="problem"' in shown
    assert "Try again in 1 second." in text("too_many_attempts", count=1)


def test_where_one_wants_to_go_is_escaped() -> None:
    assert 'value="/&#34;&gt;&lt;script&gt;"' in text(wanted='/"><script>')


@pytest.mark.parametrize(
    ("wanted", "led"),
    [
        ("/shops/12?day=2026-11-24", "/shops/12?day=2026-11-24"),
        ("", "/"),
        ("https://example.org/", "/"),
        ("//example.org/", "/"),
        ("/\\example.org/", "/"),
        ("/a\r\nSet-Cookie: x", "/"),
        ("/login?next=/", "/"),
        ("/logout", "/"),
    ],
)
def test_nobody_is_led_elsewhere(wanted: str, led: str) -> None:
    assert own_address(wanted) == led
