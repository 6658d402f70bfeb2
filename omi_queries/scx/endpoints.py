"""SCX_LANEndpoint and SCX_IPProtocolEndpoint: what the listed interfaces are called and where they are reached."""

from __future__ import annotations

from omi_queries import classes
from omi_queries.scx.family import NOTHING, Ask, Counters, template
from omi_queries.scx.host import Host
from omi_queries.scx.interfaces import IFF_RUNNING, IFF_UP, Interfaces
from omi_queries.scx.ipv4 import NONE, Address, Addresses, from_tables
from omi_queries.sources import Sources
from omi_queries.types import Instance

LAN, IP = "SCX_LANEndpoint", "SCX_IPProtocolEndpoint"
_ADDRESS = frozenset(["IPv4Address", "SubnetMask", "IPv4BroadcastAddress"])


def enabled_state(flags: int | None) -> int:
    """2 enabled if up, 6 enabled but offline if only running, else 3 disabled; 0 unknown."""
    if flags is None:
        return 0
    return 2 if flags & IFF_UP else 6 if flags & IFF_RUNNING else 3


class LanEndpoints:
    """An instance per listed interface with its hardware address."""

    width = 0

    def __init__(self, sources: Sources, interfaces: Interfaces, host: Host) -> None:
        self._source = sources.net_dev
        self._interfaces = interfaces
        self._host = host
        self._template = template(classes.get(LAN))

    def counters(self) -> Counters:
        return NOTHING

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        _, table = self._source.get(ask.tick)
        for note in table.notes:
            ask.skip(note)
        found: list[Instance] = []
        system = self._host.full_name()
        for name in self._interfaces.listed(table.rows):
            if not ask.wants(name, False):
                continue
            one = dict(self._template)
            one["InstanceID"] = one["ElementName"] = one["Name"] = name
            one["SystemName"] = system
            address = self._interfaces.address(name)
            if address is not None:
                one["MACAddress"] = address.hex()
                one["FormattedMACAddress"] = address.hex("-").upper()
            found.append(one)
        return NOTHING, found


class IpEndpoints:
    """An instance per listed interface with its primary IPv4 address.

    ``addresses`` None: taken from the routing tables below the root.
    """

    width = 0

    def __init__(self, sources: Sources, interfaces: Interfaces, host: Host, addresses: Addresses | None) -> None:
        self._source = sources.net_dev
        self._interfaces = interfaces
        self._host = host
        self._addresses = addresses
        self._template = template(classes.get(IP))

    def counters(self) -> Counters:
        return NOTHING

    def sample(self, ask: Ask) -> tuple[Counters, list[Instance]]:
        _, table = self._source.get(ask.tick)
        for note in table.notes:
            ask.skip(note)
        addresses = self._lookup() if not ask.needs.isdisjoint(_ADDRESS) else (lambda _name: NONE)
        found: list[Instance] = []
        system = self._host.name()
        for name in self._interfaces.listed(table.rows):
            if not ask.wants(name, False):
                continue
            one = dict(self._template)
            one["ElementName"] = one["Name"] = name
            one["SystemName"] = system
            one["EnabledState"] = enabled_state(self._interfaces.flags(name))
            one["IPv4Address"], one["SubnetMask"], one["IPv4BroadcastAddress"] = addresses(name)
            found.append(one)
        return NOTHING, found

    def _lookup(self) -> Addresses:
        if self._addresses is not None:
            return self._addresses
        text = self._host.text
        known = from_tables(
            text("proc/net/route") or text("proc/1/net/route"),
            text("proc/net/fib_trie") or text("proc/1/net/fib_trie"),
        )

        def get(name: str) -> Address:
            return known.get(name, NONE)

        return get
