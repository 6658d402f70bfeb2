"""Which source answers: by name, or ``auto`` = CIM-XML endpoint if one is configured, else a real OMI, else /proc."""

from __future__ import annotations

import os
from collections.abc import Sequence

from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.backends.settings import BACKENDS
from omi_queries.backends.settings import Settings as Settings
from omi_queries.types import MI_INVALID_PARAMETER, Backend, QueryError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from omi_queries.backends.fallback import FallbackBackend, Report
    from omi_queries.backends.source import Source

MAX_SHARE_S = 5.0


def open_backend(name: str, settings: Settings) -> Backend:
    """The source of that name alone, for a query asked once; ``auto`` falls back to /proc.

    QueryError(4) for an unknown name, or ``cimxml`` without a (usable) endpoint.
    """
    if name == "auto":
        return with_fallback(name, settings, patience_s=settings.deadline_s)
    source = _source(name, settings)
    if source is None:
        return open_procfs(settings)
    from omi_queries.backends.direct import DirectBackend

    return DirectBackend(source, settings.deadline_s)


def with_fallback(
    name: str, settings: Settings, report: Report = lambda _level, _text: None, patience_s: float = 0.0
) -> FallbackBackend | ProcfsBackend:
    """The source of that name with /proc behind it, for samples; /proc alone if it is the choice.

    QueryError(4) for an unknown name, or ``cimxml`` without a (usable) endpoint.
    """
    source = _source(_chosen(settings) if name == "auto" else name, settings)
    procfs = open_procfs(settings)
    if source is None:
        return procfs
    from omi_queries.backends.fallback import FallbackBackend

    return FallbackBackend(source, procfs, deadline_s=settings.deadline_s, report=report, patience_s=patience_s)


def deadline_for(rates: Sequence[int]) -> float:
    """Seconds that a source may take of a sample when queries are asked every ``rates`` seconds."""
    return min([MAX_SHARE_S, *(rate / 2 for rate in rates)])


def open_procfs(settings: Settings) -> ProcfsBackend:
    """The source that is always there."""
    return ProcfsBackend(settings.proc_root, rate_window=settings.rate_window, descriptors=settings.descriptors)


def _chosen(settings: Settings) -> str:
    if settings.endpoint:
        return "cimxml"
    # the command answers for this machine, not for another root; whether it works, its noop will tell
    if os.path.abspath(settings.proc_root) == "/" and os.path.exists(settings.omicli):
        from omi_queries.backends.omicli import unusable

        if not unusable(settings.omicli):
            return "omicli"
    return "procfs"


def _source(name: str, settings: Settings) -> Source | None:
    """The source of that name, None for ``procfs``. Nothing is started yet."""
    if name == "procfs":
        return None
    if name == "omicli":
        from omi_queries.backends.omicli import OmicliSource

        return OmicliSource(settings.omicli, guarded=settings.command)
    if name != "cimxml":
        raise QueryError(MI_INVALID_PARAMETER, f"unknown source {name[:40]!a}; there are {', '.join(BACKENDS)}")
    from omi_queries.backends.address import check_url
    from omi_queries.backends.cimxml import CimxmlSource, Endpoint

    if not settings.endpoint:
        raise QueryError(MI_INVALID_PARAMETER, "the source cimxml needs the address of a CIM-XML server")
    wrong = check_url(settings.endpoint)
    if wrong:
        raise QueryError(MI_INVALID_PARAMETER, f"the address of the CIM-XML server {wrong}")
    endpoint = Endpoint(
        settings.endpoint,
        settings.user,
        settings.password,
        settings.ca_file,
        settings.no_verification,
        timeout_s=max(0.2, 0.8 * settings.deadline_s),
    )
    return CimxmlSource(endpoint, argv=settings.worker or None)
