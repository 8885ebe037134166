"""The service: one message a request, stored once, with the one contact that it is from."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import psycopg
from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from pydantic import BaseModel, Field, StringConstraints
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from contacts_schema.webhook import find_or_create

# The provider's id makes a message that is delivered twice one message.
STORE = """
INSERT INTO messages (workspace_id, contact_id, provider_id, body) VALUES (%s, %s, %s, %s)
ON CONFLICT (workspace_id, provider_id) DO NOTHING RETURNING id
"""
EARLIER = "SELECT contact_id FROM messages WHERE workspace_id = %s AND provider_id = %s"
OPEN_SECONDS = 15
SECONDS = Histogram("webhook_seconds", "Time to answer a webhook", ["status"])
AGAIN = AsyncRetrying(
    retry=retry_if_exception_type((psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected)),
    wait=wait_random_exponential(0.05),
    stop=stop_after_attempt(5),
    reraise=True,
)

logger = logging.getLogger(__name__)
router = APIRouter()

# PostgreSQL's text holds every character but this one.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]


class Message(BaseModel):
    """What a provider sends."""

    workspace_id: UUID
    provider_id: Annotated[Text, Field(min_length=1, max_length=200)]
    phone: Annotated[Text, Field(max_length=40)] | None = None
    name: Annotated[Text, Field(max_length=200)] | None = None
    body: Annotated[Text, Field(max_length=10_000)] = ""


class Stored(BaseModel):
    """The answer: `stored` is false for a message that was there already."""

    contact_id: int
    stored: bool


@router.post("/webhooks/messages")
async def receive(message: Message, request: Request) -> Stored:
    """Store a message. Answers 404 for a workspace that is not there."""
    try:
        return await AGAIN(_store, request.app.state.pool, message)
    except psycopg.errors.ForeignKeyViolation as error:
        if error.diag.constraint_name != "contacts_workspace_id_fkey":  # of schema.sql
            raise
        raise HTTPException(404, "no such workspace") from None


@router.get("/metrics")
def measured() -> Response:
    """What Prometheus asks for: durations of requests, and what contacts_schema.webhook counts."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def refused(_: Request, error: Exception) -> JSONResponse:
    """Say what is wrong with a request without repeating it: it may hold a phone number, or what is no text at all."""
    assert isinstance(error, RequestValidationError)
    return JSONResponse({"detail": [{"loc": list(each["loc"]), "msg": each["msg"]} for each in error.errors()]}, 422)


async def unavailable(_: Request, error: Exception) -> JSONResponse:
    """Let the provider deliver again. The error may hold a phone number: its kind is enough."""
    logger.warning("the database does not answer: %s", type(error).__name__)
    return JSONResponse({"detail": "try again"}, 503)


async def timed(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
    """Measure every request but Prometheus's own."""
    if request.url.path == "/metrics":
        return await go_on(request)
    start, status = time.perf_counter(), 500
    try:
        response = await go_on(request)
        status = response.status_code
        return response
    finally:
        SECONDS.labels(status).observe(time.perf_counter() - start)


def service(url: str) -> FastAPI:
    """Return the service for the database at `url`."""

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        check = AsyncConnectionPool.check_connection
        async with AsyncConnectionPool(url, min_size=2, max_size=8, timeout=10, check=check, open=False) as app.state.pool:
            await app.state.pool.wait(OPEN_SECONDS)
            yield

    metrics.set_meter_provider(MeterProvider([PrometheusMetricReader()]))
    handlers: dict[int | type[Exception], Any] = {
        RequestValidationError: refused,
        psycopg.OperationalError: unavailable,
        PoolTimeout: unavailable,
    }
    app = FastAPI(title="Webhooks", lifespan=opened, exception_handlers=handlers)
    app.middleware("http")(timed)
    app.include_router(router)
    return app


async def _store(pool: AsyncConnectionPool[Any], message: Message) -> Stored:
    """One transaction: the contact and its message, or neither."""
    async with pool.connection() as connection:
        contact = await find_or_create(connection, message.workspace_id, message.phone, name=message.name)
        values = (message.workspace_id, contact.id, message.provider_id, message.body)
        rows = await connection.execute(STORE, values)
        if await rows.fetchone():
            return Stored(contact_id=contact.id, stored=True)
        # Delivered before: a contact that was created for it now is not wanted.
        await connection.rollback()
        rows = await connection.execute(EARLIER, (message.workspace_id, message.provider_id))
        [(contact_id,)] = await rows.fetchall()
        return Stored(contact_id=contact_id, stored=False)
