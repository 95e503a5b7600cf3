"""The SQL that normalizes receipts: heads and bodies become rows of receipts, lines and settlements.

Lines and settlements stay lists of structs within the row of their receipt until the end, where they are
unnested. This avoids groupings and joins, which are expensive for small batches. Amounts are rounded as in
`tillstream.receipt.amounts.round_amount`.
"""

from __future__ import annotations

from tillstream.metrics.delays import bucket
from tillstream.receipt.model import SIMULATED, UNALLOCATED, UNNAMED

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
"""The body fields that figures are computed from, with their SQL types."""

CONTENT_SCHEMA = BODY_SCHEMA | {"agentID": "VARCHAR", "customerID": "VARCHAR"}
"""The fields by which two receipts with the same key are compared."""

WEIGHED_UNITS = ("kg", "g", "gr", "kilogram", "gram", "l", "cl", "ml", "litre", "liter", "lb", "oz", "m")
"""Units of goods sold by weight, volume or length. A line measured in one of these units counts as one item."""

ITEMS_PER_LINE_LIMIT = 1_000_000
"""A line with this quantity or more counts as one item, because the quantity is not plausible."""

CLOCK_AHEAD_MINUTES = 10
"""A receipt whose till clock is further ahead than this is flagged `clock_ahead`."""


def _text(*candidates: str) -> str:
    """The first text that is not blank, trimmed. `(none)` if all are blank."""
    # Most values need no trimming, and checking is cheaper than trimming.
    filled = ", ".join(f"nullif(trim({each}), '')" for each in candidates)
    first = candidates[0]
    return f"""CASE WHEN {first} <> '' AND {first} NOT LIKE ' %' AND {first} NOT LIKE '% ' THEN {first}
        ELSE coalesce({filled}, '{UNNAMED}') END"""


def receipt_tables(digits: int) -> dict[str, dict[str, str]]:
    """Column types of `receipts`, `lines` and `settlements`. `digits` is the currency's number of decimal places.

    `place` is the receipt's record id (`tillstream.log.base.pack_record_id`) and its surrogate key.
    Timestamps are UTC, except `sold_local`, which is local time of the store.
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
            "applied_at": "TIMESTAMP",  # expected time of its commit; null after a rebuild
            "gross": money,
            "net": money,
            "tax": money,
            "items": "BIGINT",
            "line_count": "BIGINT",
            "anomalies": "VARCHAR",  # comma-separated names; empty if there are none
            "anomalous": "BIGINT",  # 1 if there is an anomaly
            "ingest_bucket": "INTEGER",
            "till_bucket": "INTEGER",
            "source": "VARCHAR",
        },
        "lines": {
            **sale,
            "line": "BIGINT",  # 1-based position on the receipt; 0 for the unallocated remainder
            "is_line": "BIGINT",  # 0 for the unallocated remainder, otherwise 1
            "category": "VARCHAR",
            "product": "VARCHAR",
            "description": "VARCHAR",
            "quantity": "DECIMAL(19,6)",
            "items": "BIGINT",
            "unit_price": "DECIMAL(19,6)",
            "gross": money,
            "net": money,
            "tax": money,
            "rate": "VARCHAR",
        },
        "settlements": {**sale, "mechanism": "VARCHAR", "amount": money},
    }


class Normalization:
    """The SQL for one chain. `digits` is the number of decimal places of its currency. No `vat_rates` means that all are allowed."""

    def __init__(self, digits: int, vat_rates: tuple[str, ...] = ()) -> None:
        self.money = f"DECIMAL(18,{digits})"
        self.unit = f"CAST({10**-digits:.{digits}f} AS {self.money})"
        self.vat_rates = vat_rates
        self._tables = receipt_tables(digits)
        self._digits = digits

    def _round(self, amount: str) -> str:
        return f"CAST({amount} AS {self.money})"

    def _fine(self, *amounts: str) -> str:
        """SQL that tests whether any of the amounts is finer than the currency's minor unit."""
        return " OR ".join(f"coalesce({each} <> {self._round(each)}, false)" for each in amounts)

    @staticmethod
    def each(items: str, name: str, expression: str) -> str:
        """Apply `expression` to each item of a list. `name` is the item's name in the expression."""
        return f"list_transform({items}, lambda {name}: {expression})"

    def sales(self, read: str) -> str:
        """Receipts with their totals as read, and with normalized lines and settlements as the lists `ls` and `ss`.

        `read` is a query with the head's columns, `r` (the body by `BODY_SCHEMA`), `sold_local`, `received_at`,
        and the columns of `tillstream.engine.batches.zone_table`, which give the UTC time.
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
                {self.each("r.lines", "l", self.line())} AS ls,
                {self.each("r.settlements", "s", self.settlement())} AS ss
            FROM ({read}) AS read
        """

    def line(self) -> str:
        """A struct with the normalized line, built from `l`, the line as read."""
        rate = "CAST(100 + l.taxPercentage AS DECIMAL(10,4))"
        gross = f"""CASE WHEN l.settlementAmount IS NOT NULL THEN {self._round("l.settlementAmount")}
            WHEN l.creditAmount IS NULL THEN CAST(0 AS {self.money})
            ELSE {self._round(f"l.creditAmount * coalesce({rate}, 100) * 0.01")} END"""
        return f"""struct_pack(
            category := {_text("l.productCategoryName", "l.productCategoryCode")},
            product := {_text("l.productCode", "l.productDescription")},
            description := {_text("l.productDescription", "l.productCode")},
            quantity := coalesce(l.quantity, 1), items := {self._items()}, unit_price := l.unitPrice,
            gross := {gross},
            net := CASE WHEN l.creditAmount IS NOT NULL THEN {self._round("l.creditAmount")}
                WHEN coalesce(l.taxPercentage, -1) < 0 OR l.settlementAmount IS NULL THEN {gross}
                ELSE {self._net_of_gross(self._round("l.settlementAmount"), rate)} END,
            rate := coalesce(CASE WHEN l.taxPercentage = trunc(l.taxPercentage)
                THEN CAST(CAST(l.taxPercentage AS INTEGER) AS VARCHAR)
                ELSE rtrim(CAST(l.taxPercentage AS VARCHAR), '0') END, '{UNNAMED}'),
            unlisted_rate := {self._unlisted_rate()},
            fine := {self._fine("l.settlementAmount", "l.creditAmount")})"""

    @staticmethod
    def _items() -> str:
        weighed = ", ".join(f"'{unit}'" for unit in WEIGHED_UNITS)
        return f"""CAST(CASE WHEN l.quantity = 1 THEN 1 WHEN lower(trim(l.unitOfMeasure)) IN ({weighed}) OR l.quantity <> trunc(l.quantity)
            OR abs(l.quantity) >= {ITEMS_PER_LINE_LIMIT}
            THEN sign(coalesce(l.quantity, 1)) ELSE coalesce(l.quantity, 1) END AS BIGINT)"""

    def _net_of_gross(self, gross: str, rate: str) -> str:
        """Gross · 100 / (100 + rate), rounded half-up to the minor unit."""
        # This uses integers, because DuckDB divides decimals as binary floats.
        parts, divisor = f"CAST(abs({gross}) * {10**self._digits} AS HUGEINT)", f"CAST({rate} * 10000 AS HUGEINT)"
        return f"""CAST(sign({gross}) * (({parts} * 2000000 + {divisor}) // (2 * {divisor})) * {self.unit}
            AS {self.money})"""

    def settlement(self) -> str:
        """A struct with the normalized settlement, built from `s`, the settlement as read."""
        return f"""struct_pack(mechanism := {_text("s.paymentMechanism")},
            amount := {self._round("coalesce(s.settlementAmount, 0)")}, fine := {self._fine("s.settlementAmount")})"""

    def receipts(self, sale: str, applied_at: str) -> str:
        """A query for receipts with the columns of the `receipts` table, plus `ls`, `ss`, `rest_gross` and `rest_net`.

        The rest is the part of the total that the lines do not cover. `sale` is the query made by `sales`.
        `applied_at` is an expression, null if unknown.
        """
        # Every level names its columns instead of `*`: query planning takes most of the time of a small batch.
        sums = {
            "lines_gross": f"coalesce(list_sum({self.each('ls', 'l', 'l.gross')}), 0)",
            "lines_net": f"coalesce(list_sum({self.each('ls', 'l', 'l.net')}), 0)",
            "items": f"CAST(coalesce(list_sum({self.each('ls', 'l', 'l.items')}), 0) AS BIGINT)",
            "line_count": "CAST(coalesce(len(ls), 0) AS BIGINT)",
            "paid": f"list_sum({self.each('ss', 's', 's.amount')})",
            "fine": f"""coalesce(list_bool_or({self.each("ls", "l", "l.fine")}), false)
                OR coalesce(list_bool_or({self.each("ss", "s", "s.fine")}), false)
                OR {self._fine("gross_read", "net_read", "tax_read")}""",
            "unlisted_rate": self._any_unlisted_rate(),
        }
        columns = "place, day, store, till, sold_local, key, receipt, sold_at, received_at, source"
        return f"""
            WITH summed AS (
                SELECT {columns}, simulated, notes, net_read, tax_read, ls, ss, {self._round("gross_read")} AS gross,
                    {", ".join(f"{expression} AS {name}" for name, expression in sums.items())}
                FROM ({sale}) AS sale),
            netted AS (
                SELECT {columns}, simulated, notes, ls, ss, gross, lines_gross, lines_net, items, line_count, paid, fine,
                    unlisted_rate, tax_read,
                    CAST(CASE WHEN net_read IS NOT NULL THEN {self._round("net_read")}
                        WHEN tax_read IS NOT NULL THEN gross - {self._round("tax_read")}
                        ELSE gross - lines_gross + lines_net END AS {self.money}) AS net
                FROM summed)
            SELECT {columns}, {applied_at} AS applied_at, gross, net, CAST({self._tax()} AS {self.money}) AS tax,
                items, line_count, {self._anomalies()} AS anomalies,
                {bucket(self._delay_ms("received_at", applied_at))} AS ingest_bucket,
                {bucket(self._delay_ms("sold_at", "received_at"))} AS till_bucket,
                CAST(gross - lines_gross AS {self.money}) AS rest_gross,
                CAST(net - lines_net AS {self.money}) AS rest_net, ls, ss
            FROM netted
        """

    def _tax(self) -> str:
        return f"CASE WHEN tax_read IS NOT NULL THEN {self._round('tax_read')} ELSE gross - net END"

    def _any_unlisted_rate(self) -> str:
        if not self.vat_rates:
            return "false"
        return f"coalesce(list_bool_or({self.each('ls', 'l', 'l.unlisted_rate')}), false)"

    def receipt_rows(self) -> str:
        """Rows of the table `receipts`, from the temporary table `receipt` made by `receipts`."""
        columns = self.columns("receipts").replace("anomalous", "CAST(anomalies <> '' AS BIGINT) AS anomalous")
        return f"SELECT {columns} FROM receipt"

    def lines(self) -> str:
        """Rows of the table `lines`: the lines of `receipt`, and a row for the rest that they do not cover."""
        sale = "place, day, store, till, sold_local"
        return f"""
            SELECT {sale}, line, CAST(1 AS BIGINT) AS is_line, l.category, l.product, l.description,
                l.quantity, l.items, l.unit_price, l.gross, l.net, CAST(l.gross - l.net AS {self.money}) AS tax, l.rate
            FROM (SELECT {sale}, unnest(ls) AS l, CAST(generate_subscripts(ls, 1) AS BIGINT) AS line FROM receipt)
            UNION ALL
            SELECT {sale}, CAST(0 AS BIGINT), CAST(0 AS BIGINT), '{UNALLOCATED}', '{UNALLOCATED}', '{UNALLOCATED}',
                CAST(0 AS {AMOUNT}), CAST(0 AS BIGINT), CAST(NULL AS {AMOUNT}), rest_gross, rest_net,
                CAST(rest_gross - rest_net AS {self.money}), '{UNALLOCATED}'
            FROM receipt WHERE rest_gross <> 0 OR rest_net <> 0
        """

    def settlements(self) -> str:
        """Rows of the table `settlements`."""
        return """SELECT place, day, store, till, sold_local, s.mechanism, s.amount
            FROM (SELECT place, day, store, till, sold_local, unnest(ss) AS s FROM receipt)"""

    def _unlisted_rate(self) -> str:
        if not self.vat_rates:
            return "false"
        rates = ", ".join(f"CAST('{rate}' AS DECIMAL(9,4))" for rate in self.vat_rates)
        return f"coalesce(l.taxPercentage NOT IN ({rates}), false)"

    def _anomalies(self) -> str:
        """Names of the receipt's anomalies, comma-separated."""
        found = {
            "lines_total": f"line_count > 0 AND abs(gross - lines_gross) > line_count * {self.unit}",
            "tax_total": f"abs(net + {self._tax()} - gross) > greatest(line_count, 1) * {self.unit}",
            "settlements_short": "gross >= 0 AND paid < gross OR gross < 0 AND paid > gross",
            "finer_amount": "fine",
            "clock_ahead": f"NOT simulated AND sold_at > received_at + INTERVAL {CLOCK_AHEAD_MINUTES} MINUTE",
            "clock_ahead_a_day": "NOT simulated AND notes LIKE '%clock_ahead_a_day%'",
            "vat_rate": "unlisted_rate",
        }
        named = ", ".join(f"CASE WHEN {test} THEN '{name}' END" for name, test in found.items())
        return f"concat_ws(',', {named})"

    @staticmethod
    def _delay_ms(start: str, end: str) -> str:
        return f"CASE WHEN NOT simulated THEN date_diff('microsecond', {start}, {end}) / 1000.0 END"

    def columns(self, table: str) -> str:
        """Columns of a table, for a SELECT list."""
        return ", ".join(self._tables[table])
