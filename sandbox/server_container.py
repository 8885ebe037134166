"""A throwaway server in a container, by testcontainers."""

from __future__ import annotations

import gc
import secrets
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.docker_client import DockerClient

from sandbox import memory
from sandbox.server_choice import Choice, ServerUnavailable

__all__ = ["LOCAL_IMAGE", "OFFICIAL_IMAGE", "choose", "start"]

LOCAL_IMAGE: Final = "contacts-schema-postgres:local"  # made by sandbox/image/build
OFFICIAL_IMAGE: Final = "postgres:16-alpine"
PORT: Final = 5432
PLACE: Final = "/var/lib/contacts_schema"
START_SECONDS: Final = 60


def choose(environ: Mapping[str, str]) -> Choice:
    """A container of TEST_IMAGE, the image built here, or the official one. Raises ServerUnavailable."""
    client = _engine()
    try:
        named = environ.get("TEST_IMAGE")
        image = _first_available(client, [named] if named else [LOCAL_IMAGE, OFFICIAL_IMAGE])
    finally:
        client.close()
    return Choice(way="container", target=image, reason=f'a Docker engine answers and has the image "{image}"')


@contextmanager
def start(image: str, settings: Mapping[str, str], *, in_memory: bool) -> Iterator[str]:
    """Run the image, its files `in_memory` where the engine has room, for a `with`; give its superuser's URL."""
    _do_without_missing_reaper()
    container = PostgresContainer(image, username="postgres", password=secrets.token_hex(16), dbname="postgres", driver=None)
    # Parallel index builds need more shared memory than a container's 64 MB.
    container.with_kwargs(shm_size="1g")
    if in_memory and _has_room(container):
        # More is refused, and not taken from other programs.
        container.with_tmpfs_mount(PLACE, f"size={2 * memory.ONE_SERVER}")
        container.with_env("PGDATA", f"{PLACE}/data")
    container.with_env("POSTGRES_INITDB_ARGS", "--encoding=UTF8 --locale=C.UTF-8 --no-sync")
    container.with_command([word for name, value in settings.items() for word in ("-c", f"{name}={value}")])
    host = _loopback(container)
    try:
        _await(container)
        yield container.get_connection_url(host=host)
    finally:
        container.stop()


def _await(container: PostgresContainer) -> None:
    testcontainers_config.max_tries = START_SECONDS  # one try a second
    try:
        container.start()
    except TimeoutError as error:
        log = b"".join(container.get_logs()).decode(errors="replace")
        msg = f'the container of "{container.image}" does not start: {log[-2000:].strip()}'
        raise ServerUnavailable(msg) from error


def _engine() -> docker.DockerClient:
    # docker leaves the socket of a failed connection to the garbage collector: collect it where no one minds.
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        client = _answering_client()
        gc.collect()
    if client is None:
        msg = "no Docker engine answers"
        raise ServerUnavailable(msg)
    return client


def _answering_client() -> docker.DockerClient | None:
    try:
        client = DockerClient().client
        client.ping()
    except DockerException:
        return None
    return client


def _first_available(client: docker.DockerClient, images: list[str]) -> str:
    for image in images:
        if _is_here(client, image):
            return image
    image = images[-1]
    try:
        client.images.pull(testcontainers_config.hub_image_name_prefix + image)
    except APIError as error:
        msg = f'the Docker engine has no image "{image}" and cannot pull it'
        raise ServerUnavailable(msg) from error
    return image


def _is_here(client: docker.DockerClient, image: str) -> bool:
    try:
        client.images.get(testcontainers_config.hub_image_name_prefix + image)
    except ImageNotFound:
        return False
    return True


def _do_without_missing_reaper() -> None:
    """Switch testcontainers' clean-up container off where its image cannot be had: every start would fail."""
    client = _engine()
    try:
        _first_available(client, [testcontainers_config.ryuk_image])
    except ServerUnavailable:
        testcontainers_config.ryuk_disabled = True
    finally:
        client.close()


def _has_room(container: PostgresContainer) -> bool:
    """Half of the memory that the engine's machine has is a file system's by default."""
    return memory.for_everybody(int(container.get_docker_client().client.info()["MemTotal"]) // 2)


def _loopback(container: PostgresContainer) -> str | None:
    """Publish the port on the loopback address only, where that is how the container will be reached."""
    docker_client = container.get_docker_client()
    direct = docker_client.get_connection_mode() is ConnectionMode.docker_host
    if not direct or docker_client.host() not in {"localhost", "127.0.0.1"}:
        return None
    container.ports = {str(PORT): ("127.0.0.1", None)}  # type: ignore[dict-item]  # docker takes it, the hint is narrower
    return "127.0.0.1"
