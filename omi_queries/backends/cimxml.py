"""A CIM-XML server as a source. pywbem lives in a worker process, because nothing short of killing it bounds an
operation (spec/cim-xml.md T2, T7, T8); this side is light and enforces the deadline.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from omi_queries.backends import frames
from omi_queries.backends.child import Child, Graveyard, clean_environment
from omi_queries.backends.source import Exchange, Question, RawInstance, RefusedError, SourceError
from omi_queries.types import MI_ACCESS_DENIED, MI_FAILED

NAME = "cimxml"
WORKER = "omi_queries.backends.cimxml_worker"
MEMORY_MIB = 512
HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@dataclass(frozen=True)
class Endpoint:
    """A CIM-XML server. ``url`` is ``http(s)://host[:port]``; ``ca_file`` "" means the public authorities.

    ``timeout_s`` bounds each wait for the socket inside the worker, ``memory_mib`` its address space.
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""
    no_verification: bool = False
    timeout_s: float = 10.0
    memory_mib: int = MEMORY_MIB


def worker_argv() -> list[str]:
    """The default command line of the worker."""
    code = f"import sys; sys.path.insert(0, {HOME!r}); from {WORKER} import main; sys.exit(main())"
    return [sys.executable, "-c", code]


class CimxmlSource:
    """Asks ``endpoint`` through one long-lived worker, started by ``argv`` when first needed and again after a kill."""

    name = NAME
    probe_s = 0.0

    def __init__(
        self, endpoint: Endpoint, *, argv: Sequence[str] | None = None, environ: Mapping[str, str] | None = None
    ) -> None:
        self.where = endpoint.url
        self._endpoint = endpoint
        self._argv = list(argv or worker_argv())
        self._environ = clean_environment(os.environ if environ is None else environ)
        self._graveyard = Graveyard()
        self._worker: Child | None = None
        self._ready = False
        self._last_id = 0

    def ask(self, question: Question) -> Exchange:
        """Put a question. SourceError if the worker cannot be started or does not take it."""
        return _Asking(self, {"op": "instances", **question._asdict()})

    def probe(self) -> Exchange:
        """Ask for a class that every server has; an answer of any kind will do, but we must be let in."""
        return _Asking(self, {"op": "probe", "namespace": "root/scx"})

    def close(self) -> None:
        """Kill the worker."""
        self.drop()

    @property
    def pid(self) -> int:
        """The worker's pid, 0 without one."""
        return self._worker.pid if self._worker else 0

    # -- for _Asking

    def worker(self) -> Child:
        """The running worker, started and told its endpoint if there is none."""
        if self._worker is None:
            if self._graveyard.full():
                raise SourceError("killed workers hang in the kernel; no new one is started")
            try:
                self._worker = Child(self._argv, self._environ, 4 + frames.MAX_FRAME)
            except OSError as error:
                raise SourceError(f"the worker {self._argv[0]} cannot be started: {error.strerror}") from None
            self._ready = False
            self.put({f: getattr(self._endpoint, f) for f in Endpoint.__dataclass_fields__})
        return self._worker

    def put(self, message: object) -> None:
        """Send to the worker; SourceError, and the worker is gone, if it does not take it."""
        worker = self._worker
        if worker is None or not worker.write(frames.encode(message)):
            raise self.lost()

    def hear(self, timeout: float) -> dict[str, object] | None:
        """The next message of the worker, None if none came in time; SourceError if it ended or talks nonsense."""
        worker = self._worker
        if worker is None:
            raise SourceError("the worker was ended")
        until = time.monotonic() + timeout
        while True:
            try:
                found = frames.take(worker.out)
            except frames.FrameError as error:
                self.drop()
                raise SourceError(f"the worker sent {error}") from None
            if found is not None:
                if not isinstance(found, dict):
                    self.drop()
                    raise SourceError("the worker sent something that is no message")
                return found
            if worker.ended:
                raise self.lost()
            if not worker.listen(max(0.0, until - time.monotonic())):
                return None

    def lost(self) -> SourceError:
        """The worker ended by itself: bury it and say how."""
        worker = self._worker
        code = worker.exit_code(0.2) if worker else None
        self.drop()
        if worker is not None and worker.overflow:
            return SourceError(f"the answer is larger than {frames.MAX_FRAME >> 20} MiB")
        how = "" if code is None else f" by signal {-code}" if code < 0 else f" with exit code {code}"
        return SourceError(f"the worker ended{how}")

    def drop(self) -> None:
        """Kill the worker; the next question starts another."""
        if self._worker is not None:
            self._graveyard.bury(self._worker)
        self._worker, self._ready = None, False

    def is_ready(self, timeout: float) -> bool:
        """Whether the worker has all it needs, waiting at most ``timeout`` seconds; SourceError if it never will."""
        if not self._ready:
            message = self.hear(timeout)
            if message is None:
                return False
            if not message.get("ready"):
                self.drop()
                raise SourceError(str(message.get("error", "the worker did not start")))
            self._ready = True
        return True

    def next_id(self) -> int:
        """A number that no earlier request had."""
        self._last_id += 1
        return self._last_id


class _Asking:
    """One request to the worker: waits until that is ready, sends, waits for the reply with its number."""

    def __init__(self, source: CimxmlSource, request: dict[str, object]) -> None:
        self._source = source
        self._request = {"id": source.next_id(), **request}
        self._sent: float | None = None
        self._reply: dict[str, object] | None = None
        self._failure: SourceError | None = None
        self._worker = source.worker()

    def sent_at(self) -> float | None:
        """The monotonic time at which the request went out."""
        return self._sent

    def advance(self, timeout: float) -> bool:
        """Wait at most ``timeout`` seconds; True if there is a reply or a failure."""
        until = time.monotonic() + timeout
        try:
            return self._reply is not None or self._failure is not None or self._go_on(until)
        except SourceError as error:
            self._failure = error
            return True

    def _go_on(self, until: float) -> bool:
        if self._sent is None:
            if not self._source.is_ready(max(0.0, until - time.monotonic())):
                return False
            self._sent = time.monotonic()
            self._source.put(self._request)
        while True:
            reply = self._source.hear(max(0.0, until - time.monotonic()))
            if reply is None:
                return False
            if reply.get("id") == self._request["id"]:  # what an abandoned question left behind is passed over
                self._reply = reply
                return True

    def result(self) -> list[RawInstance]:
        """The instances of the reply; SourceError or RefusedError."""
        if self._failure is not None:
            raise self._failure
        reply = self._reply or {}
        error = reply.get("error")
        if error is not None:
            code = reply.get("code")
            if isinstance(code, int) and code:
                raise RefusedError(code, str(error))
            raise SourceError(str(error), MI_ACCESS_DENIED if reply.get("denied") else MI_FAILED)
        listed = reply.get("instances")
        if not isinstance(listed, list):
            raise SourceError("the worker sent no instances")
        return [RawInstance(str(name), *rest) for name, *rest in listed]

    def abandon(self) -> None:
        """Kill the worker unless it has answered: it may be deep in a hostile reply."""
        if self._reply is None and self._source.pid == self._worker.pid:
            self._source.drop()
