"""SCX_EthernetPortStatistics from /proc/net/dev: counters since the interface came up, not rates."""

from __future__ import annotations

from omi_queries import classes
from omi_queries.scx.family import NOTHING, UINT64_MAX, Ask, Counters, template
from omi_queries.scx.interfaces import Interfaces
from omi_queries.sources import Sources
from omi_queries.types import Instance

CLASS = "SCX_EthernetPortStatistics"


class Network:
    """An instance per listed interface; there is no "_Total"."""

    width = 0

    def __init__(self, sources: Sources, interfaces: Interfaces) -> None:
        self._source = sources.net_dev
        self._interfaces = interfaces
        self._template = template(classes.get(CLASS))

    def counters(self) -> Counters:
        return NOTHING

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        _, table = self._source.get(ask.tick)
        for note in table.notes:
            ask.skip(note)
        found: list[Instance] = []
        for name in self._interfaces.listed(table.rows):
            if ask.wants(name, False):
                row = table.rows[name]
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
        return NOTHING, found
