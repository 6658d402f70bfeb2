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
from typing import Any

from omi_queries.backends import cimxml_reply, frames
from omi_queries.backends.cimxml_client import connect, failure_text, library
from omi_queries.backends.source import one_line

SLACK_S = 5
"""Seconds over the socket timeout after which the worker ends itself: its parent should have killed it long before."""


class EndpointError(Exception):
    """An endpoint that cannot be used as it is given."""


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
        self._pywbem = library()
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
            self._connection = connect(self._url, **self._arguments)
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
        found = cimxml_reply.ask(
            connection,
            "EnumerateInstances",
            str(request["class_name"]),
            namespace=namespace,
            LocalOnly=False,
            DeepInheritance=False,
            IncludeQualifiers=False,
            IncludeClassOrigin=False,
            PropertyList=None if foreign else list(request["properties"]),
        )
        if foreign:
            return {"instances": [[one.class_name, one.values, one.types] for one in found]}
        return {"instances": [[one.class_name, one.values] for one in found]}

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
        if isinstance(error, self._pywbem.CIMError):
            return f"CIM error {error.status_code} ({error.status_code_name}): {error.status_description}", (
                error.status_code
            )
        if isinstance(error, self._pywbem.AuthError):
            return "user name or password is refused (HTTP 401); set omiUser and omiPassword", 0
        return failure_text(error, self._timeout), 0


if __name__ == "__main__":
    raise SystemExit(main())
