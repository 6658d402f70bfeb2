"""Who this machine is, and how it reaches the network: UUID, deployment, proxy (spec/lad-handler.md 4.6, 4.7)."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import os
from typing import NamedTuple

from extension import hashes
from extension.config import xmlsafe

_NAMESPACE = bytes.fromhex("6f0d9d3e52c85a0e9c436c1f2d1f6a57")  # fixed, so that a machine keeps its derived UUID
_LIMIT = 1024 * 1024


class Machine(NamedTuple):
    """``vm_uuid``: upper-case UUID text, "" if none can be told; ``deployment_id``: "" outside a hosted environment;
    ``proxy``: ``host[:port]`` as the VM agent's configuration has it, "" without one.
    """

    vm_uuid: str
    deployment_id: str
    proxy: str = ""


def _text(path: str) -> str:
    try:
        with open(path, "rb") as f:
            return f.read(_LIMIT).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _uuid_of(text: str) -> str:
    """The canonical form of a UUID text; empty if it is none or a firmware's placeholder (all bits alike)."""
    digits = text.upper().strip("{}").replace("-", "")
    hexadecimal = len(digits) == 32 and not digits.strip("0123456789ABCDEF")
    return _written(digits) if hexadecimal and digits.strip("0") and digits.strip("F") else ""


def _written(digits: str) -> str:
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _derived(name: str) -> str:
    """The UUID of version 5 for ``name``; :mod:`uuid` would import half a dozen modules for it."""
    octets = bytearray(hashes.digest("sha1", _NAMESPACE + name.encode())[:16])
    octets[6] = octets[6] & 0x0F | 0x50
    octets[8] = octets[8] & 0x3F | 0x80
    return _written(octets.hex().upper())


def vm_uuid(root: str = "/") -> str:
    """The UUID that the firmware reports, else one derived from ``/etc/machine-id``, else ""."""
    found = _uuid_of(_text(os.path.join(root, "sys/class/dmi/id/product_uuid")))
    if found:
        return found
    machine_id = _text(os.path.join(root, "etc/machine-id"))
    return _derived(machine_id) if machine_id else ""


def deployment_id(waagent_dir: str) -> str:
    """The deployment's name in the agent's ``HostingEnvironmentConfig.xml``.

    "" without that file; ``unknown`` when the file names none, which is the value readers know from LAD.
    """
    path = os.path.join(waagent_dir, "HostingEnvironmentConfig.xml")
    try:
        with open(path, "rb") as f:
            data = f.read(_LIMIT)
    except OSError:
        return ""
    try:
        root = xmlsafe.parse(data)
    except xmlsafe.XmlError:
        return "unknown"
    first = next((e for e in root.iter() if xmlsafe.local_name(e) == "Deployment"), None)
    return (first.get("name") or "unknown") if first is not None else "unknown"


def agent_proxy(conf: str) -> str:
    """``host:port`` of the VM agent's ``HttpProxy.Host`` and ``.Port``; "" where the host is absent or ``None``."""
    told: dict[str, str] = {}
    for line in _text(conf).splitlines():
        name, separator, value = line.partition("#")[0].partition("=")
        if separator and name.strip() in ("HttpProxy.Host", "HttpProxy.Port"):
            told[name.strip()] = value.strip().strip("\"'")
    host, port = told.get("HttpProxy.Host", ""), told.get("HttpProxy.Port", "")
    if host.lower() in ("", "none"):
        return ""
    return host if port.lower() in ("", "none") else f"{host}:{port}"


def found(root: str = "/", waagent_dir: str | None = None) -> Machine:
    """The machine below the file-system ``root``; ``waagent_dir`` defaults to ``var/lib/waagent`` there."""
    agent = os.path.join(root, "var/lib/waagent") if waagent_dir is None else waagent_dir
    return Machine(vm_uuid(root), deployment_id(agent), agent_proxy(os.path.join(root, "etc/waagent.conf")))
