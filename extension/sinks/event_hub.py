"""Sends rows to an Event Hub, one message per row over a kept connection (spec/mdsd.md 5.2).

The service's batch form would give messages another content type, so it is not used. The last message that was taken
is remembered, so that a repeated batch goes on behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs, urlsplit

from extension.plan import Publisher
from extension.rows.edm import Row
from extension.sinks import endpoints, json_blob, sas
from extension.sinks.azure_client import proxy_secrets
from extension.sinks.base import Reaction, SinkError
from extension.sinks.memos import Memos
from extension.sinks.rules import find_rule
from extension.sinks.text import http_date, one_line
from extension.sinks.web import Answer, Web, WebError

CONTENT_TYPE = "application/atom+xml;type=entry;charset=utf-8"
BUSY_S = 60.0
"""A batch that takes longer is interrupted, so that a slow service does not look like a hang; it goes on at once."""
MAX_WAIT_S = 3600.0


class EventHubSink:
    """One publisher. Raises :class:`SinkError`; the SAS is shown nowhere. ``name`` is that of its lane."""

    def __init__(
        self,
        publisher: Publisher,
        name: str,
        remembered: Memos,
        *,
        clock: Callable[[], float],
        connect_timeout: float = 10.0,
        read_timeout: float = 30.0,
        proxy: str = "",
    ) -> None:
        try:
            parts = urlsplit(publisher.url.strip())
            path = parts.path.rstrip("/").removesuffix("/messages")
            loopback = endpoints.parse(f"{parts.scheme}://{parts.netloc}{path}").loopback
            usable = parts.scheme.lower() == "https" and bool(path and parts.query)
        except ValueError:
            usable = False
        if not usable:
            what = (
                f"the Event Hub of {publisher.event} has no usable address: write "
                "https://NAMESPACE.servicebus.windows.net/HUB?sr=...&sig=...&se=...&skn=..."
            )
            raise SinkError("slow", "InvalidEndpoint", what, connection=True, cause="configuration")
        self._shown = f"https://{parts.netloc}{path}"
        self._token = parts.query
        self._expires = _expiry(parts.query)
        self._secrets = (parts.query, *parse_qs(parts.query).get("sig", ()), *proxy_secrets(proxy))
        self._key = f"{name}:sent"
        self._memos = remembered
        self._clock = clock
        self._web = Web(
            self._shown, loopback=loopback, proxy=proxy, connect_timeout=connect_timeout, read_timeout=read_timeout
        )

    def send(self, table: str, rows: Sequence[Row]) -> None:
        """Send the rows that were not sent before."""
        last = self._memos.recall(self._key)
        done = next((i + 1 for i, row in enumerate(rows) if row.row_key == last), 0)
        begun = time.monotonic()
        for index in range(done, len(rows)):
            if time.monotonic() - begun > BUSY_S:
                what = f"{table} at {self._shown}: the service is slow; the rest of the batch follows"
                raise SinkError("retry", "slow service", what, retry_after=0.0, connection=True)
            self._post(str(rows[index].columns[json_blob.RECORD][1]), index)
            self._memos.remember(self._key, rows[index].row_key)

    def close(self) -> None:
        """Close the connection."""
        self._web.close()

    def _post(self, text: str, index: int) -> None:
        headers = {"Authorization": f"SharedAccessSignature {self._token}", "Content-Type": CONTENT_TYPE}
        body = text.encode("utf-8", "replace")
        try:
            answer = self._web.ask("POST", f"{self._shown}/messages", headers, body, "message")
        except WebError as error:
            kind, detail = error.outcome.kind, one_line(error.outcome.detail, self._secrets, limit=160)
            rule = find_rule(error.outcome)
            what = f"{self._shown}: {rule.code or kind}: {rule.says}" + (f' "{detail}"' if detail else "")
            raise SinkError("retry", kind, what, connection=True, outage=rule.outage) from None
        if answer.status not in (200, 201):
            raise self._refusal(answer, index)

    def _refusal(self, answer: Answer, index: int) -> SinkError:
        reaction, code, says = _meaning(answer.status)
        if answer.status in (401, 403) and self._expires is not None and self._expires <= self._clock():
            code, says = "sas-expired", f"the SAS expired at {sas.iso(self._expires)}; make a new sasURL"
        what = one_line(f"{self._shown}: {code} (HTTP {answer.status}): {says}", self._secrets, limit=700)
        row = index if reaction == "drop-row" else None
        wait = _wait(answer, self._clock()) if reaction in ("retry", "slow") else None
        return SinkError(
            reaction,
            code,
            what,
            http_status=answer.status,
            retry_after=wait,
            connection=reaction in ("retry", "slow"),
            row=row,
            outage="sink" if reaction == "retry" else "",
        )


def _meaning(status: int) -> tuple[Reaction, str, str]:
    """(reaction, name, what to do) of an answer that is no success."""
    if status == 400:
        return "drop-row", "BadRequest", "the service refuses the message"
    if status == 413:
        return "drop-row", "MessageTooLarge", "the message is larger than the hub takes"
    if status in (401, 403):
        return "slow", "Forbidden", "the SAS is not accepted; check its key and that it may send (Send claim)"
    if status in (404, 410):
        return "slow", "NotFound", "there is no such Event Hub; check its name in the sasURL"
    if status in (408, 429, 503):
        return "retry", "ServerBusy", "the service asks for fewer messages; they are sent again"
    if status >= 500:
        return "retry", "ServerError", "the service has a passing fault; the message is sent again"
    return "slow", "UnexpectedAnswer", "the answer is not one of an Event Hub; a proxy in between?"


def _expiry(query: str) -> float | None:
    text = parse_qs(query).get("se", [""])[0]
    return float(text) if text.isascii() and text.isdigit() and len(text) < 13 else None


def _wait(answer: Answer, now: float) -> float | None:
    """Seconds of a Retry-After header, a number or a date."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), MAX_WAIT_S)
    until = http_date(text)
    if until is None:
        return None
    return min(max(until - (http_date(answer.headers.get("date", "")) or now), 0.0), MAX_WAIT_S)
