"""From the catalogue to SQL: how bodies become receipts, lines, settlements and partial metrics.

One definition for every engine. It keeps to the SQL that DuckDB and Spark share; what differs
(reading JSON, unnesting) is in the few functions that the engines' dialects name.

The steps build on each other: heads and bodies -> `sale` -> `line`, `settlement` -> `receipt` ->
one fold per metric. Amounts are first rounded half-up to `receipt.NOISE_DIGITS`
decimals, which takes binary-float noise away, then half-up to the currency's minor unit.
"""

from __future__ import annotations

from tillstream.metrics import Metric
from tillstream.receipt import SIMULATED, UNALLOCATED, UNNAMED
from tillstream.store.schema import metric_columns, tables

AMOUNT = "DECIMAL(19,6)"

BODY_SCHEMA = {
    "documentTotal": {"grossTotal": AMOUNT, "netTotal": AMOUNT, "taxPayable": AMOUNT},
    "lines": [
        {
            "productCode": "VARCHAR",
            "productDescription": "VARCHAR",
            "productCategoryCode": "VARCHAR",
            "productCategoryName": "VARCHAR",
            "quantity": AMOUNT,
            "unitOfMeasure": "VARCHAR",
            "unitPrice": AMOUNT,
            "creditAmount": AMOUNT,
            "taxPercentage": "DECIMAL(9,4)",
            "settlementAmount": AMOUNT,
        }
    ],
    "settlements": [{"paymentMechanism": "VARCHAR", "settlementAmount": AMOUNT}],
}
"""The known fields of a body that figures come from, and the types that they are read as."""

CONTENT_SCHEMA = BODY_SCHEMA | {"agentID": "VARCHAR", "customerID": "VARCHAR"}
"""What two receipts with one key are compared by: the known fields that are not in the key."""

WEIGHED = ("kg", "g", "gr", "kilogram", "gram", "l", "cl", "ml", "litre", "liter", "lb", "oz", "m")
"""Units of measure whose lines count as one item, whatever was weighed."""

CLOCK_AHEAD_MINUTES = 10
"""A till whose clock is further ahead than this is flagged."""


def _text(*candidates: str) -> str:
    """The first that isn't blank, trimmed; `(none)` where all are."""
    filled = ", ".join(f"nullif(trim({each}), '')" for each in candidates)
    return f"coalesce({filled}, '{UNNAMED}')"


def bucket(milliseconds: str) -> str:
    """The bucket of a delay: 0 up to 1 ms, else the quarter octave whose upper bound is 2^(bucket/4) ms."""
    return (
        f"CASE WHEN {milliseconds} IS NULL THEN -1 WHEN {milliseconds} <= 1 THEN 0 "
        f"ELSE CAST(ceil(4 * log2({milliseconds})) AS INTEGER) END"
    )


def bucket_bound_ms(number: int) -> float:
    """The upper bound of a bucket, in milliseconds."""
    return float(2 ** (number / 4))


class Plan:
    """The SQL of one chain: `digits` are its currency's decimals, `vat_rates` its normal rates (none: any)."""

    def __init__(self, digits: int, vat_rates: tuple[str, ...] = ()) -> None:
        self.money = f"DECIMAL(18,{digits})"
        self.unit = f"CAST({10**-digits:.{digits}f} AS {self.money})"
        self.vat_rates = vat_rates
        self._tables = tables(digits)
        self._digits = digits

    def _round(self, amount: str) -> str:
        return f"CAST({amount} AS {self.money})"

    def _fine(self, *amounts: str) -> str:
        """Whether one of the amounts is finer than a minor unit."""
        return " OR ".join(f"coalesce({each} <> {self._round(each)}, false)" for each in amounts)

    def sales(self, read: str) -> str:
        """What every row of a receipt shares, with its UTC time by the offsets of its zone.

        `read` yields the head's columns, `r` (the body read by `BODY_SCHEMA`), `sold_local`,
        `received_at` and the columns of `zones.Offsets`.
        """
        return f"""
            SELECT place, CAST(day AS DATE) AS day, store, terminal AS till, sold_local, key, receipt, received_at,
                source, notes, r,
                sold_local - CASE
                    WHEN sold_local < from_local OR after_offset > before_offset AND sold_local < to_local
                        THEN before_offset
                    WHEN sold_local >= to_local THEN after_offset
                    WHEN abs(date_diff('second', sold_local - before_offset, received_at))
                        <= abs(date_diff('second', sold_local - after_offset, received_at)) THEN before_offset
                    ELSE after_offset END AS sold_at,
                source LIKE '%/{SIMULATED}' AS simulated
            FROM ({read}) AS read WHERE r.documentTotal.grossTotal IS NOT NULL
        """

    def lines(self, unnested: str) -> str:
        """Real lines. `unnested` yields the sale's columns, `l` (the line) and `line` (from 1)."""
        net = f"""
            CASE WHEN l.creditAmount IS NOT NULL THEN {self._round("l.creditAmount")}
                WHEN coalesce(l.taxPercentage, -1) < 0 THEN gross
                ELSE CAST(sign(gross) * ((CAST(abs(gross) * {10**self._digits} AS HUGEINT) * 2000000
                    + CAST((100 + l.taxPercentage) * 10000 AS HUGEINT))
                    // (2 * CAST((100 + l.taxPercentage) * 10000 AS HUGEINT)))
                    * {self.unit} AS {self.money}) END"""
        taxed = "l.creditAmount * CAST(100 + coalesce(l.taxPercentage, 0) AS DECIMAL(10,4)) * 0.01"
        gross = f"""
            CASE WHEN l.settlementAmount IS NOT NULL THEN {self._round("l.settlementAmount")}
                WHEN l.creditAmount IS NULL THEN CAST(0 AS {self.money})
                ELSE {self._round(taxed)} END"""
        weighed = ", ".join(f"'{unit}'" for unit in WEIGHED)
        return f"""
            WITH priced AS (SELECT *, {gross} AS gross FROM ({unnested}) AS u),
            taxed AS (SELECT *, {net} AS net FROM priced)
            SELECT place, day, store, till, sold_local, CAST(line AS BIGINT) AS line, CAST(1 AS BIGINT) AS is_line,
                {_text("l.productCategoryName", "l.productCategoryCode")} AS category,
                {_text("l.productCode", "l.productDescription")} AS product,
                {_text("l.productDescription", "l.productCode")} AS description,
                coalesce(l.quantity, 1) AS quantity,
                CAST(CASE WHEN lower(trim(l.unitOfMeasure)) IN ({weighed}) OR l.quantity <> trunc(l.quantity)
                    THEN sign(coalesce(l.quantity, 1)) ELSE coalesce(l.quantity, 1) END AS BIGINT) AS items,
                l.unitPrice AS unit_price, gross, net, CAST(gross - net AS {self.money}) AS tax,
                coalesce(rtrim(rtrim(CAST(l.taxPercentage AS VARCHAR), '0'), '.'), '{UNNAMED}') AS rate,
                {self._fine("l.settlementAmount", "l.creditAmount")} AS fine
            FROM taxed
        """

    def settlements(self, unnested: str) -> str:
        """`unnested` yields the sale's columns and `s` (the settlement)."""
        return f"""
            SELECT place, day, store, till, sold_local, {_text("s.paymentMechanism")} AS mechanism,
                {self._round("coalesce(s.settlementAmount, 0)")} AS amount, {self._fine("s.settlementAmount")} AS fine
            FROM ({unnested}) AS u
        """

    def receipts(self) -> str:
        """The columns of the store's `receipts`, and `rest_gross`, `rest_net`: what the lines don't cover.

        Reads `sale`, `line` and `settlement`; `$applied_at` may be null (unknown).
        """
        net = f"""CASE WHEN r.documentTotal.netTotal IS NOT NULL THEN {self._round("r.documentTotal.netTotal")}
            WHEN r.documentTotal.taxPayable IS NOT NULL THEN gross - {self._round("r.documentTotal.taxPayable")}
            ELSE gross - lines_gross + lines_net END"""
        return f"""
            WITH by_line AS (SELECT place, sum(gross) AS lines_gross, sum(net) AS lines_net, sum(items) AS items,
                    count(*) AS line_count, bool_or(fine) AS fine,
                    bool_or({self._foreign_rate()}) AS foreign_rate FROM line GROUP BY place),
            by_settlement AS (SELECT place, sum(amount) AS paid, bool_or(fine) AS fine FROM settlement GROUP BY place),
            joined AS (SELECT sale.*, {self._round("r.documentTotal.grossTotal")} AS gross,
                    CAST(coalesce(lines_gross, 0) AS {self.money}) AS lines_gross,
                    CAST(coalesce(lines_net, 0) AS {self.money}) AS lines_net,
                    CAST(coalesce(items, 0) AS BIGINT) AS items, coalesce(line_count, 0) AS line_count, paid,
                    coalesce(by_line.fine, false) OR coalesce(by_settlement.fine, false) OR
                    {self._fine("r.documentTotal.grossTotal", "r.documentTotal.netTotal", "r.documentTotal.taxPayable")}
                    AS fine, coalesce(foreign_rate, false) AS foreign_rate
                FROM sale LEFT JOIN by_line USING (place) LEFT JOIN by_settlement USING (place)),
            netted AS (SELECT *, CAST({net} AS {self.money}) AS net FROM joined),
            taxed AS (SELECT *, CAST(CASE WHEN r.documentTotal.taxPayable IS NOT NULL
                    THEN {self._round("r.documentTotal.taxPayable")} ELSE gross - net END AS {self.money}) AS tax
                FROM netted),
            flagged AS (SELECT *, {self._anomalies()} AS anomalies FROM taxed)
            SELECT place, day, store, till, sold_local, key, receipt, sold_at, received_at,
                CAST($applied_at AS TIMESTAMP) AS applied_at, gross, net, tax, items, line_count,
                rtrim(anomalies, ',') AS anomalies, CAST(anomalies <> '' AS BIGINT) AS anomalous,
                {bucket(self._delay_ms("received_at", "CAST($applied_at AS TIMESTAMP)"))} AS ingest_bucket,
                {bucket(self._delay_ms("sold_at", "received_at"))} AS till_bucket,
                source, CAST(gross - lines_gross AS {self.money}) AS rest_gross,
                CAST(net - lines_net AS {self.money}) AS rest_net
            FROM flagged
        """

    def _foreign_rate(self) -> str:
        if not self.vat_rates:
            return "false"
        rates = ", ".join(f"CAST('{rate}' AS DECIMAL(9,4))" for rate in self.vat_rates)
        return f"rate <> '{UNNAMED}' AND CAST(nullif(rate, '{UNNAMED}') AS DECIMAL(9,4)) NOT IN ({rates})"

    def _anomalies(self) -> str:
        """Names of the anomalies, each with a comma behind it."""
        found = {
            "lines_total": f"line_count > 0 AND abs(gross - lines_gross) > line_count * {self.unit}",
            "tax_total": f"abs(net + tax - gross) > greatest(line_count, 1) * {self.unit}",
            "settlements_short": "paid IS NOT NULL AND (gross >= 0 AND paid < gross OR gross < 0 AND paid > gross)",
            "finer_amount": "fine",
            "clock_ahead": f"NOT simulated AND sold_at > received_at + INTERVAL {CLOCK_AHEAD_MINUTES} MINUTE",
            "clock_ahead_a_day": "NOT simulated AND notes LIKE '%clock_ahead_a_day%'",
            "vat_rate": "foreign_rate",
        }
        return " || ".join(f"CASE WHEN {test} THEN '{name},' ELSE '' END" for name, test in found.items())

    @staticmethod
    def _delay_ms(start: str, end: str) -> str:
        return f"CASE WHEN NOT simulated THEN date_diff('microsecond', {start}, {end}) / 1000.0 END"

    def rest_lines(self) -> str:
        """One row for each receipt whose lines don't cover its total: the `(unallocated)` rest."""
        return f"""
            SELECT place, day, store, till, sold_local, CAST(0 AS BIGINT) AS line, CAST(0 AS BIGINT) AS is_line,
                '{UNALLOCATED}' AS category, '{UNALLOCATED}' AS product, '{UNALLOCATED}' AS description,
                CAST(0 AS {AMOUNT}) AS quantity, CAST(0 AS BIGINT) AS items, CAST(NULL AS {AMOUNT}) AS unit_price,
                rest_gross AS gross, rest_net AS net, CAST(rest_gross - rest_net AS {self.money}) AS tax,
                '{UNALLOCATED}' AS rate
            FROM receipt WHERE rest_gross <> 0 OR rest_net <> 0
        """

    def fold(self, metric: Metric, source: str) -> str:
        """The metric's partial rows over a relation with the columns of its source."""
        types = metric_columns(metric, self._digits)
        keys = ", ".join(f"CAST({key.expression} AS {key.type}) AS {key.name}" for key in metric.keys)
        measures = ", ".join(
            f"CAST({measure.fold}({measure.column or '*'}) AS {types[measure.name]}) AS {measure.name}"
            for measure in metric.measures
        )
        return f"SELECT {keys}, {measures} FROM {source} GROUP BY ALL"

    def columns(self, table: str) -> str:
        """The store's columns of a table, for a SELECT list."""
        return ", ".join(self._tables[table])
