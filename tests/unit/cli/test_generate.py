import json
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from tests.support.decimal_receipts import parse_receipt
from tests.support.scripted_ingest import scripted_ingest
from tillstream.cli.generate import generate
from tillstream.errors import OperationalError


def test_a_burst_ends_with_a_report_and_exit_code_0() -> None:
    with scripted_ingest() as ingest:
        result = CliRunner().invoke(generate, ["--url", ingest.url, "--burst", "20", "--seed", "7"])

    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert (lines["seed"], lines["accepted"], lines["refused"]) == ("7", "20", "0")
    assert "p99" in lines["latency"]


def test_the_report_can_be_json_and_a_random_seed_is_printed() -> None:
    with scripted_ingest() as ingest:
        result = CliRunner().invoke(generate, ["--url", ingest.url, "--burst", "20", "--json"])

    report = json.loads(result.stdout)
    assert (report["sent"], report["accepted"], report["unacknowledged"]) == (20, 20, 0)
    assert result.stderr == f"seed {report['seed']}\n"


def test_a_refusal_makes_exit_code_1_and_is_shown() -> None:
    with scripted_ingest("422 - nonsense") as ingest:
        result = CliRunner().invoke(generate, ["--url", ingest.url, "--burst", "2", "--seed", "7"])

    assert result.exit_code == 1
    assert "422 nonsense" in result.stdout


def test_giving_up_shows_the_report_and_raises_the_error() -> None:
    with scripted_ingest() as gone:
        url = gone.url

    result = CliRunner().invoke(generate, ["--url", url, "--burst", "2", "--seed", "7", "--give-up", "0.2"])

    assert isinstance(result.exception, OperationalError)
    assert "accepted   0" in result.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["--burst", "5", "--rate", "2"],
        ["--profile", "day", "--live"],
        ["--live", "--start-date", "2026-01-01"],
        ["--tills", "4-2"],
        ["--tills", "many"],
        ["--rate", "0"],
        ["--profile", "night"],
        ["--zone", "Europe/Nowhere"],
    ],
)
def test_contradictory_options_are_a_usage_error(arguments: list[str]) -> None:
    result = CliRunner().invoke(generate, arguments)

    assert result.exit_code == 2
    assert "Error:" in result.stderr


def test_every_option_reaches_the_receipts() -> None:
    arguments = [
        "--rate",
        "100",
        "--count",
        "30",
        "--stores",
        "2",
        "--tills",
        "1-2",
        "--start-date",
        "2026-03-02 09:00",
    ]
    with scripted_ingest() as ingest:
        result = CliRunner().invoke(generate, ["--url", ingest.url, *arguments])
    receipts = [parse_receipt(request.body) for request in ingest.requests]

    assert result.exit_code == 0, result.output
    assert {receipt["storeID"] for receipt in receipts} == {"1", "2"}
    assert {receipt["date"][:16] for receipt in receipts} == {"2026-03-02 09:00"}


def test_the_help_shows_examples() -> None:
    result = CliRunner().invoke(generate, ["--help"])

    assert "tillstream generate --profile day --speed 60" in result.stdout


def test_ctrl_c_ends_with_the_report() -> None:
    program = "from tillstream.cli.generate import generate; generate()"
    with scripted_ingest() as ingest:
        command = [sys.executable, "-c", program, "--url", ingest.url, "--rate", "100", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stderr is not None
        process.stderr.readline()
        while len(ingest.requests) < 5:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=10)

    report = json.loads(output)
    assert process.returncode == 0
    assert report["accepted"] == len(ingest.requests) >= 5
