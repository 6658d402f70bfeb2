"""The tenant certificate that protected settings are encrypted for (spec/vm-agent.md 5), made with openssl."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import ssl
import subprocess
import tempfile

_CERTIFICATE = re.compile(r"([0-9A-F]{40})\.crt")
_SECONDS = 60.0


class TenantError(Exception):
    """openssl could not do it; its own words, never the data."""


def _openssl(*args: str, data: bytes = b"") -> bytes:
    try:
        done = subprocess.run(["openssl", *args], input=data, capture_output=True, timeout=_SECONDS, check=False)
    except FileNotFoundError:
        raise TenantError("the openssl command is not on PATH; install the openssl package") from None
    except subprocess.TimeoutExpired:
        raise TenantError(f"openssl {args[0]} did not end within {_SECONDS:g} s") from None
    if done.returncode != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"]
        raise TenantError(f"openssl {args[0]} failed: {lines[-1]}")
    return done.stdout


def tenant(lib_dir: str) -> str:
    """The thumbprint (upper-case hex SHA-1) of the newest tenant certificate in ``lib_dir``, made if there is none."""
    known = []
    for name in os.listdir(lib_dir):
        found = _CERTIFICATE.fullmatch(name)
        if found and os.path.exists(os.path.join(lib_dir, f"{found[1]}.prv")):
            known.append((os.stat(os.path.join(lib_dir, name)).st_mtime, found[1]))
    return max(known)[1] if known else make_tenant(lib_dir)


def make_tenant(lib_dir: str) -> str:
    """A new self-signed certificate and RSA key as ``<THUMB>.crt`` / ``.prv`` (0400); the thumbprint."""
    with tempfile.TemporaryDirectory(dir=lib_dir, prefix=".tenant-") as folder:
        key, cert = os.path.join(folder, "key"), os.path.join(folder, "cert")
        _openssl(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert,
            "-days", "3650", "-subj", "/CN=lad-emulator local tenant",
        )  # fmt: skip
        with open(cert, encoding="ascii") as source:
            der = ssl.PEM_cert_to_DER_cert(source.read())
        thumbprint = hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()
        for path, ending in ((key, "prv"), (cert, "crt")):
            os.chmod(path, 0o400)
            os.replace(path, os.path.join(lib_dir, f"{thumbprint}.{ending}"))
    return thumbprint


def encrypt(lib_dir: str, thumbprint: str, clear: bytes) -> str:
    """base64 of a DER CMS EnvelopedData of ``clear`` for that certificate."""
    cert = os.path.join(lib_dir, f"{thumbprint}.crt")
    message = _openssl("cms", "-encrypt", "-binary", "-outform", "DER", "-aes256", cert, data=clear)
    return base64.b64encode(message).decode()
