import psycopg

from contacts_schema import errors
from contacts_schema.retry import is_locked


def test_a_refusal_lists_every_reason_with_its_way_on() -> None:
    reasons = [
        errors.Reason(problem='table "public.contacts" has no primary key', way_on="add one", code="no_key"),
        errors.Reason(problem='column "fone" does not exist', way_on='did you mean "phone"?', code="no_column"),
    ]
    assert str(errors.Refused(reasons)) == (
        "refused before the first change, for 2 reasons:\n"
        '  1. table "public.contacts" has no primary key\n'
        "     -> add one\n"
        '  2. column "fone" does not exist\n'
        '     -> did you mean "phone"?'
    )


def test_a_lock_names_its_holders() -> None:
    error = errors.LockNotAcquired('table "public.contacts"', 100, ["pid 7 (psql, idle in transaction)"])
    assert str(error) == (
        'no lock on table "public.contacts" after 100 attempts; held by pid 7 (psql, idle in transaction); '
        "end what holds it or raise lock_attempts, then run the same command again"
    )


def test_another_run() -> None:
    assert str(errors.AnotherRunInProgress(42)) == (
        "another run is going on in this database (backend 42); wait for its end, then run the same command again"
    )


def test_a_failed_batch_names_table_constraint_and_sqlstate() -> None:
    error = errors.MergeFailed("23514", "notes", "one_note")
    assert isinstance(error, errors.StatementFailed)
    assert error.sqlstate == "23514"
    assert str(error) == (
        'a batch of the merge failed on table "notes", constraint "one_note" (SQLSTATE 23514); '
        "it was rolled back and the data is consistent; remove the cause, then run the same command again"
    )


def test_a_failed_statement_with_nothing_known() -> None:
    assert str(errors.StatementFailed(None)) == (
        "the server refused a statement (SQLSTATE unknown); look it up in the server's log"
    )
    assert str(errors.StatementFailed("57014", table="contacts")) == (
        'the server refused a statement on table "contacts" (SQLSTATE 57014); look it up in the server\'s log'
    )


def test_the_docstring_is_the_default_message() -> None:
    assert str(errors.Interrupted()) == (
        "interrupted; the data is consistent; run the same command again to go on; after an upgrade new duplicates stay "
        "rejected until it has ended or is taken back"
    )
    assert str(errors.OfflineUnavailable()) == (
        "a downgrade is rendered from what the archive holds: set DATABASE_URL, so that it can be looked at"
    )
    assert str(errors.TransactionOpen()) == (
        "the connection given to Alembic is inside a transaction of its caller, and this operation commits "
        "as it goes; in env.py use context.configure(..., transaction_per_migration=True), and before it "
        "neither begin a transaction nor query on the connection"
    )


def test_what_looks_like_a_phone_number_is_masked() -> None:
    assert errors.shown("+49 (170) 123-45-67 and 12:30") == '"... and 12:30"'
    assert errors.shown("a\nb") == '"a b"'
    assert errors.shown("x" * 81) == f'"{"x" * 80}..."'


def test_ctrl_c_is_no_lock_to_wait_for_though_leaving_meets_one() -> None:
    """The driver gives the error of the statement that was cut short, if it has one, instead of the interruption."""
    cut_short = psycopg.errors.LockNotAvailable()
    cut_short.__context__ = KeyboardInterrupt()

    assert not is_locked(cut_short)
    assert errors.began_with_ctrl_c(cut_short)
    assert is_locked(psycopg.errors.LockNotAvailable())
