"""SCX_EthernetPortStatistics from /proc/net/dev: counters since the interface came up, not rates."""

from __future__ import annotations

import os

from omi_queries import classes
from omi_queries.scx.family import UINT64_MAX, Ask, Counters, template
from omi_queries.sources import Sources
from omi_queries.types import Instance

CLASS = "SCX_EthernetPortStatistics"
_IFF_UP, _IFF_LOOPBACK, _IFF_RUNNING = 0x1, 0x8, 0x40  # linux/if.h


class Network:
    """An instance per interface that is neither loopback nor virtual and was up once; there is no "_Total"."""

    width = 0

    def __init__(self, sources: Sources) -> None:
        self._source = sources.net_dev
        self._net = os.path.join(sources.root, "sys/class/net")
        self._virtual = os.path.join(sources.root, "sys/devices/virtual/net")
        self._template = template(classes.get(CLASS))
        self._listed: dict[str, bool] = {}  # of the interfaces that are there: False for good, True for good

    def counters(self) -> Counters:
        return Counters(0.0, {})

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        _, table = self._source.get(ask.tick)
        for note in table.notes:
            ask.skip(note)
        if any(name not in table.rows for name in self._listed):
            self._listed = {name: yes for name, yes in self._listed.items() if name in table.rows}
        found: list[Instance] = []
        for name, row in table.rows.items():
            if self._is_listed(name) and ask.wants(name, False):
                received, sent = row[0], row[3]
                instance = dict(self._template)
                instance["InstanceID"] = name
                instance["BytesTransmitted"] = sent
                instance["BytesReceived"] = received
                instance["PacketsTransmitted"] = row[4]
                instance["PacketsReceived"] = row[1]
                instance["BytesTotal"] = (received + sent) & UINT64_MAX
                instance["TotalRxErrors"] = row[2]
                instance["TotalTxErrors"] = row[5]
                instance["TotalCollisions"] = row[6]
                found.append(instance)
        return Counters(0.0, {}), found

    def _is_listed(self, name: str) -> bool:
        known = self._listed.get(name)
        if known is not None:
            return known
        if name == "lo" or "/" in name or os.path.isdir(os.path.join(self._virtual, name)):
            self._listed[name] = False
            return False
        flags = self._flags(name)
        if flags & _IFF_LOOPBACK:
            self._listed[name] = False
        elif flags & (_IFF_UP | _IFF_RUNNING):
            self._listed[name] = True
        return self._listed.get(name, False)  # one that was never up is asked again next time

    def _flags(self, name: str) -> int:
        """Interface flags; where /sys does not tell, up is assumed."""
        try:
            with open(os.path.join(self._net, name, "flags"), "rb") as file:
                return int(file.read(32), 16)
        except (OSError, ValueError):
            return _IFF_UP
