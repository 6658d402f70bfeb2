"""The soft limit of open files (RLIMIT_NOFILE) of a collector that asks for processes."""

from __future__ import annotations

import contextlib

from omi_queries import descriptors


class OpenFiles:
    """Raises it when it is needed first: most collectors do not, nor load :mod:`resource`, 110 KiB."""

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None

    def for_kept(self) -> int:
        """How many descriptors may be kept, with the soft limit raised for them as far as the hard one allows."""
        soft, wanted = descriptors.soft_limit(), descriptors.MOST + descriptors.RESERVE
        if 0 <= soft < wanted:
            import resource

            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            if hard != resource.RLIM_INFINITY:
                wanted = min(wanted, hard)
            with contextlib.suppress(OSError, ValueError):  # a sandbox may forbid it: fewer are kept then
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                self._before = soft, hard
        return descriptors.own()

    def put_back(self) -> None:
        """Set the soft limit to what it was, for a process that is started from here."""
        if self._before is not None:
            import resource

            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(resource.RLIMIT_NOFILE, self._before)
