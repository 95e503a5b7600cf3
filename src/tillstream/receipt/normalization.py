"""The SQL that normalizes receipts. It turns them into rows of the tables `receipts`, `lines` and `settlements`.

In the log, a receipt consists of a head (columns such as the store and the date) and a body (the receipt as JSON).

The lines and settlements of a receipt stay in its row as lists of structs until the queries for the tables `lines` and
`settlements` unnest them. For small batches, this costs less than grouping and joining separate rows. The SQL rounds
amounts in the same way as the function `tillstream.receipt.amounts.round_amount`.
"""

from __future__ import annotations

from tillstream.metrics.delays import bucket
from tillstream.receipt.model import SIMULATED, UNALLOCATED, UNNAMED

_AMOUNT = "DECIMAL(19,6)"

BODY_SCHEMA = {
    "documentTotal": {"grossTotal": _AMOUNT, "netTotal": _AMOUNT, "taxPayable": _AMOUNT},
    "lines": [
        {
            "productCode": "VARCHAR",
            "productDescription": "VARCHAR",
            "productCategoryCode": "VARCHAR",
            "productCategoryName": "VARCHAR",
            "quantity": _AMOUNT,
            "unitOfMeasure": "VARCHAR",
            "unitPrice": _AMOUNT,
            "creditAmount": _AMOUNT,
            "taxPercentage": "DECIMAL(9,4)",
            "settlementAmount": _AMOUNT,
        }
    ],
    "settlements": [{"paymentMechanism": "VARCHAR", "settlementAmount": _AMOUNT}],
}
"""The fields of a body from which figures are computed, with their SQL types."""

CONTENT_SCHEMA = BODY_SCHEMA | {"agentID": "VARCHAR", "customerID": "VARCHAR"}
"""The fields that decide whether two receipts with the same key have the same content, with their SQL types."""

_WEIGHED_UNITS = ("kg", "g", "gr", "kilogram", "gram", "l", "cl", "ml", "litre", "liter", "lb", "oz", "m")
"""The units of goods that are sold by weight, volume or length. A line with such a unit counts as one item."""

_ITEMS_PER_LINE_LIMIT = 1_000_000
"""A quantity that reaches this limit is implausible, so its line counts as one item."""

_CLOCK_AHEAD_MINUTES = 10
"""If the clock of a till was ahead by more than this, its receipt has the anomaly `clock_ahead`."""

_COLUMNS = "place, day, store, till, sold_local, key, receipt, sold_at, received_at, source"


def receipt_tables(digits: int) -> dict[str, dict[str, str]]:
    """Return the column types of `receipts`, `lines` and `settlements`. `digits` is the currency's number of decimals.

    `place` is the id of the receipt's log record, see `tillstream.log.base.pack_record_id`. Timestamps are UTC, except
    `sold_local`, which is local time of the store.
    """
    money = f"DECIMAL(18,{digits})"
    sale = {"place": "BIGINT", "day": "DATE", "store": "VARCHAR", "till": "VARCHAR", "sold_local": "TIMESTAMP"}
    return {
        "receipts": {
            **sale,
            "key": "UUID",
            "receipt": "VARCHAR",
            "sold_at": "TIMESTAMP",
            "received_at": "TIMESTAMP",
            "applied_at": "TIMESTAMP",  # predicted time of the commit; null after a rebuild
            "gross": money,
            "net": money,
            "tax": money,
            "items": "BIGINT",
            "line_count": "BIGINT",
            "anomalies": "VARCHAR",  # comma-separated names; empty if there are none
            "anomalous": "BIGINT",  # 1 if there is an anomaly, otherwise 0
            "ingest_bucket": "INTEGER",
            "till_bucket": "INTEGER",
            "source": "VARCHAR",
        },
        "lines": {
            **sale,
            "line": "BIGINT",  # position on the receipt, from 1; 0 for the part of the total that no line covers
            "is_line": "BIGINT",  # 1 for a line; 0 for the part of the total that no line covers
            "category": "VARCHAR",
            "product": "VARCHAR",
            "description": "VARCHAR",
            "quantity": _AMOUNT,
            "items": "BIGINT",
            "unit_price": _AMOUNT,
            "gross": money,
            "net": money,
            "tax": money,
            "rate": "VARCHAR",
        },
        "settlements": {**sale, "mechanism": "VARCHAR", "amount": money},
    }


class Normalization:
    """The SQL that normalizes the receipts of one chain.

    `digits` is the currency's number of decimals. `vat_rates` are the expected rates in percent. If there are none,
    every rate is expected.

    The method `receipts` returns a query. The caller must store its result in a table with the name `receipt`, because
    the queries from `receipt_rows`, `lines` and `settlements` read this table.
    """

    def __init__(self, digits: int, vat_rates: tuple[str, ...] = ()) -> None:
        self._digits = digits
        self._vat_rates = vat_rates
        self._money = f"DECIMAL(18,{digits})"
        self._unit = f"CAST({10**-digits:.{digits}f} AS {self._money})"

    def sales(self, read: str) -> str:
        """Return a query for receipts with unrounded totals, normalized lines (`ls`) and normalized settlements (`ss`).

        `read` is a query for receipts. It returns the columns of their heads, `sold_local`, `received_at`, and the UTC
        offsets with the column names of `tillstream.engine.batches.zone_table`. Its column `r` is the body, as a
        struct with the fields of `BODY_SCHEMA`.
        """
        return f"""
            SELECT place, CAST(day AS DATE) AS day, store, terminal AS till, sold_local, key, receipt, received_at,
                source, notes,
                sold_local - to_seconds(CASE
                    WHEN sold_local < from_local OR after_seconds > before_seconds AND sold_local < to_local
                        THEN before_seconds
                    WHEN sold_local >= to_local THEN after_seconds
                    WHEN abs(date_diff('second', sold_local, received_at) + before_seconds)
                        <= abs(date_diff('second', sold_local, received_at) + after_seconds) THEN before_seconds
                    ELSE after_seconds END) AS sold_at,
                source LIKE '%/{SIMULATED}' AS simulated,
                r.documentTotal.grossTotal AS gross_read, r.documentTotal.netTotal AS net_read,
                r.documentTotal.taxPayable AS tax_read,
                {_each("r.lines", "l", self._line())} AS ls,
                {_each("r.settlements", "s", self._settlement())} AS ss
            FROM ({read}) AS read
        """

    def receipts(self, sales: str, applied_at: str) -> str:
        """Return a query for all columns of the table `receipts`, and for `ls`, `ss`, `rest_gross` and `rest_net`.

        `rest_gross` and `rest_net` are the parts of the totals that no line covers. `sales` is a query from the method
        `sales`. `applied_at` is an SQL expression: the predicted time of the commit, or null.
        """
        return f"""
            WITH summed AS (
                SELECT *, {self._round("gross_read")} AS gross,
                    coalesce(list_sum({_each("ls", "l", "l.gross")}), 0) AS lines_gross,
                    coalesce(list_sum({_each("ls", "l", "l.net")}), 0) AS lines_net,
                    CAST(coalesce(list_sum({_each("ls", "l", "l.items")}), 0) AS BIGINT) AS items,
                    CAST(coalesce(len(ls), 0) AS BIGINT) AS line_count,
                    list_sum({_each("ss", "s", "s.amount")}) AS paid,
                    {_any("ls", "finer")} OR {_any("ss", "finer")}
                        OR {self._is_finer("gross_read", "net_read", "tax_read")} AS finer,
                    {_any("ls", "unlisted_rate")} AS unlisted_rate,
                    CAST(CASE WHEN net_read IS NOT NULL THEN {self._round("net_read")}
                        WHEN tax_read IS NOT NULL THEN gross - {self._round("tax_read")}
                        ELSE gross - lines_gross + lines_net END AS {self._money}) AS net,
                    CAST(coalesce({self._round("tax_read")}, gross - net) AS {self._money}) AS tax
                FROM ({sales}) AS sale)
            SELECT {_COLUMNS}, {applied_at} AS applied_at, gross, net, tax, items, line_count,
                {self._anomalies()} AS anomalies, CAST(anomalies <> '' AS BIGINT) AS anomalous,
                {bucket(_delay_ms("received_at", applied_at))} AS ingest_bucket,
                {bucket(_delay_ms("sold_at", "received_at"))} AS till_bucket,
                CAST(gross - lines_gross AS {self._money}) AS rest_gross,
                CAST(net - lines_net AS {self._money}) AS rest_net, ls, ss
            FROM summed
        """

    def receipt_rows(self) -> str:
        """Return a query for the rows of the table `receipts`."""
        return "SELECT * EXCLUDE (rest_gross, rest_net, ls, ss) FROM receipt"

    def lines(self) -> str:
        """Return a query for the rows of the table `lines`."""
        sale = "place, day, store, till, sold_local"
        return f"""
            SELECT {sale}, line, CAST(1 AS BIGINT) AS is_line, l.category, l.product, l.description,
                l.quantity, l.items, l.unit_price, l.gross, l.net, CAST(l.gross - l.net AS {self._money}) AS tax, l.rate
            FROM (SELECT {sale}, unnest(ls) AS l, CAST(generate_subscripts(ls, 1) AS BIGINT) AS line FROM receipt)
            UNION ALL
            SELECT {sale}, CAST(0 AS BIGINT), CAST(0 AS BIGINT), '{UNALLOCATED}', '{UNALLOCATED}', '{UNALLOCATED}',
                CAST(0 AS {_AMOUNT}), CAST(0 AS BIGINT), CAST(NULL AS {_AMOUNT}), rest_gross, rest_net,
                CAST(rest_gross - rest_net AS {self._money}), '{UNALLOCATED}'
            FROM receipt WHERE rest_gross <> 0 OR rest_net <> 0
        """

    def settlements(self) -> str:
        """Return a query for the rows of the table `settlements`."""
        return """SELECT place, day, store, till, sold_local, s.mechanism, s.amount
            FROM (SELECT place, day, store, till, sold_local, unnest(ss) AS s FROM receipt)"""

    def _line(self) -> str:
        """Return the SQL of a struct with the normalized line. In the SQL, `l` is the line in the body."""
        rate = "CAST(100 + l.taxPercentage AS DECIMAL(10,4))"
        weighed = ", ".join(f"'{unit}'" for unit in _WEIGHED_UNITS)
        gross = f"""CASE WHEN l.settlementAmount IS NOT NULL THEN {self._round("l.settlementAmount")}
            WHEN l.creditAmount IS NULL THEN CAST(0 AS {self._money})
            ELSE {self._round(f"l.creditAmount * coalesce({rate}, 100) * 0.01")} END"""
        return f"""struct_pack(
            category := {_text("l.productCategoryName", "l.productCategoryCode")},
            product := {_text("l.productCode", "l.productDescription")},
            description := {_text("l.productDescription", "l.productCode")},
            quantity := coalesce(l.quantity, 1),
            items := CAST(CASE WHEN l.quantity = 1 THEN 1
                WHEN lower(trim(l.unitOfMeasure)) IN ({weighed}) OR l.quantity <> trunc(l.quantity)
                    OR abs(l.quantity) >= {_ITEMS_PER_LINE_LIMIT} THEN sign(coalesce(l.quantity, 1))
                ELSE coalesce(l.quantity, 1) END AS BIGINT),
            unit_price := l.unitPrice,
            gross := {gross},
            net := CASE WHEN l.creditAmount IS NOT NULL THEN {self._round("l.creditAmount")}
                WHEN coalesce(l.taxPercentage, -1) < 0 OR l.settlementAmount IS NULL THEN {gross}
                ELSE {self._net_of_gross(self._round("l.settlementAmount"), rate)} END,
            rate := coalesce(CASE WHEN l.taxPercentage = trunc(l.taxPercentage)
                THEN CAST(CAST(l.taxPercentage AS INTEGER) AS VARCHAR)
                ELSE rtrim(CAST(l.taxPercentage AS VARCHAR), '0') END, '{UNNAMED}'),
            unlisted_rate := {self._unlisted_rate()},
            finer := {self._is_finer("l.settlementAmount", "l.creditAmount")})"""

    def _settlement(self) -> str:
        """Return the SQL of a struct with the normalized settlement. In the SQL, `s` is the settlement in the body."""
        return f"""struct_pack(mechanism := {_text("s.paymentMechanism")},
            amount := {self._round("coalesce(s.settlementAmount, 0)")},
            finer := {self._is_finer("s.settlementAmount")})"""

    def _round(self, amount: str) -> str:
        return f"CAST({amount} AS {self._money})"

    def _is_finer(self, *amounts: str) -> str:
        """Return an SQL condition that is true if one of the amounts has more decimals than the currency."""
        return " OR ".join(f"coalesce({each} <> {self._round(each)}, false)" for each in amounts)

    def _net_of_gross(self, gross: str, rate: str) -> str:
        """Return the SQL of gross * 100 / rate, rounded half up. `rate` is 100 plus the VAT rate in percent."""
        # DuckDB divides decimals as binary floats, so the expression divides integers to get an exact result.
        parts, divisor = f"CAST(abs({gross}) * {10**self._digits} AS HUGEINT)", f"CAST({rate} * 10000 AS HUGEINT)"
        return self._round(f"sign({gross}) * (({parts} * 2000000 + {divisor}) // (2 * {divisor})) * {self._unit}")

    def _unlisted_rate(self) -> str:
        if not self._vat_rates:
            return "false"
        rates = ", ".join(f"CAST('{rate}' AS DECIMAL(9,4))" for rate in self._vat_rates)
        return f"coalesce(l.taxPercentage NOT IN ({rates}), false)"

    def _anomalies(self) -> str:
        """Return the SQL of a text that lists the receipt's anomalies by name, separated by commas."""
        tests = {
            "lines_total": f"line_count > 0 AND abs(gross - lines_gross) > line_count * {self._unit}",
            "tax_total": f"abs(net + tax - gross) > greatest(line_count, 1) * {self._unit}",
            "settlements_short": "gross >= 0 AND paid < gross OR gross < 0 AND paid > gross",
            "finer_amount": "finer",
            "clock_ahead": f"NOT simulated AND sold_at > received_at + INTERVAL {_CLOCK_AHEAD_MINUTES} MINUTE",
            "clock_ahead_a_day": "NOT simulated AND notes LIKE '%clock_ahead_a_day%'",
            "vat_rate": "unlisted_rate",
        }
        names = ", ".join(f"CASE WHEN {test} THEN '{name}' END" for name, test in tests.items())
        return f"concat_ws(',', {names})"


def _each(items: str, name: str, expression: str) -> str:
    """Return the SQL that computes `expression` for each item of a list. In the expression, `name` is the item."""
    return f"list_transform({items}, lambda {name}: {expression})"


def _any(items: str, field: str) -> str:
    return f"coalesce(list_bool_or({_each(items, 'i', f'i.{field}')}), false)"


def _text(*candidates: str) -> str:
    """Return the SQL of the first candidate that is not blank, trimmed. If all are blank, the SQL returns `UNNAMED`."""
    # Most texts need no trimming, and the check for spaces at the ends is cheaper than trimming.
    filled = ", ".join(f"nullif(trim({each}), '')" for each in candidates)
    first = candidates[0]
    return f"""CASE WHEN {first} <> '' AND {first} NOT LIKE ' %' AND {first} NOT LIKE '% ' THEN {first}
        ELSE coalesce({filled}, '{UNNAMED}') END"""


def _delay_ms(start: str, end: str) -> str:
    return f"CASE WHEN NOT simulated THEN date_diff('microsecond', {start}, {end}) / 1000.0 END"
