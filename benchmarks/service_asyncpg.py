"""A tuned service: FastAPI, a connection pool of asyncpg, and one transaction of two statements per receipt."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI

from benchmarks.receipt_model import SCHEMA, Accepted, Receipt

POOL = int(os.environ.get("POOL", "50"))

INSERT_RECEIPT = """
INSERT INTO receipts (key, store, till, receipt, sold, gross, net, tax) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING RETURNING key"""
INSERT_LINES = """
INSERT INTO lines SELECT $1, * FROM unnest(
    $2::int[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::numeric[], $8::numeric[], $9::numeric[],
    $10::numeric[])"""


class State:
    pool: asyncpg.Pool


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=POOL, max_size=POOL) as pool:
        await pool.execute(SCHEMA)
        State.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "live"}


@app.post("/receipt", status_code=202)
async def post_receipt(receipt: Receipt) -> Accepted:
    key, total, lines = receipt.key, receipt.documentTotal, receipt.lines
    async with State.pool.acquire() as connection, connection.transaction():
        added = await connection.fetchval(
            INSERT_RECEIPT,
            key,
            receipt.storeID,
            receipt.terminalID,
            receipt.cashReceiptID,
            receipt.date,
            total.grossTotal,
            total.netTotal,
            total.taxPayable,
        )
        if added is not None:
            await connection.execute(
                INSERT_LINES,
                key,
                [line.lineNumber for line in lines],
                [line.productCode for line in lines],
                [line.productDescription for line in lines],
                [line.productCategoryName for line in lines],
                [line.quantity for line in lines],
                [line.unitPrice for line in lines],
                [line.settlementAmount for line in lines],
                [line.creditAmount for line in lines],
                [line.taxPercentage for line in lines],
            )
    return Accepted(accepted=1, receiptKey=key)
