"""Ingest rejects harmful bodies with a clear error, uses little memory, and keeps serving other tills."""

from __future__ import annotations

import gzip
import io
import json
import re
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from threading import Event, Thread
from types import TracebackType

import httpx
import psutil
import pytest
import zstandard

from tests.support import formats
from tests.support.formats import FORMATS, Format, described_examples
from tests.support.ingest import JSON, NDJSON, encoded
from tests.support.processes import Command, address_of, integers_in, running_command
from tests.support.waiting import wait_until

XML, CSV, FORM = formats.XML.media_type, formats.CSV.media_type, formats.FORM.media_type
SQUARE, POSLOG, RECORDS = formats.SQUARE.media_type, formats.POSLOG.media_type, formats.RECORDS.media_type

every_format = pytest.mark.parametrize("known", FORMATS, ids=[known.title for known in FORMATS])

MB = 1024 * 1024
BODY_BYTES = 32 * MB
RECEIPTS_LIMIT = 50_000
GROWTH_BYTES = 320 * MB
"""The memory limit for one body, including its 32 MB and the compressed data."""

DELAY_FACTOR = 100
"""A till counts as delayed if its slowest request takes this many times longer than the median, and also at least half as
long as the large body."""

WAIT_S = 120.0


class Server:
    """An ingest process."""

    def __init__(self, command: Command) -> None:
        self.address = address_of(command)
        self.examples = described_examples(self.address)
        self.process = psutil.Process(command.pid)
        self.command = command

    def post(self, path: str, body: bytes, media_type: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(
            f"{self.address}{path}", content=body, headers={"Content-Type": media_type, **named}, timeout=WAIT_S
        )


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    data = tmp_path_factory.mktemp("hostile") / "data"
    with running_command("ingest", "--data", data, "--ingest-port", 0) as command:
        serving = Server(command)
        # The first requests use memory and time that do not depend on the body.
        for known in FORMATS:
            serving.post("/receipts", serving.examples[known.media_type].encode() * 2, known.media_type)
        serving.post("/receipts", b"\n".join(encoded(number) for number in range(2_000)), NDJSON)
        yield serving
        assert httpx.get(f"{serving.address}/health/ready").json() == {"status": "ready"}
        assert command.stop() == 0
        assert "Traceback" not in command.output


class ConcurrentTill:
    """Another till that sends single receipts at the same time, and the memory use of ingest."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._stop = Event()
        self._thread = Thread(target=self._send, daemon=True)
        self._durations_s: list[float] = []
        self.statuses: set[int] = set()
        self.before_bytes = self.peak_bytes = server.process.memory_info().rss

    def _send(self) -> None:
        with httpx.Client(timeout=WAIT_S) as client:
            while not self._stop.is_set():
                started_s = time.perf_counter()
                body = encoded(f"other-{started_s}")
                answer = client.post(f"{self._server.address}/receipt", content=body, headers={"Content-Type": JSON})
                self.statuses.add(answer.status_code)
                self._durations_s.append(time.perf_counter() - started_s)
                self.peak_bytes = max(self.peak_bytes, self._server.process.memory_info().rss)
                self._stop.wait(0.005)

    def __enter__(self) -> ConcurrentTill:
        self._thread.start()
        wait_until(lambda: self._durations_s, "the other till has its first answer")
        self._entered_s = time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        heavy_s = time.perf_counter() - self._entered_s
        self._stop.set()
        self._thread.join(WAIT_S)
        self.delayed = max(self._durations_s) > max(DELAY_FACTOR * median(self._durations_s), heavy_s / 2)


def filled(unit: bytes, size: int, head: bytes = b"", tail: bytes = b"") -> bytes:
    return head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


TABLE = b"storeID,cashReceiptID,date,grossTotal\n"
RECEIPT = encoded()[:-1]

HEAVY: dict[str, tuple[Callable[[], bytes], str, int, str, int | None]] = {
    "newlines": (lambda: b"\n" * (8 * MB), NDJSON, 400, "$", None),
    "commas": (lambda: b"," * BODY_BYTES, JSON, 422, "$", None),
    "an array of commas": (lambda: filled(b",", BODY_BYTES - 1, b"[", b"]"), JSON, 400, "$[0]", None),
    "zeros after a long gap": (
        lambda: filled(b"0,", BODY_BYTES, b"[" + b" " * (16 * MB), b"0]"),
        JSON,
        413,
        "$",
        RECEIPTS_LIMIT,
    ),
    "empty objects": (lambda: filled(b"{}          ,", BODY_BYTES, b"[", b"{}]"), JSON, 413, "$", RECEIPTS_LIMIT),
    "a receipt of millions of lines": (
        lambda: filled(b"{},", BODY_BYTES, RECEIPT + b',"lines":[', b"{}]}"),
        JSON,
        422,
        "$[0]",
        MB,
    ),
    "orders of millions of lines": (
        lambda: filled(b"{},", BODY_BYTES, b'{"line_items":[', b"{}]}"),
        SQUARE,
        400,
        "$[0]",
        MB,
    ),
    "nothing but faults": (
        lambda: filled(b'{"lines":[' + b",".join([b"0"] * 30) + b"]}\n", 2 * MB),
        NDJSON,
        422,
        "$[0].cashReceiptID",
        None,
    ),
    "empty rows": (lambda: filled(b",,,\n", 8 * MB, TABLE), CSV, 422, "$", None),
    "unclosed quotes": (
        lambda: filled(b'"x\n' + b",,,\n" * 1_000, 4 * MB, TABLE),
        CSV,
        400,
        "$[0]",
        None,
    ),
    "a single long row": (lambda: filled(b"a,", BODY_BYTES, TABLE), CSV, 400, "$[0]", MB),
    "a header that never ends": (lambda: filled(b"storeID,", BODY_BYTES), CSV, 400, "$[0]", MB),
    "millions of elements": (
        lambda: filled(b"<receipt>" + b"<a/>" * 250_000 + b"</receipt>", 12 * MB, b"<receipts>", b"</receipts>"),
        XML,
        422,
        "$[0].cashReceiptID",
        None,
    ),
    "tags that never end": (lambda: filled(b"<receipt a='", BODY_BYTES, b"<receipts>"), XML, 413, "$", RECEIPTS_LIMIT),
    "comments that never end": (lambda: filled(b"<receipt><!-- ", BODY_BYTES, b"<receipts>"), XML, 400, "$[0]", MB),
    "a sale of thousands of lines": (
        lambda: filled(
            b"<Transaction><RetailTransaction>"
            + b"<LineItem><Sale><ExtendedAmount>1</ExtendedAmount></Sale></LineItem>" * 14_000
            + b"</RetailTransaction></Transaction>",
            8 * MB,
            b"<POSLog>",
            b"</POSLog>",
        ),
        POSLOG,
        422,
        "$[0].cashReceiptID",
        None,
    ),
    "a form that never ends": (lambda: filled(b"a=b&", BODY_BYTES), FORM, 400, "$[0]", MB),
    "zeros in gzip": (lambda: gzip.compress(bytes(512 * MB), 1), JSON, 413, "$", BODY_BYTES),
    "zeros in zstd": (lambda: zstandard.compress(bytes(512 * MB)), JSON, 413, "$", BODY_BYTES),
    "millions of gzip members": (lambda: filled(gzip.compress(b""), BODY_BYTES), JSON, 400, "$", None),
    "millions of zstd frames": (lambda: filled(zstandard.compress(b""), BODY_BYTES), JSON, 400, "$", None),
}
"""The body, its media type, and the expected answer: status, first path and named limit."""


@pytest.mark.parametrize("name", HEAVY)
def test_a_slow_body_delays_no_other_till_and_uses_little_memory(server: Server, name: str) -> None:
    make, media_type, status, path, limit = HEAVY[name]
    body = make()
    headers = {"Content-Encoding": {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}.get(body[:2], "identity")}
    with ConcurrentTill(server) as other_till:
        answer = server.post("/receipts", body, media_type, **headers)
    assert answer.status_code == status, answer.text[:2_000]
    first = answer.json()["errors"][0]
    assert first["path"] == path
    assert limit is None or limit in integers_in(first["error"])
    assert len(answer.content) < 16 * MB
    assert other_till.statuses == {202}
    assert not other_till.delayed
    assert other_till.peak_bytes - other_till.before_bytes < GROWTH_BYTES


def test_a_large_valid_batch_delays_no_other_till(server: Server) -> None:
    receipts = "".join(
        f"<receipt><!-- --><cashReceiptID>{number}</cashReceiptID><storeID>7</storeID><date>2026-11-23 10:15:00</date>"
        "<documentTotal><grossTotal>1.20</grossTotal></documentTotal></receipt>"
        for number in range(20_000)
    )
    with ConcurrentTill(server) as other_till:
        answer = server.post("/receipts", f"<receipts>{receipts}</receipts>".encode(), XML)
    assert answer.json() == {"accepted": 20_000, "rejected": []}
    assert other_till.statuses == {202}
    assert not other_till.delayed


def test_a_body_over_the_limit_is_rejected_before_it_is_complete(server: Server) -> None:
    def endless() -> Iterator[bytes]:
        yield TABLE
        for _ in range(1_024):
            yield b"a," * (MB // 2)

    with ConcurrentTill(server) as other_till:
        try:
            answer = httpx.post(f"{server.address}/receipts", content=endless(), headers={"Content-Type": CSV})
        except httpx.WriteError:
            # The connection was closed while the client was still sending.
            pass
        else:
            assert answer.status_code == 413
    assert other_till.peak_bytes - other_till.before_bytes < GROWTH_BYTES


def test_a_file_that_is_one_line_of_a_gigabyte_is_imported_in_little_memory(tmp_path: Path) -> None:
    file = tmp_path / "one-line.csv.gz"
    with gzip.open(file, "wb", 1) as out:
        out.write(TABLE)
        for _ in range(1_024):
            out.write(b"a," * (MB // 2))
    peak = 0
    with running_command("import", file, "--dry-run", "--data", tmp_path / "data") as command:
        process = psutil.Process(command.pid)

        def ended() -> bool:
            nonlocal peak
            if command.process.poll() is None:
                peak = max(peak, process.memory_info().rss)
                return False
            return True

        wait_until(ended, "the import has ended", WAIT_S, pause_s=0.02)
        assert command.wait() == 1, command.output
        assert 1024 * MB in integers_in(command.output)
    assert peak < 200 * MB


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize("media_type", [XML, POSLOG])
@pytest.mark.parametrize(
    "document",
    [
        LAUGHS + "]><receipts><receipt><storeID>&j;</storeID></receipt></receipts>",
        '<!DOCTYPE x SYSTEM "{address}"><receipts><receipt/></receipts>',
        '<!DOCTYPE x [<!ENTITY y SYSTEM "file:///etc/hostname">]><receipt><storeID>&y;</storeID></receipt>',
        '<!DOCTYPE x [<!ENTITY % y SYSTEM "{address}"> %y;]><receipt/>',
        '<receipts><receipt><!DOCTYPE x [<!ENTITY y "z">]><storeID>&y;</storeID></receipt></receipts>',
        '<POSLog><Transaction><!ENTITY y SYSTEM "{address}"></Transaction></POSLog>',
    ],
    ids=["billion laughs", "external DTD", "external entity", "parameter entity", "in a receipt", "in a transaction"],
)
def test_a_dtd_is_refused_and_nothing_is_fetched(server: Server, document: str, media_type: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        body = document.replace("{address}", address).encode()
        for path in ("/receipt", "/receipts"):
            answer = server.post(path, body, media_type)
            assert answer.status_code in (400, 422)
            assert "DTD" in answer.json()["errors"][0]["error"]
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


def test_external_entities_includes_and_stylesheets_are_ignored(server: Server) -> None:
    undeclared = b"<receipts><receipt><storeID>&secret;</storeID></receipt></receipts>"
    answer = server.post("/receipts", undeclared, XML)
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "$[0]")
    receipt = server.examples[XML]
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        address = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        included = f'<x xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="{address}"/></x>'
        styled = receipt.replace("<receipts>", f'<?xml-stylesheet href="{address}"?><receipts>')
        answer = server.post("/receipts", styled.replace("<lines>", f"{included}<lines>", 1).encode(), XML)
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()


DEEP = 100_000


@pytest.mark.parametrize("path", ["/receipt", "/receipts"])
@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"[" * DEEP, JSON),
        (b"[" * DEEP + b"]" * DEEP, JSON),
        (b'{"a":' * DEEP + b"1" + b"}" * DEEP, JSON),
        (RECEIPT + b',"x":' + b"[" * DEEP + b"]" * DEEP + b"}", NDJSON),
        (b'{"orders":' + b'[{"a":' * DEEP + b"1" + b"}]" * DEEP + b"}", SQUARE),
        (b'{"source": "a/b", "receipt": ' + b"[" * DEEP + b"]" * DEEP + b"}", RECORDS),
        (b"<receipt>" + b"<a>" * DEEP + b"</a>" * DEEP + b"</receipt>", XML),
        (b"<POSLog>" + b"<a>" * DEEP + b"</a>" * DEEP + b"</POSLog>", POSLOG),
    ],
    ids=["open arrays", "arrays", "objects", "in a line", "orders", "records", "elements", "elements in a POSLog"],
)
def test_excessive_nesting_is_named_in_the_error(server: Server, path: str, body: bytes, media_type: str) -> None:
    answer = server.post(path, body, media_type)
    assert answer.status_code in (400, 422)
    first = answer.json()["errors"][0]
    assert first["path"] == ("$" if path == "/receipt" else "$[0]")
    assert len(first["error"]) < 200


DIGITS = b"9" * 900_000
FIELDS = b"storeID=1&cashReceiptID=1&date=2026-11-23+10%3A15%3A00&documentTotal.grossTotal="
AMOUNT = {
    JSON: encoded().replace(b"1.2", b"%b"),
    XML: b"<receipt><cashReceiptID>1</cashReceiptID><storeID>1</storeID><date>2026-11-23 10:15:00</date>"
    b"<documentTotal><grossTotal>%b</grossTotal></documentTotal></receipt>",
    CSV: TABLE + b"1,1,2026-11-23 10:15:00,%b\n",
    FORM: FIELDS.replace(b"%", b"%%") + b"%b",
    SQUARE: b'{"id":"1","location_id":"1","state":"COMPLETED","closed_at":"2026-11-23T09:15:00Z",'
    b'"line_items":[{"quantity":"1","total_money":{"amount":1}}],"total_money":{"amount":%b,"currency":"EUR"}}',
    POSLOG: b"<POSLog><Transaction><RetailTransaction><LineItem><Sale><ExtendedAmount>%b</ExtendedAmount></Sale>"
    b"</LineItem></RetailTransaction></Transaction></POSLog>",
}


@pytest.mark.parametrize("media_type", AMOUNT)
@pytest.mark.parametrize(
    "amount",
    [
        DIGITS,
        b"1e400",
        b"1e999999999999",
        b"-1E+99999",
        b'"%bx"' % DIGITS[:60_000],
        b'"1e%bx"' % DIGITS[:60_000],
        b"12" + b"0" * 50 + b"e-51",
    ],
    ids=["digits", "1e400", "1e", "-1e", "digits and a letter", "1e and digits and a letter", "digits and e-51"],
)
def test_an_excessive_amount_is_reported_with_its_path(server: Server, media_type: str, amount: bytes) -> None:
    answer = server.post("/receipt", AMOUNT[media_type] % amount, media_type)
    assert answer.status_code == 422
    faults = [each for each in answer.json()["errors"] if "mount" in each["path"] or each["path"].endswith("Total")]
    assert faults, answer.text
    assert all(len(error["error"]) < 200 for error in faults)


@pytest.mark.parametrize("amount", [b"1.2" + b"0" * 900_000, b"1." + DIGITS, b"1.2" + b"0" * 50 + b"e0"])
def test_a_reasonable_amount_with_many_digits_is_accepted(server: Server, amount: bytes) -> None:
    assert server.post("/receipt", AMOUNT[JSON] % amount, JSON).status_code == 202


@every_format
@pytest.mark.parametrize("charset", ["utf-16", "utf-32", "latin-1"])
def test_another_charset_is_named_in_the_error(server: Server, known: Format, charset: str) -> None:
    media_type = known.media_type
    text = server.examples[media_type].replace("Baguette", "Flûte").replace("1047", "1047é")
    body = text.encode(charset)
    assert server.post("/receipt", body, media_type).status_code in (400, 422)
    answer = server.post("/receipts", body, media_type)
    assert answer.status_code in (400, 422)
    assert any("UTF-" in error["error"] + error["hint"] for error in answer.json()["errors"]), answer.text
    answer = server.post("/receipts", body, f"{media_type}; charset={charset}")
    assert answer.status_code == 415
    assert "UTF-8" in answer.json()["errors"][0]["hint"]


@every_format
def test_a_byte_order_mark_changes_nothing(server: Server, known: Format) -> None:
    example = server.examples[known.media_type].encode()
    answer = server.post("/receipts", b"\xef\xbb\xbf" + example, known.media_type)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)


INVALID_TEXTS = [b"\\ud800", b"\\udc00\\ud800", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\0"]


@pytest.mark.parametrize(
    "text", INVALID_TEXTS, ids=["high", "wrong order", "raw", "overlong", "beyond Unicode", "raw NUL"]
)
def test_invalid_text_is_rejected_in_every_field(server: Server, text: bytes) -> None:
    bodies = [(RECEIPT + b',"x":"a%b"}' % text, media_type) for media_type in (JSON, NDJSON)]
    bodies.append((encoded(customerID="here").replace(b"here", text), JSON))
    bodies.append((b'{"source": "a/b", "receipt": ' + bodies[0][0] + b"}", RECORDS))
    bodies.append(((AMOUNT[SQUARE] % b"1").replace(b'"id":"1"', b'"id":"%b"' % text), SQUARE))
    if not text.startswith(b"\\"):
        bodies += [(AMOUNT[XML] % (b"1</grossTotal><x>%b</x><grossTotal>" % text), XML)]
        bodies += [(AMOUNT[CSV] % (b"%b" % text), CSV)]
    for body, media_type in bodies:
        answer = server.post("/receipt", body, media_type)
        assert answer.status_code in (400, 422), (body, answer.text)


@pytest.mark.parametrize("character", ["\x00", "\x01", "\t", "\n", "\x1f", "\x7f", "\x85"])
def test_a_control_character_is_rejected_in_an_id_and_accepted_elsewhere(server: Server, character: str) -> None:
    quoted = '"' + f"1{character}2" + '"'
    bodies = {
        JSON: encoded(storeID=f"1{character}2"),
        NDJSON: encoded(storeID=f"1{character}2"),
        CSV: (TABLE + f"{quoted},1,2026-11-23 10:15:00,1\n".encode()),
        FORM: (FIELDS + b"1").replace(
            b"storeID=1", b"storeID=1%%%02X2" % ord(character) if ord(character) < 128 else b"storeID=1%C2%852"
        ),
        SQUARE: (AMOUNT[SQUARE] % b"1").replace(
            b'"location_id":"1"', b'"location_id":' + json.dumps(f"1{character}2").encode()
        ),
    }
    for media_type, body in bodies.items():
        answer = server.post("/receipt", body, media_type)
        assert answer.status_code == 422, (media_type, answer.text)
        store = "$.location_id" if media_type == SQUARE else "$.storeID"
        assert answer.json()["errors"][0]["path"] == store, media_type
    assert server.post("/receipt", encoded(customerID=f"1{character}2", note=character), JSON).status_code == 202


COMPRESS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}


@pytest.mark.parametrize("name", COMPRESS)
def test_one_receipt_is_decompressed_up_to_the_receipt_limit(server: Server, name: str) -> None:
    answer = server.post("/receipt", COMPRESS[name](bytes(2 * MB)), JSON, Content_Encoding=name)
    assert (answer.status_code, MB in integers_in(answer.json()["errors"][0]["error"])) == (413, True)
    answer = server.post("/receipt", COMPRESS[name](encoded() + b" " * 900_000), JSON, Content_Encoding=name)
    assert answer.status_code == 202


@pytest.mark.parametrize("name", COMPRESS)
def test_truncated_compressed_data_and_trailing_data_are_reported(server: Server, name: str) -> None:
    compress = COMPRESS[name]
    body = compress(b"\n".join(encoded(number) for number in range(2_000)))
    for packed in (
        body[: len(body) // 2],
        body[:-1],
        body + b"rubbish",
        body + compress(encoded())[:9],
        encoded(),
    ):
        answer = server.post("/receipts", packed, NDJSON, Content_Encoding=name)
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["path"], name in error["error"]) == (400, "$", True), answer.text
    several = compress(encoded()) + compress(b"") + compress(b"\n" + encoded(2))
    assert server.post("/receipts", several, NDJSON, Content_Encoding=name).json()["accepted"] == 2


@pytest.mark.parametrize("path", ["/receipt", "/receipts"])
def test_compressed_data_without_a_content_encoding_is_named_in_the_error(server: Server, path: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packing:
        packing.writestr("receipts.xml", server.examples[XML])
    twice = gzip.compress(gzip.compress(encoded()))
    for known in FORMATS:
        answer = server.post(path, archive.getvalue(), known.media_type)
        assert answer.status_code in (400, 422)
        assert re.search(r"\bzip\b", answer.json()["errors"][-1]["error"])
        answer = server.post(path, twice, known.media_type, Content_Encoding="gzip")
        assert answer.status_code in (400, 422)
        assert "Content-Encoding: gzip" in answer.json()["errors"][-1]["hint"]
    assert server.post(path, twice, JSON, Content_Encoding="gzip, gzip").status_code == 415


@every_format
def test_a_wrong_content_type_is_reported_with_the_likely_one(server: Server, known: Format) -> None:
    # One line of NDJSON is also JSON, and a POSLog is also XML.
    lines = server.examples[known.media_type].encode() * (2 if known is formats.NDJSON else 1)
    lines = lines.replace(b"}{", b"}\n{")
    for other in FORMATS:
        right = other is known or (other, known) == (formats.XML, formats.POSLOG)
        for path in ("/receipt", "/receipts"):
            answer = server.post(path, lines, other.media_type)
            if right and path == "/receipts":
                assert answer.status_code == 202
            elif not right:
                assert answer.status_code in (400, 422), (other.title, answer.text)
                assert known.media_type in answer.json()["errors"][-1]["hint"]


def test_the_tests_cover_all_formats(server: Server) -> None:
    assert set(server.examples) == {media_type for known in FORMATS for media_type in known.media_types}


def test_a_body_in_progress_does_not_delay_the_stop(tmp_path: Path) -> None:
    with running_command("ingest", "--data", tmp_path / "data", "--ingest-port", 0) as command:
        server = Server(command)
        ends: list[object] = []

        def send() -> None:
            try:
                ends.append(server.post("/receipts", b"\n" * (16 * MB), NDJSON).status_code)
            except httpx.HTTPError as error:
                ends.append(error)

        thread = Thread(target=send)
        thread.start()
        wait_until(
            lambda: "pending_bytes 0.0" not in httpx.get(f"{server.address}/metrics").text, "the body has arrived"
        )
        assert command.stop() == 0
        thread.join(WAIT_S)
        assert ends
