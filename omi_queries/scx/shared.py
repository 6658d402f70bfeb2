"""What the providers over one root have in common."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from omi_queries.mounts import MountTable
from omi_queries.scx.interfaces import Interfaces
from omi_queries.scx.space import Space
from omi_queries.sources import Sources

if TYPE_CHECKING:
    from omi_queries.scx.ipv4 import Addresses
    from omi_queries.scx.volume import GeometryOf


class Injected(NamedTuple):
    """What the providers ask of the outside; see :class:`omi_queries.backends.procfs.ProcfsBackend`."""

    boottime: Callable[[], float]
    wall: Callable[[], float]
    statvfs: Callable[[str], os.statvfs_result]
    page_size: int
    hz: int
    descriptors: Callable[[], int]
    addresses: "Addresses | None"
    geometry: "GeometryOf | None"


class Shared(NamedTuple):
    """What providers have in common. ``scx``: with the original's sampler and defects."""

    root: str
    injected: Injected
    scx: bool
    sources: Sources
    mounts: MountTable
    interfaces: Interfaces
    space: Space
