"""The collector's source of instances, as the options choose it, and when it wants to be looked after."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from extension import spawn
from extension.plan import Plan
from omi_queries import descriptors as limits
from omi_queries.backends import choose
from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.types import Backend

WORKER = "omi_queries.backends.cimxml_worker"


@dataclass(frozen=True)
class Opened:
    """``backend``, and its work beside the samples: ``attend()`` is due in ``attention_in()`` seconds (inf: never)."""

    backend: Backend
    attend: Callable[[], None]
    attention_in: Callable[[], float]


def settings(plan: Plan, descriptors: Callable[[], int] = limits.own) -> choose.Settings:
    """The plan's options as the sources take them; a source gets its share of the shortest interval.

    ``descriptors``: how many may be kept open.
    """
    options = plan.options
    return choose.Settings(
        endpoint=options.omi_endpoint,
        user=options.omi_user,
        password=options.omi_password,
        ca_file=options.omi_ca_file,
        no_verification=options.omi_no_verification,
        omicli=options.omicli_path,
        proc_root=options.proc_root,
        rate_window=options.rate_window,
        deadline_s=choose.deadline_for([query.rate for query in plan.queries]),
        worker=spawn.module_argv(WORKER),
        descriptors=descriptors,
    )


def open_source(plan: Plan, log: Callable[[str, str], None], descriptors: Callable[[], int] = limits.own) -> Opened:
    """The source that the plan asks for, with /proc behind it. QueryError if the options cannot be meant."""
    backend = choose.with_fallback(plan.options.omi_backend, settings(plan, descriptors), log)
    procfs = backend if isinstance(backend, ProcfsBackend) else backend.procfs
    if isinstance(backend, ProcfsBackend):
        return Opened(backend, lambda: _sample(procfs), lambda: _sample_in(procfs))

    def attend() -> None:
        backend.attend()
        _sample(procfs)

    return Opened(backend, attend, lambda: min(backend.attention_in(), _sample_in(procfs)))


def _sample_in(procfs: ProcfsBackend) -> float:
    """Seconds until the sampler of ``rateWindow: scx`` reads its counters again; inf without one."""
    due = procfs.next_sample_due()
    return math.inf if due is None else max(0.0, due - procfs.boottime())


def _sample(procfs: ProcfsBackend) -> None:
    if _sample_in(procfs) <= 0:
        procfs.sample_due()
