from collections.abc import Mapping
from urllib.parse import quote

import psycopg.conninfo
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects.postgresql import psycopg as dialect

from contacts_schema.errors import UrlError
from contacts_schema.url import database_url, driver_url

SECRET = "s3cret"
FORM = "postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


def connection_parameters(text: str) -> Mapping[str, object]:
    _, parameters = dialect.dialect().create_connect_args(driver_url(text))
    return psycopg.conninfo.conninfo_to_dict(psycopg.conninfo.make_conninfo(**parameters))


def complaint(text: str) -> str:
    try:
        driver_url(text)
    except UrlError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_three_schemes(scheme: str) -> None:
    url = driver_url(f"{scheme}://me:{SECRET}@db.example.com:6543/crm?sslmode=require")
    assert url.drivername == "postgresql+psycopg"
    assert (url.username, url.password, url.host, url.port, url.database) == (
        "me",
        SECRET,
        "db.example.com",
        6543,
        "crm",
    )
    assert dict(url.query) == {"sslmode": "require"}


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(texts)
def test_any_encoded_password(password: str) -> None:
    url = driver_url(f"postgresql://me:{quote(password, safe='')}@host:1/crm")
    assert (url.username, url.password, url.host, url.database) == ("me", password, "host", "crm")


@given(st.text(st.sampled_from("aZ0#/@?:%&= +~*!$[]\\\"'|^")).filter(lambda text: quote(text, safe="") != text))
def test_raw_passwords(password: str) -> None:
    encoded = quote(password, safe="") if "%" in password else password
    url = driver_url(f"postgresql://me:{encoded}@host:1/crm?sslmode=require")
    assert (url.username, url.password, url.host, url.database) == ("me", password, "host", "crm")


@pytest.mark.parametrize("password", ["100%", "%", "%zz", "a%2", "p%#/@?:w", "@", "a@b@c", "/?#[]", "%ff"])
def test_raw_passwords_that_only_look_encoded(password: str) -> None:
    assert driver_url(f"postgres://me:{password}@host/crm").password == password


def test_an_at_sign_in_a_parameter() -> None:
    url = driver_url(f"postgres://me:{SECRET}@host/crm?application_name=a@b&sslmode=require")
    assert (url.password, url.host, url.query["application_name"]) == (SECRET, "host", "a@b")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql:///crm", {"dbname": "crm"}),
        ("postgresql://host/crm", {"host": "host", "dbname": "crm"}),
        ("postgresql://me@host/crm", {"host": "host", "dbname": "crm", "user": "me"}),
        ("postgresql://me@[::1]:5433/crm", {"host": "::1", "port": "5433", "dbname": "crm", "user": "me"}),
        ("postgresql://%2Fvar%2Frun/crm", {"host": "/var/run", "dbname": "crm"}),
        ("postgresql:///crm?host=/var/run", {"host": "/var/run", "dbname": "crm"}),
        ("postgresql://a:1,b:2/crm", {"host": "a,b", "port": "1,2", "dbname": "crm"}),
        ("postgresql://host?dbname=crm", {"host": "host", "dbname": "crm"}),
        (
            "postgresql://host/my%20db?options=-c%20x%3D1",
            {"host": "host", "dbname": "my db", "options": "-c x=1"},
        ),
    ],
)
def test_what_the_client_library_gets(text: str, expected: dict[str, str]) -> None:
    assert connection_parameters(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"me:{SECRET}@host/crm", f"DATABASE_URL is not a URL; write it as {FORM}"),
        (
            f"mysql://me:{SECRET}@host/crm",
            'DATABASE_URL has the scheme "mysql"; use postgres://, postgresql://, postgresql+psycopg://',
        ),
        (
            f"postgresql+asyncpg://me:{SECRET}@host/crm",
            ('DATABASE_URL has the scheme "postgresql+asyncpg"; use postgres://, postgresql://, postgresql+psycopg://'),
        ),
        (
            f"me:{SECRET}://x@host/crm",
            "DATABASE_URL has no known scheme; use postgres://, postgresql://, postgresql+psycopg://",
        ),
        (f"postgres://me:{SECRET}@host", "DATABASE_URL names no database; end it with /DATABASE"),
        (f"postgres://me:{SECRET}@host/", "DATABASE_URL names no database; end it with /DATABASE"),
        (
            f"postgres://me:{SECRET}@host:99999/crm",
            "DATABASE_URL has the port 99999; a port is a number from 1 to 65535",
        ),
        (
            f"postgres://me:{SECRET}@host:{'9' * 5000}/crm",
            "DATABASE_URL has the port 999999999999; a port is a number from 1 to 65535",
        ),
        *(
            (text, "DATABASE_URL has hosts and ports that do not go together; write each port behind its host")
            for text in (
                f"postgres://me:{SECRET}@[::1]:5432,[::2]:5432/crm",
                f"postgres://me:{SECRET}@h1:1,h2:2/crm?port=3",
                f"postgres://me:{SECRET}@h1,h2/crm?port=x",
            )
        ),
        (
            f"postgres://me:{SECRET}@host:port/crm",
            f"DATABASE_URL has no readable host; write it as {FORM}, percent-encoded where needed",
        ),
        (
            f"postgres://me:{SECRET}@host/crm?pgbouncer=true",
            'DATABASE_URL has the parameter "pgbouncer", which PostgreSQL\'s client does not know; remove it',
        ),
    ],
)
def test_a_bad_url_is_told_in_one_line_without_the_password(text: str, message: str) -> None:
    with pytest.raises(UrlError) as error:
        driver_url(text)
    assert str(error.value) == message


@given(
    texts,
    st.sampled_from(["postgres://me:{}@", "{}", "postgres:{}", "x://{}@host/db", "postgres://me:{}@h:x/d"]),
)
def test_no_message_holds_the_password(password: str, form: str) -> None:
    marked = f"{password}{SECRET}{password}"
    assert SECRET not in complaint(form.format(marked))


@pytest.mark.parametrize("environment", [{}, {"DATABASE_URL": ""}, {"DATABASE_URL": "  \n"}])
def test_there_is_no_default_database(environment: dict[str, str]) -> None:
    with pytest.raises(UrlError) as error:
        database_url(environment)
    assert str(error.value) == f"DATABASE_URL is not set; set it to {FORM}"


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://me:a%00b@host/crm",
        "postgresql://me@host/crm%00other",
        "postgresql://me@host/crm?options=%00",
        "postgresql://me:a\0b@host/crm",
    ],
)
def test_a_nul_is_refused_because_libpq_would_end_there(text: str) -> None:
    assert complaint(text) == 'DATABASE_URL holds a NUL character (%00), which nothing in it can; a "%" is written "%25"'


def test_bytes_that_are_not_utf_8() -> None:
    # As os.environ gives them.
    text = b"postgresql://me:\xff@host/crm".decode("utf-8", "surrogateescape")
    assert complaint(text) == "DATABASE_URL holds bytes that are not UTF-8; write it in UTF-8"
