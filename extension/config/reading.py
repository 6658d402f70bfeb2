"""The circumstances under which settings are read."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from datetime import datetime
from typing import NamedTuple

from extension.config.machine import Machine


class Reading(NamedTuple):
    """How settings are read: ``dialect`` is 2.3, 3.0 or 4.0, ``exact`` to the letter; ``now`` judges dates (aware)."""

    dialect: str
    exact: bool
    machine: Machine
    now: datetime

    @property
    def telegraf(self) -> bool:
        """Whether the settings were written for LAD 4.x, which collected with telegraf."""
        return self.dialect == "4.0"
