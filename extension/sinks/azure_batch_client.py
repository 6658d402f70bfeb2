"""Sends entity group transactions through azure-core's public pipeline (spec/storage.md 0, 3 and 5).

The transport (connections, TLS context, proxies, certificates) is the one that the account's SDK client uses. Nothing
here is tried twice and no redirect is followed: whoever retries calls again, and each call is dated and signed anew.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias
from urllib.parse import urlsplit
from wsgiref.handlers import format_date_time

from azure.core.credentials import AzureNamedKeyCredential, AzureSasCredential
from azure.core.pipeline import Pipeline, PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import (
    AzureSasCredentialPolicy,
    HTTPPolicy,
    ProxyPolicy,
    SansIOHTTPPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import HttpRequest, HttpResponse, RequestsTransport

from extension.rows.edm import Row
from extension.sinks import azure_batch, azure_batch_answer
from extension.sinks.azure_outcome import outcome_of
from extension.sinks.limits import MAX_BATCH
from extension.sinks.rules import Outcome

API_VERSION = "2019-02-02"
MAX_ANSWER = 4 << 20
"""Bytes: a hundred rows are answered with some 30 kB; a portal's page must not fill the memory."""

Credential: TypeAlias = AzureNamedKeyCredential | AzureSasCredential


class BadKeyError(ValueError):
    """The account key is not base64. The text says nothing of the key."""


class SharedKeyPolicy(SansIOHTTPPolicy[Any, Any]):
    """Dates and signs each request (Shared Key of the table service: verb, MD5, type, date, canonical resource)."""

    def __init__(self, credential: AzureNamedKeyCredential, clock: Callable[[], float]) -> None:
        super().__init__()
        self._credential = credential
        self._clock = clock

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """Add ``x-ms-date`` and ``Authorization``. Raises :class:`BadKeyError`."""
        http, (name, key) = request.http_request, self._credential.named_key
        date = format_date_time(self._clock())
        resource = f"/{name}{urlsplit(http.url).path}"
        text = f"{http.method}\n\n{http.headers.get('Content-Type', '')}\n{date}\n{resource}"
        try:
            secret = base64.b64decode("".join(key.split()), validate=True)
        except ValueError:
            raise BadKeyError("the account key is not base64") from None
        signature = base64.b64encode(hmac.new(secret, text.encode(), hashlib.sha256).digest()).decode()
        http.headers["x-ms-date"] = date
        http.headers["Authorization"] = f"SharedKey {name}:{signature}"


class _OnRequest(HTTPPolicy[HttpRequest, HttpResponse]):
    """Policies that only add to a request, as one: one by one the pipeline asks each twice whether it is to be awaited,
    which takes longer than what they do."""

    def __init__(self, *policies: SansIOHTTPPolicy[Any, Any]) -> None:
        super().__init__()
        self._policies = policies

    def send(self, request: PipelineRequest[HttpRequest]) -> PipelineResponse[HttpRequest, HttpResponse]:
        """Let each add its part, and pass the request on."""
        for policy in self._policies:
            policy.on_request(request)
        return self.next.send(request)


class BatchClient:
    """Transactions of one account. ``endpoint``: its URL without trailing slash and SAS; ``transport`` stays the
    caller's to close; ``proxies``: scheme -> proxy URL, before those of the environment; ``answer_timeout``: seconds
    that an answer may take from its first byte; ``clock`` gives Unix seconds (for signatures)."""

    def __init__(
        self,
        endpoint: str,
        credential: Credential,
        transport: RequestsTransport,
        *,
        clock: Callable[[], float],
        proxies: dict[str, str] | None = None,
        answer_timeout: float = 35.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = endpoint
        self._answer_timeout = answer_timeout
        self._monotonic = monotonic
        signing: SansIOHTTPPolicy[Any, Any]
        if isinstance(credential, AzureSasCredential):
            signing = AzureSasCredentialPolicy(credential)
        else:
            signing = SharedKeyPolicy(credential, clock)
        self._pipeline: Pipeline[HttpRequest, HttpResponse] = Pipeline(
            transport, policies=[_OnRequest(ProxyPolicy(proxies=proxies), signing)]
        )
        self._user_agent = UserAgentPolicy(sdk_moniker="lad-emulator").user_agent

    def upsert(self, table: str, rows: Sequence[Row]) -> Outcome | None:
        """One attempt to upsert-replace ``rows`` (checked, 1 to 100, one PartitionKey); None when all were taken."""
        body, content_type = azure_batch.encode(self._endpoint, table, rows)
        if len(body) > MAX_BATCH and len(rows) > 1:
            return Outcome(kind="oversize", detail=f"{len(body)} bytes", rows=len(rows))
        request = HttpRequest(
            "POST",
            self._endpoint + "/$batch",
            headers={
                "Accept": "application/json",
                "Content-Type": content_type,
                "DataServiceVersion": "3.0",
                "MaxDataServiceVersion": "3.0;NetFx",
                "x-ms-version": API_VERSION,
                "x-ms-client-request-id": str(uuid.uuid4()),
                "User-Agent": self._user_agent,
            },
            data=body,
        )
        try:
            answer = self._exchange(request)
        except BadKeyError:
            return Outcome(kind="bad-key", rows=len(rows))
        except Exception as error:  # exceptions of four libraries come through; all are judged
            return outcome_of(error, "upsert", len(rows))
        return answer if isinstance(answer, Outcome) else azure_batch_answer.judge(answer, len(rows))

    def _exchange(self, request: HttpRequest) -> azure_batch_answer.Answer | Outcome:
        response = self._pipeline.run(request, stream=True).http_response
        try:
            deadline = self._monotonic() + self._answer_timeout
            chunks: list[bytes] = []
            size = 0
            for chunk in response.stream_download(self._pipeline):
                chunks.append(chunk)
                size += len(chunk)
                if size > MAX_ANSWER:
                    return Outcome(kind="bad-answer", detail=f"an answer of more than {MAX_ANSWER} bytes")
                if self._monotonic() > deadline:
                    return Outcome(kind="read-timeout", detail=f"{size} bytes in {self._answer_timeout:g} s")
        finally:
            response.internal_response.close()
        return azure_batch_answer.Answer(response.status_code, response.headers, b"".join(chunks))
