"""A service as in the guides of FastAPI and SQLAlchemy: one session per request, and one commit per receipt."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy import ForeignKey, Numeric, create_engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from benchmarks.receipt_model import SCHEMA, Accepted, Receipt

engine = create_engine("postgresql+psycopg" + os.environ["DATABASE_URL"].removeprefix("postgresql"))
with engine.begin() as connection:
    connection.execute(text(SCHEMA))

app = FastAPI()


class Base(DeclarativeBase):
    """The tables of `SCHEMA`."""


class ReceiptRow(Base):
    __tablename__ = "receipts"
    key: Mapped[str] = mapped_column(primary_key=True)
    store: Mapped[str]
    till: Mapped[str]
    receipt: Mapped[str]
    sold: Mapped[datetime]
    gross: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    net: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    tax: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    lines: Mapped[list[LineRow]] = relationship()


class LineRow(Base):
    __tablename__ = "lines"
    receipt_key: Mapped[str] = mapped_column(ForeignKey("receipts.key"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True)
    product: Mapped[str]
    description: Mapped[str]
    category: Mapped[str]
    quantity: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    unit_price: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    gross: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    net: Mapped[Decimal] = mapped_column(Numeric(18, 2))
    rate: Mapped[Decimal] = mapped_column(Numeric(9, 4))


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "live"}


@app.post("/receipt", status_code=202)
def post_receipt(receipt: Receipt, session: Annotated[Session, Depends(get_session)]) -> Accepted:
    total = receipt.documentTotal
    row = ReceiptRow(
        key=receipt.key,
        store=receipt.storeID,
        till=receipt.terminalID,
        receipt=receipt.cashReceiptID,
        sold=receipt.date,
        gross=total.grossTotal,
        net=total.netTotal,
        tax=total.taxPayable,
        lines=[
            LineRow(
                line=line.lineNumber,
                product=line.productCode,
                description=line.productDescription,
                category=line.productCategoryName,
                quantity=line.quantity,
                unit_price=line.unitPrice,
                gross=line.settlementAmount,
                net=line.creditAmount,
                rate=line.taxPercentage,
            )
            for line in receipt.lines
        ],
    )
    session.add(row)
    try:
        session.commit()
    except IntegrityError:
        # The receipt is already stored.
        session.rollback()
    return Accepted(accepted=1, receiptKey=receipt.key)
