"""A better source with /proc behind it: every sample is answered in its own interval, whatever the source does.

While the source works, it is asked in the sample's path with a deadline that all questions of one tick share. When it
fails, the same sample comes from /proc, and the source is asked again only beside the samples (:meth:`attend`), with a
delay that grows from 10 s to 5 min. A source that answers, but not for one class, is left out for that class alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from omi_queries.backends.direct import START_S, Answers
from omi_queries.backends.foreign import ForeignAnswers
from omi_queries.backends.procfs import ProcfsBackend, ProcfsStream
from omi_queries.backends.retry import RETRY_FIRST_S, RETRY_MAX_S, Retry
from omi_queries.backends.source import Exchange, Question, RefusedError, Source, SourceError, no_answer, not_ready
from omi_queries.binding import ForeignError
from omi_queries.types import MI_FAILED, QueryError, Reading

LOOK_S = 0.25
"""How often an answer that is awaited beside the samples is looked for."""
PROBE_S = 2.0
"""Seconds that the first, small question may take at least."""

Report = Callable[[str, str], None]
"""Called with a level (``info`` or ``warning``) and a line, once per change of state."""


class FallbackBackend:
    """Answers from ``source`` while that works, else from ``procfs``.

    ``deadline_s`` is what all questions of one tick may take together; ``patience_s`` how long the very first reading
    may wait for the source to show that it works (0 in a daemon, which has a next sample). Times are monotonic.
    """

    def __init__(
        self,
        source: Source,
        procfs: ProcfsBackend,
        *,
        deadline_s: float,
        report: Report = lambda _level, _text: None,
        monotonic: Callable[[], float] = time.monotonic,
        retry_first_s: float = RETRY_FIRST_S,
        retry_max_s: float = RETRY_MAX_S,
        patience_s: float = 0.0,
    ) -> None:
        self.name = source.name
        self.source = source
        self.procfs = procfs
        self.good = False
        self.why = ""
        self.monotonic = monotonic
        self._deadline_s = deadline_s
        self._report = report
        self._patience_s = patience_s
        self._retry_times = (retry_first_s, retry_max_s)
        self._retry = self.new_retry()
        self._failed: Question | None = None
        self._probe: Exchange | None = None
        self._probe_begun = 0.0
        self._tick: float | None = None
        self._spent = 0.0

    def open(self, namespace: str, text: str, dialect: str = "wql") -> FallbackStream | LoneStream:
        """Prepare a query; QueryError if its syntax, or what it asks of a class declared here, is wrong."""
        try:
            behind = self.procfs.open(namespace, text, dialect)
        except ForeignError:
            return LoneStream(self, ForeignAnswers(namespace, text, dialect, self.source, self.monotonic))
        return FallbackStream(self, behind, Answers(behind.bound, namespace, self.source, self.monotonic))

    def close(self) -> None:
        """End the source's processes and give up descriptors."""
        self._abandon()
        self.source.close()
        self.procfs.close()

    def new_retry(self) -> Retry:
        """For a class that the source does not answer."""
        return Retry(*self._retry_times)

    def reason(self) -> str:
        """Why samples do not come from the source; "" if they do."""
        return self.why or ("" if self.good else "it has not answered yet")

    def say(self, level: str, text: str) -> None:
        """Report a change of state."""
        self._report(level, f"{self.source.name} ({self.source.where}): {text}")

    # -- beside the samples

    def attend(self) -> None:
        """Go on with finding out whether the source works again. Never waits."""
        if self.good:
            return
        now = self.monotonic()
        if self._probe is None:
            if now < self._retry.at:
                return
            self._begin(now)
        if self._probe is not None:
            self._look(now, 0.0)

    def attention_in(self) -> float:
        """Seconds until :meth:`attend` has something to do; inf while the source works."""
        if self.good:
            return float("inf")
        return LOOK_S if self._probe is not None else max(0.0, self._retry.at - self.monotonic())

    def _begin(self, now: float) -> None:
        self._probe_begun = now
        try:
            # what failed last is what has to work again
            self._probe = self.source.probe() if self._failed is None else self.source.ask(self._failed)
        except SourceError as error:
            self._lost(str(error))

    def _look(self, now: float, timeout: float) -> None:
        probe = self._probe
        if probe is None:
            return
        try:
            if probe.advance(timeout):
                self._probe = None
                probe.result()
                self._found()
                return
        except RefusedError:
            self._found()
            return
        except SourceError as error:
            self._lost(str(error))
            return
        sent, allowed = probe.sent_at(), self._deadline_s
        if self._failed is None:
            allowed = self.source.probe_s or max(allowed, PROBE_S)
        if sent is not None and now - sent > allowed:
            self._abandon()
            self._lost(no_answer(allowed))
        elif sent is None and now - self._probe_begun > START_S:
            self._abandon()
            self._lost(not_ready(START_S))

    def _abandon(self) -> None:
        if self._probe is not None:
            self._probe.abandon()
            self._probe = None

    def _found(self) -> None:
        self.good = True
        self.say("info", "answers" + (" again" if self.why else "") + "; samples come from it")
        self.why = ""

    def _lost(self, why: str) -> None:
        self.good = False
        self._retry.failed(self.monotonic())
        self._missed(why)

    def _missed(self, why: str) -> None:
        """Samples do not come from the source: say so if the reason is new."""
        if why != self.why:
            self.why = why
            self.say("warning", f"{why}; samples come from /proc")

    # -- in the sample's path

    def ask(self, tick: float, answers: Answers | ForeignAnswers, *, alone: bool = False) -> Reading | None:
        """The source's answer to a query of the sample at ``tick``, None if it has to come from /proc.

        ``alone``: nothing can answer instead, so that a source which is just being started is waited for within the
        sample's share of time. RefusedError if the source works but has no answer to this.
        """
        if tick != self._tick:
            self._tick, self._spent = tick, 0.0
        if self._patience_s:
            self._wait_patiently()
        if alone:
            self._spent += self._first_wait(self._deadline_s - self._spent)
        self.attend()
        if not self.good:
            return None
        left = self._deadline_s - self._spent
        begun = self.monotonic()
        try:
            if left <= 0:
                raise SourceError(f"its answers to one sample's queries take longer than {self._deadline_s:.3g} s")
            reading = answers.read(left)
        except SourceError as error:
            self._failed = answers.asked or self._failed
            self._lost(str(error))
            return None
        finally:
            self._spent += self.monotonic() - begun
        self._retry.worked()
        return reading

    def _wait_patiently(self) -> None:
        """Before the very first reading. One who waited in vain is told; what is under way then goes on."""
        patience_s, self._patience_s = self._patience_s, 0.0
        self._first_wait(patience_s)
        if self._probe is not None and not self.why:
            self._missed(not_ready(patience_s) if self._probe.sent_at() is None else no_answer(patience_s))

    def _first_wait(self, patience_s: float) -> float:
        """Wait for the source to show for the first time whether it works; returns the seconds that this took."""
        begun = self.monotonic()
        until = begun + patience_s
        while not self.good and not self.why and self.monotonic() < until:
            self.attend()
            self._look(self.monotonic(), min(0.1, max(0.0, until - self.monotonic())))
        return self.monotonic() - begun


class Better:
    """One query asked of the better source, which may work and yet refuse this one: then it is left alone for a while.

    ``alone``: nothing else answers the query, which fails then. Whoever asked says so; else changes are reported.
    """

    def __init__(self, backend: FallbackBackend, answers: Answers | ForeignAnswers, *, alone: bool) -> None:
        self.names = answers.names
        self.code = MI_FAILED
        """The result number of the refusal."""
        self._backend = backend
        self._answers = answers
        self._alone = alone
        self._retry = backend.new_retry()
        self._refused = ""

    def read(self, tick: float) -> Reading | None:
        """The source's answer, None if there is none."""
        if self._refused and self._backend.monotonic() < self._retry.at:
            return None
        try:
            reading = self._backend.ask(tick, self._answers, alone=self._alone)
        except RefusedError as error:
            self._refuse(error)
            return None
        if reading is not None:
            self._accept()
        return reading

    def why(self) -> str:
        """Why there was no answer, with the name of the source."""
        why = self._backend.reason() or self._refused
        return f"{self._backend.source.name} ({self._backend.source.where}): {why}" if why else ""

    def _refuse(self, error: RefusedError) -> None:
        self._retry.failed(self._backend.monotonic())
        self.code = error.code
        if str(error) != self._refused:
            self._refused = str(error)
            self._say("warning", f"no {self.names}: {error}; its samples come from /proc")

    def _accept(self) -> None:
        self._retry.worked()
        if self._refused:
            self._refused, self.code = "", MI_FAILED
            self._say("info", f"answers for {self.names} again")

    def _say(self, level: str, text: str) -> None:
        if not self._alone:
            self._backend.say(level, text)


class FallbackStream:
    """One query asked of the better source, with a stream of /proc beside it whose rates are always ready."""

    def __init__(self, backend: FallbackBackend, behind: ProcfsStream, answers: Answers) -> None:
        self.bound = behind.bound
        self._better = Better(backend, answers, alone=False)
        self._behind = behind
        self._has_rates = behind.bound.needs_rate()

    def prime(self) -> None:
        """Take the raw counters of /proc now."""
        self._behind.prime()

    def read(self, tick: float) -> Reading:
        """The source's answer, or that of /proc with the reason in ``why``."""
        reading = self._better.read(tick)
        if reading is None:
            return self._behind.read(tick)._replace(why=self._better.why())
        if self._has_rates:
            self._behind.prime()
        return reading

    def state(self) -> dict[str, Any] | None:
        """The raw counters of /proc."""
        return self._behind.state()

    def restore(self, state: Mapping[str, Any]) -> bool:
        """Take over what :meth:`state` gave."""
        return self._behind.restore(state)


class LoneStream:
    """A query on a class that only the better source may have: without its answer there is none."""

    def __init__(self, backend: FallbackBackend, answers: ForeignAnswers) -> None:
        self._backend = backend
        self._better = Better(backend, answers, alone=True)

    def prime(self) -> None:
        """Begin to start the source; rates are its own."""
        self._backend.attend()

    def read(self, tick: float) -> Reading:
        """The source's answer; QueryError with the reason if there is none."""
        reading = self._better.read(tick)
        if reading is None:
            why = f"no {self._better.names}, which /proc does not have: {self._better.why()}"
            raise QueryError(self._better.code, why)
        return reading

    def state(self) -> dict[str, Any] | None:
        """Nothing to keep."""
        return None

    def restore(self, state: Mapping[str, Any]) -> bool:  # noqa: ARG002
        """Nothing to take over."""
        return False
