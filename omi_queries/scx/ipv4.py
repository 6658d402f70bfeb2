"""The primary IPv4 address of an interface: asked of the kernel, or read from its routing tables below another root."""

from __future__ import annotations

import fcntl
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import socket

_SIOCGIFADDR, _SIOCGIFBRDADDR, _SIOCGIFNETMASK = 0x8915, 0x8919, 0x891B  # linux/sockios.h
_IFNAMSIZ = 16


class Address(NamedTuple):
    """Dotted texts; None for what the interface has not."""

    address: str | None
    mask: str | None
    broadcast: str | None


NONE = Address(None, None, None)
Addresses = Callable[[str], Address]
"""Interface name -> its primary IPv4 address."""


def by_ioctl(name: str) -> Address:
    """The address as netdevice(7) tells it, in the network namespace of this process."""
    import socket  # needed on the running system only, and slow to load

    raw = name.encode("utf-8", "replace")
    if not 0 < len(raw) < _IFNAMSIZ:
        return NONE
    request = struct.pack("16sH14s", raw, socket.AF_INET, b"")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            address = _ask(asked, _SIOCGIFADDR, request)
            if address is None:
                return NONE
            return Address(address, _ask(asked, _SIOCGIFNETMASK, request), _ask(asked, _SIOCGIFBRDADDR, request))
    except OSError:  # no sockets left, or no IPv4 at all
        return NONE


def _ask(asked: socket.socket, code: int, request: bytes) -> str | None:
    try:
        return ".".join(map(str, fcntl.ioctl(asked, code, request.ljust(40, b"\0"))[20:24]))
    except OSError:
        return None


def from_tables(route: str, fib_trie: str) -> dict[str, Address]:
    """Addresses by interface from /proc/net/route and /proc/net/fib_trie, which has no interface names.

    An address is the interface's if it is local and within a network that is routed to the interface directly; its
    mask is that network's. The lowest address is taken: the tables do not say which one is the primary.
    """
    local, broadcast = _hosts(fib_trie)
    found: dict[str, Address] = {}
    for line in route.splitlines()[1:]:
        fields = line.split()
        try:
            name, network, gateway, mask = fields[0], _number(fields[1]), _number(fields[2]), _number(fields[7])
        except (IndexError, ValueError, struct.error):
            continue
        if gateway or not mask or name in found:
            continue
        own = sorted(host for host in local if host & mask == network)
        if own:
            last = network | (~mask & 0xFFFFFFFF)
            found[name] = Address(_dotted(own[0]), _dotted(mask), _dotted(last) if last in broadcast else None)
    return found


def _number(text: str) -> int:
    """/proc/net/route has addresses as hexadecimal numbers in the byte order of the machine (little-endian)."""
    return int(struct.unpack("<I", struct.pack(">I", int(text, 16)))[0])


def _dotted(number: int) -> str:
    return ".".join(map(str, struct.pack(">I", number)))


def _hosts(fib_trie: str) -> tuple[set[int], set[int]]:
    """Host addresses of the local table and the broadcast addresses: a leaf's line, then ``/32 host LOCAL``."""
    local: set[int] = set()
    broadcast: set[int] = set()
    leaf = 0
    for line in fib_trie.splitlines():
        text = line.strip()
        if text.startswith("|-- "):
            try:
                leaf = int(struct.unpack(">I", bytes(map(int, text[4:].split("."))))[0])
            except (ValueError, struct.error):
                leaf = 0
        elif text.startswith("/32 ") and leaf:
            if text.endswith(" LOCAL"):
                local.add(leaf)
            elif text.endswith(" BROADCAST"):
                broadcast.add(leaf)
    return local, broadcast
