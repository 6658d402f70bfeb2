"""The few calls of a blob service that JSON blobs need, signed with the account's key or SAS (spec/mdsd.md 5.1)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from email.utils import formatdate
from html import unescape
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from extension.plan import Account
from extension.sinks import json_blob, sas
from extension.sinks.azure_client import describe, proxy_secrets, secrets_of
from extension.sinks.base import Reaction, SinkError
from extension.sinks.endpoints import Endpoint
from extension.sinks.errors import Outcome, classify
from extension.sinks.text import one_line
from extension.sinks.web import Answer, Web, WebError, refused

VERSION = "2019-12-12"
_SIGNED = (
    "Content-Encoding", "Content-Language", "Content-Length", "Content-MD5", "Content-Type", "Date",
    "If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range",
)  # fmt: skip
_BLOB = re.compile(r"<Blob>(.*?)</Blob>", re.DOTALL)
_SAID: dict[str, tuple[Reaction, str]] = {
    "InvalidResourceName": ("drop-batch", "the container or blob name is not allowed; correct eventName or resourceId"),
    "InvalidBlobType": ("slow", "a blob of another type has this name; delete it"),
    "BlobImmutableDueToPolicy": ("slow", "a policy forbids changes of this blob; exempt the container"),
    "LeaseIdMissing": ("slow", "another program holds a lease on this blob; end it"),
    "BlobArchived": ("slow", "the blob is archived; rehydrate or delete it"),
    "ContainerBeingDeleted": ("slow", "the container is being deleted and is created again when that is done"),
    "ContainerDisabled": ("slow", "the container is disabled; ask the account's owner"),
    "InvalidBlockList": ("retry", "blocks are gone; the blob's list is read again"),
    "Md5Mismatch": ("retry", "the block was changed on its way; it is sent again"),
    "InvalidUri": ("slow", "the name of this blob is not understood; correct resourceId and the other fields of it"),
    "UnauthorizedBlobOverwrite": ("slow", "the SAS may not change a blob that exists; make a new one with write (w)"),
    "InvalidBlobOrBlock": ("drop-batch", "the blob was written by another program in another layout"),
    "BlockCountExceedsLimit": ("drop-batch", "the blob has 50,000 blocks"),
}
"""Answers of a blob service that the rules of tables do not know."""
_OF_CONTAINERS = frozenset({"ContainerBeingDeleted", "ContainerDisabled"})
"""They are about all blobs of the container, the others about one."""
_GONE = frozenset({"ContainerNotFound", "BlobNotFound", "ResourceNotFound"})


@dataclass(frozen=True)
class Listed:
    """A blob as a listing shows it: its ``metadata``."""

    metadata: dict[str, str]


class BlobService:
    """One account. Raises SinkError; nothing is retried here."""

    def __init__(
        self,
        endpoint: Endpoint,
        account: Account,
        *,
        clock: Callable[[], float],
        proxy: str = "",
        connect_timeout: float = 10.0,
        read_timeout: float = 35.0,
    ) -> None:
        if not account.secret.strip():
            what = f"the {account.kind} of account {account.account} is empty: set it in the protected settings"
            raise SinkError("slow", "InvalidCredential", what, connection=True, cause="configuration")
        self._endpoint = endpoint
        self._account = account.account or endpoint.account
        self._clock = clock
        self._credential = describe(endpoint, account)
        self._secrets = (*secrets_of(account), *proxy_secrets(proxy))
        self._token = sas.normalise(account.secret) if account.kind == "sas" else ""
        self._key = b"" if self._token else self._decoded(account.secret)
        self._web = Web(
            endpoint.url,
            loopback=endpoint.loopback,
            proxy=proxy,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
        )

    def _decoded(self, secret: str) -> bytes:
        try:
            return base64.b64decode(secret.strip(), validate=True)
        except ValueError:
            raise self._judge(Outcome(kind="bad-key"), "") from None

    def create_container(self, container: str) -> None:
        """Create it; one that exists already is fine."""
        answer = self._ask("PUT", container, {"restype": "container"}, {}, b"", "container")
        if answer.status != 201 and answer.code != "ContainerAlreadyExists":
            raise self._refusal(answer, "container", container)

    def blocks(self, container: str, path: str) -> list[int] | None:
        """The committed blocks of a blob, [] if there is no such blob; None if the SAS may not read."""
        query = {"comp": "blocklist", "blocklisttype": "committed"}
        answer = self._ask("GET", f"{container}/{path}", query, {}, b"", "blocks")
        if answer.status == 404 and answer.code in ("BlobNotFound", "ContainerNotFound", "ResourceNotFound", ""):
            return []
        if answer.status == 403 and self._token and self._lacks("blocks", answer):
            return None
        if answer.status != 200:
            raise self._refusal(answer, "blocks", f"{container}/{path}")
        try:
            return json_blob.committed(answer.text)
        except ValueError as error:
            what = f"blob {container}/{path}: {error}: it was written by another program; move it away"
            raise SinkError("drop-batch", "InvalidBlobOrBlock", one_line(what)) from None

    def listed(self, container: str, path: str) -> Listed | bool:
        """The blob as the listing of its container shows it; False if there is none, True if listing is refused."""
        query = {"restype": "container", "comp": "list", "include": "metadata", "prefix": path, "maxresults": "2"}
        answer = self._ask("GET", container, query, {}, b"", "blobs")
        if answer.status == 404:
            return False
        if answer.status == 403 and self._lacks("blobs", answer):
            return True
        if answer.status != 200:
            raise self._refusal(answer, "blobs", container)
        for blob in _BLOB.findall(answer.text):
            name = re.search(r"<Name>([^<]*)</Name>", blob)
            if name and unescape(name.group(1)) == path:
                section = re.search(r"<Metadata>(.*?)</Metadata>", blob, re.DOTALL)
                found = re.findall(r"<(\w+)>([^<]*)</\1>", section.group(1)) if section else []
                return Listed({k.lower(): unescape(v) for k, v in found})
        return False

    def put_block(self, container: str, path: str, number: int, body: bytes) -> None:
        """Upload one block, not yet committed; one of the same number is replaced. Creates the container."""
        query = {"comp": "block", "blockid": json_blob.block_id(number)}
        headers = {"Content-MD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}
        answer = self._ask("PUT", f"{container}/{path}", query, headers, body, "block")
        if answer.status == 404 and answer.code in ("ContainerNotFound", "ResourceNotFound"):
            self.create_container(container)
            answer = self._ask("PUT", f"{container}/{path}", query, headers, body, "block")
        if answer.status != 201:
            raise self._refusal(answer, "block", f"{container}/{path}")

    def put_block_list(self, container: str, path: str, numbers: list[int], metadata: Mapping[str, str]) -> None:
        """Make these blocks the blob's content, all or nothing."""
        headers = {"x-ms-blob-content-type": "application/octet-stream", "Content-Type": "application/xml"}
        headers |= {f"x-ms-meta-{name}": value for name, value in metadata.items()}
        body = json_blob.block_list(numbers)
        answer = self._ask("PUT", f"{container}/{path}", {"comp": "blocklist"}, headers, body, "block")
        if answer.status != 201:
            raise self._refusal(answer, "block", f"{container}/{path}")

    def close(self) -> None:
        """Close the connections."""
        self._web.close()

    def _lacks(self, operation: sas.Operation, answer: Answer) -> bool:
        """Whether the SAS is good, but not for this operation."""
        token = self._credential.token
        if token is None or (token.expiry is not None and token.expiry <= self._clock()):
            return False
        known = answer.code in ("AuthorizationPermissionMismatch", "AuthorizationResourceTypeMismatch")
        return known or bool(sas.missing(token, operation, ""))

    def _ask(
        self,
        method: str,
        name: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        operation: sas.Operation,
    ) -> Answer:
        url = f"{self._endpoint.url}/{quote(name, safe='/=~')}?{urlencode(query, quote_via=quote, safe='')}"
        sent = {
            **headers,
            "x-ms-version": VERSION,
            "x-ms-date": formatdate(self._clock(), usegmt=True),
            "Content-Length": str(len(body)),
        }
        if method == "PUT" and "Content-Type" not in sent:
            sent["Content-Type"] = "application/octet-stream"
        if self._token:
            url += "&" + self._token
        else:
            signature = _signature(self._key, method, url, sent, self._account)
            sent["Authorization"] = f"SharedKey {self._account}:{signature}"
        try:
            return self._web.ask(method, url, sent, body, operation)
        except WebError as error:
            raise self._judge(error.outcome, name) from None

    def _refusal(self, answer: Answer, operation: sas.Operation, name: str) -> SinkError:
        said = _SAID.get(answer.code)
        if operation != "container" and answer.status == 404 and answer.code in _GONE:
            said = ("retry", "the container or blob was deleted meanwhile; it is created again")
        if said is None:
            return self._judge(refused(answer, operation), name)
        what = f"{self._endpoint.url}/{name}: {answer.code} (HTTP {answer.status}): {said[1]}"
        place = "" if answer.code in _OF_CONTAINERS else name.partition("/")[2]
        return SinkError(
            said[0], answer.code, one_line(what, self._secrets, limit=700), http_status=answer.status, place=place
        )

    def _judge(self, outcome: Outcome, name: str) -> SinkError:
        error = classify(
            outcome,
            endpoint=f"{self._endpoint.url}/{name}",
            table="",
            credential=self._credential,
            now=self._clock(),
            secrets=self._secrets,
        )
        if error.reaction in ("split", "drop-row"):  # a block is taken whole or not at all
            return SinkError("drop-batch", error.code, error.message, http_status=error.http_status)
        return error if error.connection else replace(error, place=name.partition("/")[2])


def _signature(key: bytes, method: str, url: str, headers: Mapping[str, str], account: str) -> str:
    """The Shared Key signature of a request for the blob service."""
    parts = urlsplit(url)
    plain = [headers.get(name, "") for name in _SIGNED]
    if plain[2] == "0":
        plain[2] = ""
    special = sorted((name.lower(), value.strip()) for name, value in headers.items() if name.lower()[:5] == "x-ms-")
    resource = f"/{account}{parts.path}"
    resource += "".join(f"\n{k.lower()}:{v}" for k, v in sorted(parse_qsl(parts.query, keep_blank_values=True)))
    text = "\n".join([method, *plain, *(f"{name}:{value}" for name, value in special), resource])
    return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode("ascii")
