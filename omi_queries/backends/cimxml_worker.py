"""The process that speaks CIM-XML: pywbem behind two pipes.

First message in: the endpoint. First message out: ``{"ready": true}`` or ``{"error": text}``. Then one reply per
request: ``{"id": n, "instances": [[class, {property: value}], ...]}``, each with ``{property: CIM type}`` as a third
item where the request says ``"foreign": true`` (it knows no properties then), or ``{"id": n, "error": text, "code":
c}`` with the CIM code, 0 when it was not the server's answer that failed but the way to it (``"denied": true``: a
wrong user or password). Ends when its standard input does.
"""

from __future__ import annotations

import os
import resource
import signal
from typing import TYPE_CHECKING, Any

from omi_queries.backends import frames
from omi_queries.backends.source import one_line

if TYPE_CHECKING:
    import requests

MAX_REPLY = 16 << 20
SLACK_S = 5
"""Seconds over the socket timeout after which the worker ends itself: its parent should have killed it long before."""
_CERTIFICATE_FAULTS = ("self-signed", "self signed", "expired", "hostname mismatch", "IP address mismatch")
_CONVERSION_FAULTS = (ValueError, OverflowError, RecursionError)  # what pywbem lets out on absurd numbers and nesting
_MESSAGE_ID = "1001"  # the only one pywbem ever sends


class EndpointError(Exception):
    """An endpoint that cannot be used as it is given."""


class ReplyRefusedError(Exception):
    """A reply that is not handed to the XML parser."""


def main() -> int:
    """Serve until the end of standard input; 0, or 1 if the endpoint cannot be used."""
    out = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)  # nothing that a library prints gets between the messages
    os.dup2(null, 2)
    settings = frames.receive(0)
    if not isinstance(settings, dict):
        return 0
    try:
        worker = Worker(settings)
    except EndpointError as error:
        frames.send(out, {"error": one_line(str(error))})
        return 1
    except Exception as error:
        frames.send(out, {"error": one_line(f"{type(error).__name__}: {error}")})
        return 1
    frames.send(out, {"ready": True})
    while True:
        request = frames.receive(0)
        if not isinstance(request, dict):
            return 0
        reply = {"id": request.get("id"), **worker.answer(request)}
        try:
            frames.send(out, reply)
        except frames.FrameError:
            frames.send(out, {"id": request.get("id"), "error": "the answer is too large", "code": 0})
        except BrokenPipeError:
            return 0


class Worker:
    """One connection to one server, and the guards around it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        import pywbem  # type: ignore[import-untyped]  # it ships no types

        self._pywbem: Any = pywbem
        pywbem.config.ENFORCE_INTEGER_RANGE = False  # a value out of range costs that value, not the reply (T11)
        self._url = str(settings["url"])
        self._timeout = float(settings["timeout_s"])
        self._memory_mib = int(settings["memory_mib"])
        user = str(settings["user"])
        self._secrets = [s for s in (str(settings["password"]),) if s]
        ca_file = str(settings["ca_file"]) or None
        if ca_file is not None and not os.access(ca_file, os.R_OK):
            raise EndpointError(f"the certificate file {ca_file} (omiCaFile) cannot be read")
        self._arguments: dict[str, Any] = {
            "creds": (user, str(settings["password"])) if user else None,
            "default_namespace": "root/scx",
            "ca_certs": ca_file,
            "no_verification": bool(settings["no_verification"]),
            "timeout": self._timeout,
        }
        self._connection: Any = None
        limit = self._memory_mib << 20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    def _connected(self) -> Any:
        if self._connection is None:
            connection = self._pywbem.WBEMConnection(self._url, **self._arguments)
            session = connection.session
            session.trust_env = False  # no proxy, no certificates, no .netrc from the environment (T3-T5)
            session.max_redirects = 0  # the password goes to the configured server only (T6)
            session.headers["Accept-Encoding"] = "identity"
            session.hooks["response"].append(guard)
            self._connection = connection
        return self._connection

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """The reply to one request; never raises."""
        self._limit_time()
        try:
            return self._ask(request)
        except MemoryError:
            self._forget()
            return {"error": f"the reply needs more than {self._memory_mib} MiB of memory", "code": 0}
        except Exception as error:
            text, code = self._explained(error)
            if not code:
                self._forget()
            denied = isinstance(error, self._pywbem.AuthError)
            return {"error": one_line(self._without_secrets(text)), "code": code, "denied": denied}
        finally:
            signal.alarm(0)

    def _limit_time(self) -> None:
        """The kernel ends this process if parent and timeouts all fail: wall clock by alarm, CPU by limit."""
        seconds = int(self._timeout) + SLACK_S
        signal.alarm(2 * seconds)
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft, hard = int(used.ru_utime + used.ru_stime) + seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        fresh = self._connection is None
        try:
            return self._operation(request)
        except self._pywbem.ConnectionError as error:
            # a kept connection may have been closed by the server meanwhile: once more on a new one
            if fresh or "timed out" in str(error):
                raise
            self._forget()
            return self._operation(request)

    def _operation(self, request: dict[str, Any]) -> dict[str, Any]:
        connection, namespace = self._connected(), str(request["namespace"])
        if request["op"] == "probe":
            try:
                connection.GetClass("CIM_ManagedElement", namespace, IncludeQualifiers=False, PropertyList=[])
            except self._pywbem.CIMError as error:
                if error.status_code == self._pywbem.CIM_ERR_ACCESS_DENIED:
                    raise
            return {"instances": []}
        foreign = bool(request.get("foreign"))
        try:
            found = connection.EnumerateInstances(
                str(request["class_name"]),
                namespace=namespace,
                LocalOnly=False,
                DeepInheritance=False,
                IncludeQualifiers=False,
                IncludeClassOrigin=False,
                PropertyList=None if foreign else list(request["properties"]),
            )
        except (self._pywbem.CIMXMLParseError, *_CONVERSION_FAULTS):
            listed = salvage(connection.last_raw_reply)
            if listed is None:
                raise
            return {"instances": listed if foreign else [one[:2] for one in listed]}
        if foreign:
            return {"instances": [[one.classname, _values(one), _types(one)] for one in found]}
        return {"instances": [[one.classname, _values(one)] for one in found]}

    def _forget(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _without_secrets(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "...")
        return text

    def _explained(self, error: Exception) -> tuple[str, int]:
        """(what went wrong and what to do, CIM code or 0)."""
        text = str(error)
        if isinstance(error, self._pywbem.CIMError):
            return f"CIM error {error.status_code} ({error.status_code_name}): {error.status_description}", (
                error.status_code
            )
        if isinstance(error, ReplyRefusedError):
            return text, 0
        if isinstance(error, self._pywbem.AuthError):
            return "user name or password is refused (HTTP 401); set omiUser and omiPassword", 0
        if isinstance(error, self._pywbem.HTTPError):
            cim = f", CIMError: {error.cimerror}" if error.cimerror else ""
            return f"HTTP {error.status} {error.reason}{cim}; is this a CIM-XML server?", 0
        if isinstance(error, (self._pywbem.ParseError, *_CONVERSION_FAULTS)):
            kind = type(error).__name__
            return f"the reply is not valid CIM-XML ({kind}): {text.partition(chr(10))[0][:120]}", 0
        if isinstance(error, self._pywbem.VersionError):
            return f"the server speaks another version: {text[:120]}", 0
        if isinstance(error, self._pywbem.ConnectionError):
            return connection_text(text, self._timeout), 0
        return f"{type(error).__name__}: {text}", 0


def connection_text(text: str, timeout: float) -> str:
    """The reason in a ConnectionError, whose text is that of several libraries in one another."""
    lower = text.lower()
    if "timed out" in lower:
        return f"no answer within {timeout:.3g} s"
    if "redirect" in lower:
        return "the server redirects elsewhere, which is not followed; set omiEndpoint to where the server is"
    if "certificate" in lower:
        why = next((part for part in _CERTIFICATE_FAULTS if part.lower() in lower), "not trusted")
        return f"the server's certificate is refused ({why}); set omiCaFile to the certificate that signed it"
    if "wrong_version_number" in lower or "ssl" in lower:
        return f"TLS fails, perhaps the server speaks plain http: {text[-120:]}"
    if "refused" in lower:
        return "connection refused: nothing listens there"
    if "name or service" in lower or "nodename" in lower or "resolve" in lower:
        return "the host name cannot be resolved"
    return f"the connection failed: {text[-160:]}"


def guard(response: requests.Response, **_: object) -> None:
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


def _values(instance: Any) -> dict[str, object]:
    """Property values JSON-able. A key that only the path has is taken from there."""
    found = {name: _plain(prop.value) for name, prop in instance.properties.items()}
    if instance.path is not None:
        present = {name.lower() for name in found}
        for name, value in instance.path.keybindings.items():
            if name.lower() not in present:
                found[name] = _plain(value)
    return found


def _types(instance: Any) -> dict[str, str]:
    """The CIM types of what :func:`_values` gives."""
    found = {
        name: str(prop.embedded_object or prop.type) + ("[]" if prop.is_array else "")
        for name, prop in instance.properties.items()
    }
    return {**_path_types(instance), **found}


def _path_types(instance: Any) -> dict[str, str]:
    """The types of keys that only the path has, where numbers have no size."""
    if instance.path is None:
        return {}
    kinds = {bool: "boolean", int: "sint64", float: "real64", str: "string"}
    return {
        name: next((kind for of, kind in kinds.items() if isinstance(value, of)), "reference")
        for name, value in instance.path.keybindings.items()
    }


def _plain(value: Any) -> object:
    """A CIM value as JSON has it; what JSON has no word for becomes an object, which no CIM type accepts."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return str(value)
    return str(value) if type(value).__name__ == "CIMDateTime" else {}


def salvage(reply: bytes | None) -> list[list[object]] | None:
    """The instances (class, values, types) in a reply that pywbem refuses as a whole because of one bad value; None if
    it is no list of them.

    Values are converted by the type that the reply gives; one that cannot be stays text, for the reader to refuse.
    """
    from lxml import etree

    if not reply:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False)
    try:
        root = etree.fromstring(reply, parser)
    except (etree.XMLSyntaxError, ValueError):
        return None
    listed = root.find("./MESSAGE/SIMPLERSP/IMETHODRESPONSE[@NAME='EnumerateInstances']/IRETURNVALUE")
    if listed is None or any(one.tag != "VALUE.NAMEDINSTANCE" for one in listed):
        return None
    found: list[list[object]] = []
    for named in listed:
        instance = named.find("./INSTANCE")
        if instance is None:
            return None
        values: dict[str, object] = {}
        types: dict[str, str] = {}
        for prop in instance.findall("./PROPERTY"):
            text = prop.findtext("./VALUE")
            name, kind = prop.get("NAME", ""), prop.get("TYPE", "string")
            values[name] = None if text is None else typed(text, kind)
            types[name] = kind
        for prop in instance.findall("./PROPERTY.ARRAY"):
            items = prop.find("./VALUE.ARRAY")
            name, kind = prop.get("NAME", ""), prop.get("TYPE", "string")
            values[name] = (
                None if items is None else [typed(item.text or "", kind) for item in items.findall("./VALUE")]
            )
            types[name] = f"{kind}[]"
        found.append([instance.get("CLASSNAME", ""), values, types])
    return found


def typed(text: str, cim_type: str) -> object:
    """``text`` as a value of the CIM type, or the text itself if it is none."""
    stripped = text.strip()
    if cim_type == "boolean":
        return {"true": True, "false": False}.get(stripped.lower(), text)
    try:
        if cim_type.startswith(("uint", "sint")) and len(stripped) <= 40 and stripped.isascii() and "_" not in stripped:
            return int(stripped)
        if cim_type.startswith("real") and len(stripped) <= 400 and stripped.isascii() and "_" not in stripped:
            return float(stripped)
    except ValueError:
        pass
    return text


if __name__ == "__main__":
    raise SystemExit(main())
