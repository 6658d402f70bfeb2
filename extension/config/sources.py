"""Settings that LAD had no word for: where values come from. They become part of ``options.json`` (0600).

Public: ``omiBackend``, ``omiEndpoint``, ``omiCaFile``, ``omiNoVerification``, ``rateWindow`` and ``omiService``
(``true`` or ``{"port": N, "tlsPort": N}``: serve the SCX classes on 127.0.0.1). Protected: ``omiUser`` and
``omiPassword``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from extension.config import values
from extension.config.problems import Problems
from extension.config.values import PROTECTED, PUBLIC, Object, member
from omi_queries.backends.address import check_url, in_clear
from omi_queries.backends.settings import BACKENDS, RATE_WINDOWS

PUBLIC_KEYS = ("omiBackend", "omiEndpoint", "omiCaFile", "omiNoVerification", "rateWindow", "omiService")
PROTECTED_KEYS = ("omiUser", "omiPassword")


def options(public: Object, protected: Object, problems: Problems) -> dict[str, object]:
    """The keys for options.json; only those that the settings name."""
    found: dict[str, object] = {
        "omi_backend": values.text(public, "omiBackend", PUBLIC, problems),
        "rate_window": values.text(public, "rateWindow", PUBLIC, problems),
        "omi_endpoint": values.text(public, "omiEndpoint", PUBLIC, problems).strip(),
        "omi_ca_file": values.text(public, "omiCaFile", PUBLIC, problems),
        "omi_no_verification": bool(values.flag(public, "omiNoVerification", PUBLIC, problems)),
        "omi_user": values.text(protected, "omiUser", PROTECTED, problems),
        "omi_password": values.text(protected, "omiPassword", PROTECTED, problems),
    }
    found |= _service(public.get("omiService"), problems)
    named = {key: value for key, value in found.items() if value}
    check(named, _PATHS, problems)
    return named


def _service(given: object, problems: Problems) -> dict[str, object]:
    """Addresses of the emulated OMI service, on loopback only."""
    path = member(PUBLIC, "omiService")
    if given is None or given is False:
        return {}
    ports = {"port": 5988, "tlsPort": 5989} if given is True else given
    cure = 'write true or {"port": 5988, "tlsPort": 5989}'
    if not isinstance(ports, dict):
        problems.error(path, f"must be true, false or an object, is {values.kind(given)}", cure)
        return {}
    found: dict[str, object] = {}
    for name, port in ports.items():
        key = {"port": "omi_service", "tlsPort": "omi_service_tls"}.get(str(name))
        if key is None:
            problems.warning(member(path, str(name)), "unknown key, ignored", cure)
        elif type(port) is not int or not 1 <= port <= 65535:
            problems.error(member(path, str(name)), "must be a port number from 1 to 65535", cure)
        else:
            found[key] = f"127.0.0.1:{port}"
    if not found and not ports:
        problems.error(path, "names no port", cure)
    return found


def check(given: Mapping[str, object], paths: Mapping[str, str], problems: Problems) -> None:
    """What is wrong with options (as in options.json; each of the right type), named by ``paths``."""
    for key, known in (("omi_backend", BACKENDS), ("rate_window", RATE_WINDOWS)):
        if key in given and given[key] not in known:
            near = problems.nearest(str(given[key]), known)
            cure = f"did you mean {near}?" if near else f"write one of them, such as {known[0]}"
            problems.error(paths[key], f"must be one of {', '.join(known)}", cure, str(given[key])[:80])
    endpoint = str(given.get("omi_endpoint", ""))
    wrong = check_url(endpoint) if endpoint else ""
    if wrong:
        what, _, cure = wrong.partition("; ")
        problems.error(paths["omi_endpoint"], what, cure)
    elif given.get("omi_password") and endpoint and in_clear(endpoint):
        problems.warning(paths["omi_endpoint"], "the password crosses the network in clear text", "use https://")
    if given.get("omi_backend") == "cimxml" and not endpoint:
        problems.error(paths["omi_backend"], "cimxml needs the address of a CIM-XML server", "set omiEndpoint")
    if endpoint and given.get("omi_backend") in ("procfs", "omicli"):
        problems.warning(paths["omi_endpoint"], f"is not used while omiBackend is {given['omi_backend']}", "remove it")
    if given.get("omi_password") and not given.get("omi_user"):
        problems.error(paths["omi_password"], "is there without a user name", "set omiUser")
    ca_file = str(given.get("omi_ca_file", ""))
    if ca_file and not os.path.isabs(ca_file):
        problems.error(paths["omi_ca_file"], "must be an absolute path", "write /etc/ssl/...", ca_file[:200])
    if given.get("omi_no_verification") and endpoint.startswith("https://"):
        problems.warning(
            paths["omi_no_verification"],
            "any server is believed to be the one meant, and is given the password",
            "set omiCaFile to the certificate that signed the server's",
        )


_PATHS = {
    "omi_backend": member(PUBLIC, "omiBackend"),
    "rate_window": member(PUBLIC, "rateWindow"),
    "omi_endpoint": member(PUBLIC, "omiEndpoint"),
    "omi_ca_file": member(PUBLIC, "omiCaFile"),
    "omi_no_verification": member(PUBLIC, "omiNoVerification"),
    "omi_user": member(PROTECTED, "omiUser"),
    "omi_password": member(PROTECTED, "omiPassword"),
}
