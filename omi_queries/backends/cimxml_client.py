"""pywbem with the guards that it lacks (spec/cim-xml.md 1.2), and what its errors come to in one line."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import requests

MAX_REPLY = 16 << 20
CONVERSION_FAULTS = (ValueError, OverflowError, RecursionError)  # what pywbem lets out on absurd numbers and nesting
_CERTIFICATE_FAULTS = ("self-signed", "self signed", "expired", "hostname mismatch", "IP address mismatch")
_MESSAGE_ID = "1001"  # the only one pywbem ever sends


class ReplyRefusedError(Exception):
    """A reply that is not handed to the XML parser."""


class Wording(NamedTuple):
    """What the settings are called that cure a failed connection: the address, and the file of authorities."""

    address: str = "omiEndpoint"
    authority: str = "omiCaFile"


SETTINGS = Wording()


def library() -> Any:
    """The client library; it is loaded only where it is needed, and has no type information."""
    import pywbem  # type: ignore[import-untyped]  # it ships no types

    pywbem.config.ENFORCE_INTEGER_RANGE = False  # a value out of range costs that value, not the reply (T11)
    return pywbem


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """While this lasts, nothing is printed of what the client library and those below it warn programmers of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # while they are loaded, whatever they find
        pywbem = library()
        from urllib3.exceptions import HTTPWarning
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pywbem.Warning)
        warnings.simplefilter("ignore", HTTPWarning)
        yield


def connect(url: str, **arguments: Any) -> Any:
    """A connection to ``url`` and nowhere else, whose replies are looked at before a parser gets them."""
    connection = library().WBEMConnection(url, **arguments)
    session = connection.session
    session.trust_env = False  # no proxy, no certificates, no .netrc from the environment (T3-T5)
    session.max_redirects = 0  # the password goes to the configured server only (T6)
    session.headers["Accept-Encoding"] = "identity"
    session.hooks["response"].append(_guard)
    return connection


def _guard(response: requests.Response, **_: object) -> None:
    """Look at a reply before any parser does. ReplyRefusedError for what no honest server sends."""
    if response.status_code != 200:
        return
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        raise ReplyRefusedError(f"the reply is compressed ({encoding[:20]}), which was not asked for")
    size = response.headers.get("Content-Length", "0")
    if size.isascii() and size.isdigit() and int(size[:20]) > MAX_REPLY:
        raise ReplyRefusedError(f"the reply is larger than {MAX_REPLY >> 20} MiB")
    content = response.content
    if len(content) > MAX_REPLY:
        raise ReplyRefusedError(f"the reply is larger than {MAX_REPLY >> 20} MiB")
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content or b"\0" in content[:4096]:
        raise ReplyRefusedError("the reply has a DOCTYPE or is not UTF-8, which is not accepted")
    at = content.find(b"<MESSAGE")
    if at >= 0:
        tag = content[at : content.find(b">", at)].replace(b"'", b'"').split(b'ID="')
        given = tag[1].partition(b'"')[0] if len(tag) > 1 else b""
        if given != _MESSAGE_ID.encode():
            raise ReplyRefusedError(f"the reply is to another message ({given[:20].decode('ascii', 'replace')!a})")


def failure_text(error: Exception, timeout: float, wording: Wording = SETTINGS) -> str:
    """Why there is no answer and what to do, for anything but an error that the server itself gives as an answer."""
    pywbem, text = library(), str(error)
    if isinstance(error, ReplyRefusedError):
        return text
    if isinstance(error, pywbem.HTTPError):
        cim = f", CIMError: {error.cimerror}" if error.cimerror else ""
        return f"HTTP {error.status} {error.reason}{cim}; is this a CIM-XML server?"
    if isinstance(error, (pywbem.ParseError, *CONVERSION_FAULTS)):
        said = text.partition("\n")[0][:120].partition("<")[0]  # what follows is the reply (T13)
        return f"the reply is not valid CIM-XML ({type(error).__name__}): {said}"
    if isinstance(error, pywbem.VersionError):
        return f"the server speaks another version: {text[:120]}"
    if isinstance(error, pywbem.ConnectionError):
        return _connection_text(text, timeout, wording)
    return f"{type(error).__name__}: {text}"


def _connection_text(text: str, timeout: float, wording: Wording) -> str:
    """The reason in a ConnectionError, whose text is that of several libraries in one another."""
    lower = text.lower()
    if "timed out" in lower:
        return f"no answer within {timeout:.3g} s"
    if "redirect" in lower:
        return f"the server redirects elsewhere, which is not followed; set {wording.address} to where the server is"
    if "certificate" in lower:
        why = next((part for part in _CERTIFICATE_FAULTS if part.lower() in lower), "not trusted")
        return f"the server's certificate is refused ({why}); set {wording.authority} to the certificate that signed it"
    if "wrong_version_number" in lower or "ssl" in lower:
        return f"TLS fails, perhaps the server speaks plain http: {text[-120:]}"
    if "refused" in lower:
        return "connection refused: nothing listens there"
    if "name or service" in lower or "nodename" in lower or "resolve" in lower:
        return "the host name cannot be resolved"
    return f"the connection failed: {text[-160:]}"
