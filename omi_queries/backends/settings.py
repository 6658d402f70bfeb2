"""Where sources are and how they are reached."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from collections.abc import Callable, Sequence
from typing import NamedTuple

from omi_queries import descriptors as limits
from omi_queries import reprs

BACKENDS = ("auto", "procfs", "cimxml", "omicli")
RATE_WINDOWS = ("delta", "scx")
OMICLI = "/opt/omi/bin/omicli"
ONE_SHOT_DEADLINE_S = 10.0


class Settings(NamedTuple):
    """Where sources are. ``endpoint`` "" means none; ``worker`` is the command line of the CIM-XML worker, () for the
    default; ``deadline_s`` bounds one question (with fallback: all questions of one sample); ``command``: for a
    command, whose children nobody would find if it was killed; ``descriptors``: how many may be kept open.
    """

    endpoint: str = ""
    user: str = ""
    password: str = ""
    ca_file: str = ""
    no_verification: bool = False
    omicli: str = OMICLI
    proc_root: str = "/"
    rate_window: str = "delta"
    deadline_s: float = ONE_SHOT_DEADLINE_S
    worker: Sequence[str] = ()
    command: bool = False
    descriptors: Callable[[], int] = limits.own

    def __repr__(self) -> str:
        return reprs.without(self, "password")
