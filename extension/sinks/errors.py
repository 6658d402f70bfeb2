"""What a failed attempt means and what to do about it.

An attempt is described as an :class:`Outcome` (no SDK types); :func:`classify` finds its row in
:data:`extension.sinks.rules.RULES` and makes the :class:`SinkError`. Refusals (401, 403) are looked into further by
:mod:`extension.sinks.refusals`. Pure functions.
"""

from __future__ import annotations

from extension.sinks.base import Reaction, SinkError
from extension.sinks.refusals import Credential, diagnose
from extension.sinks.rules import Outcome, find_rule
from extension.sinks.text import http_date, one_line

MAX_RETRY_AFTER = 3600.0

__all__ = ["Outcome", "classify"]


def classify(
    outcome: Outcome, *, endpoint: str, table: str, credential: Credential, now: float, secrets: tuple[str, ...] = ()
) -> SinkError:
    """The judged error. ``endpoint`` and ``table`` are named in the message; ``now`` is Unix seconds;
    ``secrets`` are removed from the service's words should they occur there."""
    rule = find_rule(outcome)
    code = outcome.code or rule.code or (f"HTTP {outcome.status}" if outcome.status else outcome.kind)
    says, cause = rule.says, ""
    if rule.refusal and outcome.code:
        cause, says = diagnose(code, credential, outcome.operation, table, outcome.date, now)
    elif rule.refusal:
        cause, says = "not-the-service", "refused, but not by a table service: a proxy or firewall in between?"
    reaction, row = rule.reaction, None
    if reaction == "drop-row":
        reaction, row = _blame(outcome)
    elif reaction == "split" and outcome.rows <= 1:
        reaction, row, says = "drop-row", 0, "the service takes no request with this row, even alone"
    return SinkError(
        reaction,
        code,
        _message(
            outcome, code, says, endpoint, table, row, "" if cause else one_line(outcome.detail, secrets, limit=160)
        ),
        http_status=outcome.status,
        retry_after=_wait(outcome.retry_after, outcome.date, now, rule.wait),
        connection=rule.connection and not (cause == "sas-permission" and _elsewhere(outcome, credential)),
        row=row,
        cause=cause,
        outage=rule.outage,
    )


def _elsewhere(outcome: Outcome, credential: Credential) -> bool:
    """Whether a permission that lacks here may be there for other tables: those that need not be created, or the one
    that the SAS is for."""
    token = credential.token
    return outcome.operation in ("create", "container") or (token is not None and not token.services)


def _blame(outcome: Outcome) -> tuple[Reaction, int | None]:
    """The row to drop; when the service blamed none, halving finds it."""
    if outcome.row is not None and 0 <= outcome.row < outcome.rows:
        return "drop-row", outcome.row
    return ("drop-row", 0) if outcome.rows <= 1 else ("split", None)


def _message(outcome: Outcome, code: str, says: str, endpoint: str, table: str, row: int | None, detail: str) -> str:
    status = f" (HTTP {outcome.status})" if outcome.status else ""
    where = f"table {table} at {endpoint}" if table else endpoint
    which = f", row {row}" if row is not None else ""
    quoted = f' "{detail}"' if detail else ""
    return one_line(f"{where}{which}: {code}{status}: {says}{quoted}", limit=700)


def _wait(header: str, date: str, now: float, default: float | None) -> float | None:
    """Seconds of a Retry-After header: a number, or a date that is read against the service's own clock."""
    header = header.strip()
    seconds: float | None = None
    if header.isascii() and header.isdigit() and len(header) < 10:
        seconds = float(header)
    elif header:
        until = http_date(header)
        if until is not None:
            server_now = http_date(date)
            seconds = until - (now if server_now is None else server_now)
    return default if seconds is None else min(max(seconds, 0.0), MAX_RETRY_AFTER)
