"""The table of failures and their reactions (spec/storage.md 4 and 5, spec/mdsd.md 3.7). Plain data and its lookup."""

from __future__ import annotations

from dataclasses import dataclass

from extension.sinks import sas
from extension.sinks.base import Outage, Reaction

TABLE_BEING_DELETED_WAIT = 40.0
"""Seconds before a table in deletion can be created again: "tens of seconds" (spec/storage.md 1)."""


@dataclass(frozen=True)
class Outcome:
    """One failed attempt as seen from outside.

    ``kind``: ``http`` when an answer was read, else one of the connection kinds of :data:`RULES`;
    ``code``: x-ms-error-code or the code in the body; ``row``: index that the service blamed; ``rows``: size of the
    batch; ``retry_after`` and ``date``: those headers as text; ``detail``: a few words of the original error;
    ``inside``: it stood in the answer to a transaction, so it is the table service that judged these very rows.
    """

    kind: str = "http"
    status: int | None = None
    code: str = ""
    detail: str = ""
    row: int | None = None
    rows: int = 1
    retry_after: str = ""
    date: str = ""
    operation: sas.Operation = "upsert"
    inside: bool = False


@dataclass(frozen=True)
class Rule:
    """One row of the table: ``kinds``, ``statuses``, ``codes`` and ``operations`` must all match, empty matches all.

    ``code`` names failures that have none of their own; ``wait``: seconds to wait when the service names none.
    """

    reaction: Reaction
    says: str
    kinds: frozenset[str] = frozenset({"http"})
    statuses: frozenset[int] = frozenset()
    codes: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()
    code: str = ""
    connection: bool = False
    refusal: bool = False
    wait: float | None = None
    outage: Outage = ""

    def matches(self, outcome: Outcome) -> bool:
        """Whether this row is about ``outcome``."""
        return (
            outcome.kind in self.kinds
            and (not self.statuses or outcome.status in self.statuses)
            and (not self.codes or outcome.code in self.codes)
            and (not self.operations or outcome.operation in self.operations)
        )


_BEFORE_THE_HOST = frozenset({"refused", "dns", "unreachable", "connect-timeout", "tls", "proxy"})
"""Kinds of failure in which no sink of a host can be reached."""


def _kind(kind: str, reaction: Reaction, code: str, says: str) -> Rule:
    outage: Outage = "host" if kind in _BEFORE_THE_HOST else "sink" if reaction == "retry" else ""
    return Rule(reaction, says, kinds=frozenset({kind}), code=code, connection=True, outage=outage)


def _on(
    statuses: tuple[int, ...],
    codes: tuple[str, ...],
    reaction: Reaction,
    says: str,
    *,
    connection: bool = False,
    refusal: bool = False,
    wait: float | None = None,
    code: str = "",
    operations: tuple[str, ...] = (),
    outage: Outage = "",
) -> Rule:
    return Rule(
        reaction,
        says,
        statuses=frozenset(statuses),
        codes=frozenset(codes),
        connection=connection,
        refusal=refusal,
        wait=wait,
        code=code,
        operations=frozenset(operations),
        outage=outage,
    )


ROW_CODES = (
    "InvalidInput",
    "PropertyValueTooLarge",
    "EntityTooLarge",
    "KeyValueTooLarge",
    "PropertyNameInvalid",
    "PropertyNameTooLong",
    "TooManyProperties",
    "InvalidDuplicateRow",
    "OutOfRangeInput",
    "InvalidValueType",
    "DuplicatePropertiesSpecified",
    "PropertiesNeedValue",
)
"""400s that are about one entity."""

REQUEST_CODES = (
    "InvalidHeaderValue",
    "InvalidHttpVerb",
    "InvalidQueryParameterValue",
    "InvalidUri",
    "JsonFormatNotSupported",
    "MissingRequiredHeader",
    "MissingRequiredQueryParameter",
    "OutOfRangeQueryParameterValue",
    "RequestUrlFailedToParse",
    "UnsupportedHeader",
    "UnsupportedHttpVerb",
    "UnsupportedQueryParameter",
)
"""400s that are about the request's frame: the rows are not to blame, something between here and the service is."""

RESET = "connection reset"

RULES: tuple[Rule, ...] = (
    _kind(
        "refused", "retry", "connection refused", "nothing listens at the endpoint; check the address and the firewall"
    ),
    _kind(
        "dns", "retry", "name not resolved", "the endpoint's name is unknown; check the name, the suffix and the DNS"
    ),
    _kind("unreachable", "retry", "unreachable", "no network path to the endpoint; check routes and firewall"),
    _kind("connect-timeout", "retry", "connect timeout", "the endpoint does not answer; check routes and firewall"),
    _kind(
        "tls", "retry", "TLS failure", "no trusted TLS connection; check the clock, the certificates and a TLS proxy"
    ),
    _kind(
        "proxy", "retry", "proxy failure", "the proxy did not pass the request on; check its address and credentials"
    ),
    _kind("reset", "retry", RESET, "the connection broke before the answer; the same rows are sent again"),
    _kind("read-timeout", "retry", "read timeout", "no answer in time; the same rows are sent again"),
    _kind("truncated", "retry", "truncated answer", "the answer broke off; the same rows are sent again"),
    _kind(
        "bad-answer",
        "retry",
        "unexpected answer",
        "the answer is not one of the service; a proxy or portal in between?",
    ),
    Rule(
        "split",
        "the batch is too large; it is sent in halves",
        kinds=frozenset({"oversize"}),
        code="RequestBodyTooLarge",
    ),
    _kind("bad-key", "slow", "InvalidKey", "the account key is not base64; copy it again from the storage account"),
    _kind(
        "unknown",
        "retry",
        "unexpected failure",
        "the request failed in an unforeseen way; the same rows are sent again",
    ),
    _on(
        (200, 201, 204),
        (),
        "retry",
        "the answer is not one of the service; a captive portal or proxy page?",
        connection=True,
        code="unexpected answer",
        outage="sink",
    ),
    _on(
        (301, 302, 303, 307, 308),
        (),
        "retry",
        "the endpoint redirects elsewhere; a captive portal, or a wrong address?",
        connection=True,
        code="redirected",
        outage="sink",
    ),
    _on((), ("AccountIsDisabled",), "slow", "the storage account is disabled; enable it", connection=True),
    _on(
        (404,),
        ("ResourceNotFound",),
        "slow",
        "the service does not know this account; check the account name",
        connection=True,
        operations=("create", "list", "container"),
    ),
    _on((404,), ("TableNotFound", "ResourceNotFound"), "retry", "the table does not exist (yet)"),
    _on((404,), ("EntityNotFound",), "drop-batch", "the row does not exist"),
    _on(
        (404,),
        (),
        "slow",
        "nothing of this kind at the address; check the endpoint and the account name",
        connection=True,
        code="NotFound",
    ),
    _on(
        (409,),
        ("TableBeingDeleted",),
        "slow",
        "the table is being deleted and is created again when that is done",
        wait=TABLE_BEING_DELETED_WAIT,
    ),
    _on(
        (409,),
        ("EntityAlreadyExists",),
        "drop-row",
        "the service inserts where it should replace, and a row with these keys is there already",
    ),
    _on((409,), ("AccountBeingCreated",), "slow", "the account is still being created", connection=True),
    _on((409,), (), "retry", "something else works on the same rows or table; they are sent again", code="Conflict"),
    _on((412,), (), "retry", "something else works on the same rows; they are sent again", code="ConditionNotMet"),
    _on((401, 403), (), "slow", "", connection=True, refusal=True, code="Forbidden"),
    _on(
        (407,),
        (),
        "slow",
        "the proxy wants credentials; give them in its address",
        connection=True,
        code="ProxyAuthenticationRequired",
        outage="host",
    ),
    _on((413,), (), "split", "the batch is too large; it is sent in halves", code="RequestBodyTooLarge"),
    _on(
        (400,),
        ("RequestBodyTooLarge", "ContentLengthExceeded"),
        "split",
        "the batch is too large; it is sent in halves",
    ),
    _on(
        (400,),
        ("CommandsInBatchActOnDifferentPartitions", "InvalidBatchSize"),
        "split",
        "the batch mixes PartitionKeys",
    ),
    _on((400,), ("InvalidResourceName",), "drop-batch", "the table name is not allowed; correct the eventName"),
    _on((400,), ("AuthenticationFailed", "InvalidAuthenticationInfo"), "slow", "", connection=True, refusal=True),
    _on((400,), ROW_CODES, "drop-row", "the service refuses the row"),
    _on(
        (400,),
        REQUEST_CODES,
        "slow",
        "the service does not understand the request; a proxy that changes headers?",
        connection=True,
    ),
    _on(
        (400,),
        ("InvalidOperation",),
        "slow",
        "the service does not know this account; check the account name",
        connection=True,
    ),
    _on(
        (408,),
        (),
        "retry",
        "the request came too slowly; it is sent again",
        connection=True,
        code="RequestTimeout",
        outage="sink",
    ),
    _on(
        (429,),
        (),
        "retry",
        "the service asks for fewer requests",
        connection=True,
        code="TooManyRequests",
        outage="sink",
    ),
    _on(
        (500, 502, 503, 504),
        ("ServerBusy",),
        "retry",
        "the service is throttling or overloaded",
        connection=True,
        outage="sink",
    ),
    _on(
        (500, 502, 503, 504),
        (),
        "retry",
        "the service or a gateway has a passing fault",
        connection=True,
        code="ServerError",
        outage="sink",
    ),
    _on(
        (501, 505),
        (),
        "slow",
        "the service does not know the request; is the endpoint a table service?",
        connection=True,
        code="NotImplemented",
    ),
)
"""First match wins. What none matches is handled by :func:`_fallback`."""


def _fallback(outcome: Outcome) -> Rule:
    """Unforeseen answers: a blamed row is dropped, what a table service refuses is bisected, the rest is retried."""
    status = outcome.status or 0
    if outcome.kind == "http" and ((status == 400 and outcome.code) or (outcome.inside and 400 <= status < 500)):
        return Rule("drop-row", "the service refuses the row")
    if outcome.kind == "http" and 400 <= status < 500:
        return Rule(
            "slow", "the endpoint refuses the request; is it a table service?", connection=True, code="BadRequest"
        )
    return Rule(
        "retry",
        "the request failed in an unforeseen way; it is sent again",
        connection=True,
        code="unexpected failure",
        outage="sink",
    )


def find_rule(outcome: Outcome) -> Rule:
    """The row of :data:`RULES` that judges ``outcome``."""
    for rule in RULES:
        if rule.matches(outcome):
            return rule
    return _fallback(outcome)
