"""The table of failures: every row of spec/storage.md 4 has its reaction, and refusals are diagnosed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extension.sinks import sas
from extension.sinks.base import SinkError
from extension.sinks.errors import Outcome, classify
from extension.sinks.refusals import Credential
from extension.sinks.rules import REQUEST_CODES, ROW_CODES, RULES, find_rule

NOW = 1795252675.0
DATE = "Sat, 21 Nov 2026 09:17:55 GMT"
KEY = Credential("acct")


def judge(credential: Credential = KEY, now: float = NOW, **outcome: Any) -> SinkError:
    return classify(
        Outcome(**outcome), endpoint="https://e", table="Tab", credential=credential, now=now, secrets=("S3CRET",)
    )


REACTIONS: list[tuple[dict[str, Any], str, bool]] = [
    ({"kind": "refused"}, "retry", True),
    ({"kind": "dns"}, "retry", True),
    ({"kind": "unreachable"}, "retry", True),
    ({"kind": "tls"}, "retry", True),
    ({"kind": "proxy"}, "retry", True),
    ({"kind": "connect-timeout"}, "retry", True),
    ({"kind": "reset"}, "retry", True),
    ({"kind": "read-timeout"}, "retry", True),
    ({"kind": "truncated"}, "retry", True),
    ({"kind": "bad-answer"}, "retry", True),
    ({"kind": "unknown"}, "retry", True),
    ({"kind": "something new"}, "retry", True),
    ({"kind": "bad-key"}, "slow", True),
    ({"status": 200}, "retry", True),
    ({"status": 302}, "retry", True),
    ({"status": 500, "code": "OperationTimedOut"}, "retry", True),
    ({"status": 500, "code": "InternalError"}, "retry", True),
    ({"status": 502}, "retry", True),
    ({"status": 503, "code": "ServerBusy"}, "retry", True),
    ({"status": 504}, "retry", True),
    ({"status": 599}, "retry", True),
    ({"status": 501}, "slow", True),
    ({"status": 408}, "retry", True),
    ({"status": 429}, "retry", True),
    ({"status": 404, "code": "TableNotFound"}, "retry", False),
    ({"status": 404, "code": "ResourceNotFound"}, "retry", False),
    ({"status": 404, "code": "ResourceNotFound", "operation": "create"}, "slow", True),
    ({"status": 404}, "slow", True),
    ({"status": 409, "code": "TableBeingDeleted"}, "slow", False),
    ({"status": 409, "code": "EntityAlreadyExists", "rows": 3, "row": 1}, "drop-row", False),
    ({"status": 409, "code": "AccountBeingCreated"}, "slow", True),
    ({"status": 409}, "retry", False),
    ({"status": 412, "code": "ConditionNotMet"}, "retry", False),
    ({"kind": "oversize", "rows": 2}, "split", False),
    ({"kind": "oversize", "rows": 1}, "drop-row", False),
    ({"status": 409, "code": "AccountIsDisabled"}, "slow", True),
    ({"status": 403, "code": "AccountIsDisabled"}, "slow", True),
    ({"status": 401, "code": "NoAuthenticationInformation"}, "slow", True),
    ({"status": 403, "code": "AuthenticationFailed"}, "slow", True),
    ({"status": 407}, "slow", True),
    ({"status": 405}, "slow", True),
    ({"status": 413, "code": "RequestBodyTooLarge", "rows": 2}, "split", False),
    ({"status": 413, "rows": 2}, "split", False),
    ({"status": 413, "rows": 1}, "drop-row", False),
    ({"status": 400, "code": "CommandsInBatchActOnDifferentPartitions", "rows": 2}, "split", False),
    ({"status": 400, "code": "InvalidResourceName"}, "drop-batch", False),
    ({"status": 400, "code": "InvalidOperation"}, "slow", True),
    ({"status": 400, "code": "SomethingNew", "rows": 9, "row": 3}, "drop-row", False),
    ({"status": 400, "code": "SomethingNew", "rows": 9}, "split", False),
    ({"status": 400}, "slow", True),
    ({"status": 301}, "retry", True),
    ({"status": 307}, "retry", True),
    ({"status": 401}, "slow", True),
    ({"status": 404, "code": "EntityNotFound"}, "drop-batch", False),
    ({"status": 400, "code": "RequestBodyTooLarge", "rows": 2}, "split", False),
    ({"status": 400, "code": "AuthenticationFailed"}, "slow", True),
    ({"status": 400, "code": "InvalidAuthenticationInfo"}, "slow", True),
    ({"status": 400, "code": "OutOfRangeInput", "rows": 2, "row": 1}, "drop-row", False),
    ({"status": 400, "code": "InvalidHeaderValue"}, "slow", True),
    ({"status": 503, "code": "OperationTimedOut"}, "retry", True),
]
"""(what happened, reaction, whether the whole endpoint is concerned)"""


@pytest.mark.parametrize(("outcome", "reaction", "connection"), REACTIONS)
def test_reactions(outcome: dict[str, Any], reaction: str, connection: bool) -> None:
    error = judge(**outcome)
    assert (error.reaction, error.connection) == (reaction, connection)
    assert error.code
    assert "https://e" in error.message
    assert "Tab" in error.message


def test_every_row_of_the_table_is_reached() -> None:
    """A row that no case above reaches is one that a row before it hides, or one that nothing tests."""
    reached = {id(find_rule(Outcome(**outcome))) for outcome, _, _ in REACTIONS}
    assert [rule for rule in RULES if id(rule) not in reached] == []


@pytest.mark.parametrize("code", ROW_CODES)
def test_a_blamed_row_is_dropped_and_an_unblamed_one_is_searched(code: str) -> None:
    blamed = judge(status=400, code=code, rows=100, row=42)
    assert (blamed.reaction, blamed.row, blamed.code) == ("drop-row", 42, code)
    assert judge(status=400, code=code, rows=100).reaction == "split"
    alone = judge(status=400, code=code, rows=1)
    assert (alone.reaction, alone.row) == ("drop-row", 0)
    assert judge(status=400, code=code, rows=10, row=10).reaction == "split"


@pytest.mark.parametrize("code", REQUEST_CODES)
def test_a_misunderstood_request_keeps_the_rows(code: str) -> None:
    assert judge(status=400, code=code, rows=3, row=0).reaction == "slow"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("99999", 3600.0),
        ("Sat, 21 Nov 2026 09:18:25 GMT", 30.0),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("٣", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    error = judge(status=503, code="ServerBusy", retry_after=header, date=DATE, now=NOW + 5000)
    assert error.retry_after == seconds


def test_a_table_in_deletion_is_waited_for() -> None:
    error = judge(status=409, code="TableBeingDeleted")
    assert error.retry_after is not None
    assert 30 <= error.retry_after <= 60


@pytest.mark.parametrize(
    ("skew", "words"), [(16 * 60, "16 minutes ahead of"), (-7200, "120 minutes behind"), (86400, "24 hours ahead")]
)
def test_a_wrong_clock_is_named(skew: float, words: str) -> None:
    error = judge(status=403, code="AuthenticationFailed", date=DATE, now=NOW + skew)
    assert error.cause == "clock-skew"
    assert words in error.message


@pytest.mark.parametrize("skew", [-899, 0, 899])
def test_a_right_clock_is_not(skew: float) -> None:
    error = judge(status=403, code="AuthenticationFailed", date=DATE, now=NOW + skew)
    assert error.cause == "wrong-key"
    assert "storageAccountKey" in error.message


def token(text: str, https: bool = True) -> Credential:
    return Credential("acct", sas.parse(text), https)


GOOD = "ss=t&srt=co&sp=acluw&spr=https&se=2031-01-01&sig=x"


@pytest.mark.parametrize(
    ("credential", "code", "cause", "words"),
    [
        (
            token("ss=t&srt=co&sp=acluw&se=2026-11-21T09:00:00Z"),
            "AuthenticationFailed",
            "sas-expired",
            "2026-11-21T09:00:00Z",
        ),
        (token("ss=t&srt=co&sp=acluw&se=2026-11-21T09:00:00Z"), "AuthorizationFailure", "sas-expired", "expired"),
        (
            token("ss=t&srt=co&sp=acluw&st=2026-11-21T10:00Z&se=2031-01-01"),
            "AuthenticationFailed",
            "sas-not-yet-valid",
            "st",
        ),
        (token("ss=t&srt=co&sp=rl&se=2031-01-01"), "AuthorizationPermissionMismatch", "sas-permission", "add (a)"),
        (token("ss=b&srt=co&sp=acluw&se=2031-01-01"), "AuthorizationServiceMismatch", "sas-permission", "ss=t"),
        (token("ss=t&srt=c&sp=acluw&se=2031-01-01"), "AuthorizationResourceTypeMismatch", "sas-permission", "srt=o"),
        (token(GOOD, https=False), "AuthorizationProtocolMismatch", "sas-protocol", "https"),
        (token(GOOD), "AuthorizationPermissionMismatch", "sas-permission", "sp=acluw"),
        (token(GOOD), "AuthorizationSourceIPMismatch", "source-address", "sip"),
        (token(GOOD), "AuthenticationFailed", "wrong-signature", "signature"),
        (token(GOOD), "AuthorizationFailure", "not-authorized", "network rules"),
        (KEY, "AuthorizationFailure", "not-authorized", "network rules"),
        (KEY, "KeyBasedAuthenticationNotPermitted", "key-disabled", "shared key access"),
        (KEY, "InsufficientAccountPermissions", "account-permission", "permit"),
        (KEY, "", "not-the-service", "proxy"),
    ],
)
def test_refusals_are_diagnosed(credential: Credential, code: str, cause: str, words: str) -> None:
    error = judge(credential, status=403, code=code, date=DATE)
    assert (error.reaction, error.cause) == ("slow", cause)
    assert words in error.message


def test_sas_dates_are_read_by_the_services_clock() -> None:
    credential = token("ss=t&srt=co&sp=acluw&se=2026-11-21T09:00:00Z")
    assert judge(credential, status=403, code="AuthenticationFailed", date=DATE, now=0.0).cause == "sas-expired"
    assert judge(credential, status=403, code="AuthenticationFailed", now=0.0).cause == "wrong-signature"


def test_missing_permission_of_the_failed_operation_is_named() -> None:
    credential = token("ss=t&srt=co&sp=au&se=2031-01-01")
    error = judge(credential, status=403, code="AuthorizationPermissionMismatch", operation="create")
    assert "create (c)" in error.message


def test_messages_are_one_line_without_secrets() -> None:
    error = judge(kind="reset", detail="broke\nat https://h/?sig=S3CRET and S3CRET " + "x" * 5000)
    assert "S3CRET" not in error.message
    assert "\n" not in error.message
    assert len(error.message) <= 700
    assert str(error) == error.message


@given(
    st.builds(
        Outcome,
        kind=st.sampled_from(["http", "refused", "reset", "truncated", "?"]),
        status=st.one_of(st.none(), st.integers(0, 999)),
        code=st.one_of(
            st.just(""),
            st.sampled_from([*ROW_CODES, *REQUEST_CODES, "ServerBusy", "TableNotFound"]),
            st.text(max_size=9),
        ),
        detail=st.text(),
        row=st.one_of(st.none(), st.integers(-5, 200)),
        rows=st.integers(1, 100),
        retry_after=st.text(max_size=40),
        date=st.text(max_size=40),
    )
)
def test_every_outcome_has_a_reaction_that_makes_progress(outcome: Outcome) -> None:
    error = classify(outcome, endpoint="https://e", table="Tab", credential=KEY, now=NOW)
    assert error.reaction in ("retry", "slow", "split", "drop-row", "drop-batch")
    if error.reaction == "drop-row":
        assert error.row is not None
        assert 0 <= error.row < outcome.rows
    if error.reaction == "split":
        assert outcome.rows > 1
    assert error.message.isprintable()


@pytest.mark.parametrize(
    ("operation", "words"),
    [("upsert", "add (a) and update (u) on objects (srt=o)"), ("create", "create (c) or write (w) on containers")],
)
@pytest.mark.parametrize("code", ["AuthorizationPermissionMismatch", "AuthorizationResourceTypeMismatch"])
@pytest.mark.parametrize("text", [GOOD, "si=readers&tn=Tab&sig=x", "sv=2019-02-02&ss=t&srt=co&si=readers&sig=x"])
def test_the_permission_is_named_though_the_token_does_not_show_it(
    text: str, code: str, operation: sas.Operation, words: str
) -> None:
    """A stored access policy keeps its permissions at the service; and the service may know better than the token."""
    if operation == "create" and "tn=" in text:
        words = "SAS of one table cannot create"
    error = judge(token(text), status=403, code=code, operation=operation)
    assert (error.reaction, error.cause) == ("slow", "sas-permission")
    assert words in error.message


def test_a_slow_request_is_not_called_throttling() -> None:
    assert judge(status=408).code == "RequestTimeout"
    assert judge(status=429).code == "TooManyRequests"


def test_a_row_that_is_too_large_alone_is_not_said_to_be_halved() -> None:
    assert "halves" not in judge(status=413, rows=1).message
    assert "halves" in judge(status=413, rows=2).message


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        ("query", "permission read (r); make a new one with sp=racluw, ss=t, srt=co"),
        ("block", "service blob (ss=b); make a new one with sp=acluw, ss=bt, srt=co"),
        ("blocks", "sp=racluw, ss=bt, srt=co"),
        ("create", "sp=acluw, ss=t, srt=co"),
    ],
)
def test_the_cure_is_enough_for_what_failed(operation: sas.Operation, words: str) -> None:
    """LAD's own SAS (sp=acluw, ss=t) can neither be read back with nor write blobs."""
    held = "ss=t&srt=co&sp=au&sig=x" if operation == "create" else "ss=t&srt=co&sp=acluw&sig=x"
    error = judge(token(held), status=403, code="AuthorizationPermissionMismatch", operation=operation)
    assert words in error.message


@pytest.mark.parametrize(
    ("text", "operation", "code", "whole"),
    [
        ("ss=t&srt=o&sp=au&sig=x", "create", "AuthorizationFailure", False),
        ("ss=t&srt=o&sp=au&sig=x", "container", "AuthorizationFailure", False),
        ("ss=t&srt=co&sp=c&sig=x", "upsert", "AuthorizationFailure", True),
        ("tn=other&sp=au&sig=x", "upsert", "AuthenticationFailed", False),
        ("tn=tab&sp=au&sig=x", "upsert", "AuthenticationFailed", True),
        (GOOD, "create", "AuthenticationFailed", True),
        ("ss=t&srt=o&sp=au&se=2001-01-01&sig=x", "create", "AuthenticationFailed", True),
    ],
)
def test_a_permission_that_only_some_tables_need_is_not_about_all(
    text: str, operation: sas.Operation, code: str, whole: bool
) -> None:
    """Tables that exist take rows though the next one cannot be created."""
    error = judge(token(text), status=403, code=code, operation=operation, date=DATE)
    assert (error.reaction, error.connection) == ("slow", whole)


@pytest.mark.parametrize(
    ("outage", "outcomes"),
    [
        ("host", [{"kind": k} for k in ("refused", "dns", "unreachable", "connect-timeout", "tls", "proxy")]),
        ("host", [{"status": 407}]),
        ("sink", [{"kind": k} for k in ("reset", "read-timeout", "truncated", "bad-answer", "unknown", "?")]),
        ("sink", [{"status": s} for s in (200, 302, 408, 429, 500, 502, 503, 504, 599)]),
        ("", [{"status": s} for s in (400, 401, 403, 404, 409, 412, 413, 501)]),
        ("", [{"kind": "bad-key"}]),
    ],
)
def test_who_else_is_concerned(outage: str, outcomes: list[dict[str, Any]]) -> None:
    assert [judge(**outcome).outage for outcome in outcomes] == [outage] * len(outcomes)
