"""The receipt model and the tables of both comparison services."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from hashlib import blake2b

from pydantic import BaseModel


class Line(BaseModel):
    lineNumber: int  # noqa: N815 - the field names of the JSON format
    productCode: str  # noqa: N815
    productDescription: str  # noqa: N815
    productCategoryName: str  # noqa: N815
    quantity: Decimal
    unitPrice: Decimal  # noqa: N815
    creditAmount: Decimal  # noqa: N815
    settlementAmount: Decimal  # noqa: N815
    taxPercentage: Decimal  # noqa: N815


class Total(BaseModel):
    grossTotal: Decimal  # noqa: N815
    netTotal: Decimal  # noqa: N815
    taxPayable: Decimal  # noqa: N815


class Receipt(BaseModel):
    cashReceiptID: str
    storeID: str  # noqa: N815
    terminalID: str  # noqa: N815
    date: datetime
    lines: list[Line]
    documentTotal: Total  # noqa: N815

    @property
    def key(self) -> str:
        """The identity of the receipt. A receipt that is sent twice is stored once."""
        parts = (self.storeID, self.terminalID, self.cashReceiptID, self.date.isoformat())
        return blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


class Accepted(BaseModel):
    accepted: int
    receiptKey: str  # noqa: N815


SCHEMA = """
CREATE TABLE IF NOT EXISTS receipts (
    key text PRIMARY KEY, store text NOT NULL, till text NOT NULL, receipt text NOT NULL, sold timestamp NOT NULL,
    gross numeric(18, 2) NOT NULL, net numeric(18, 2) NOT NULL, tax numeric(18, 2) NOT NULL,
    received timestamptz NOT NULL DEFAULT now());
CREATE TABLE IF NOT EXISTS lines (
    receipt_key text NOT NULL REFERENCES receipts, line integer NOT NULL, product text NOT NULL,
    description text NOT NULL, category text NOT NULL, quantity numeric(18, 6) NOT NULL,
    unit_price numeric(18, 6) NOT NULL, gross numeric(18, 2) NOT NULL, net numeric(18, 2) NOT NULL,
    rate numeric(9, 4) NOT NULL, PRIMARY KEY (receipt_key, line));
"""
