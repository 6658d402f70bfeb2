"""Which network interfaces are listed: neither loopback nor virtual, and up at least once (spec/omi-scx.md 8).

Where SCX's scxenum.conf says ``enumvif=true``, virtual ones (docker0, bridges, bonds, VLANs) are listed too.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from omi_queries.scx.conf import lists_virtual_interfaces

IFF_UP, IFF_LOOPBACK, IFF_RUNNING = 0x1, 0x8, 0x40  # linux/if.h


class Interfaces:
    """Looks below ``root``/sys once per interface, and again while it was never up."""

    def __init__(self, root: str) -> None:
        self._net = os.path.join(root, "sys/class/net")
        self._virtual = os.path.join(root, "sys/devices/virtual/net")
        self._with_virtual = lists_virtual_interfaces(root)
        self._listed: dict[str, bool] = {}  # of the interfaces that are there, where it is settled

    def listed(self, present: Collection[str]) -> list[str]:
        """Those of the interfaces ``present`` that are listed, in their order."""
        if any(name not in present for name in self._listed):
            self._listed = {name: yes for name, yes in self._listed.items() if name in present}
        return [name for name in present if self._is_listed(name)]

    def _is_listed(self, name: str) -> bool:
        known = self._listed.get(name)
        if known is not None:
            return known
        virtual = not self._with_virtual and os.path.isdir(os.path.join(self._virtual, name))
        if name == "lo" or "/" in name or virtual:
            self._listed[name] = False
            return False
        flags = self.flags(name)
        if flags is None or flags & (IFF_UP | IFF_RUNNING):  # where /sys does not tell, up is assumed
            self._listed[name] = flags is None or not flags & IFF_LOOPBACK
        elif flags & IFF_LOOPBACK:
            self._listed[name] = False
        return self._listed.get(name, False)  # one that was never up is asked again next time

    def flags(self, name: str) -> int | None:
        """The interface's flags now, None if they cannot be read."""
        text = self._line(name, "flags")
        try:
            return int(text, 16)
        except ValueError:
            return None

    def address(self, name: str) -> bytes | None:
        """The first six bytes of the hardware address, None if there are not as many."""
        try:
            found = bytes.fromhex(self._line(name, "address").replace(":", " "))
        except ValueError:
            return None
        return found[:6] if len(found) >= 6 else None

    def _line(self, name: str, file: str) -> str:
        try:
            with open(os.path.join(self._net, name, file), "rb") as opened:
                return opened.read(256).split(b"\n", 1)[0].decode("ascii", "replace").strip()
        except (OSError, ValueError):
            return ""
