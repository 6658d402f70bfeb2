"""CMS encryption with the openssl command: secrets travel by standard input only, never in argv or in messages."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

DEADLINE = 20.0
"""Seconds that one openssl run may take."""

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
"""As :func:`subprocess.run`, which is what None stands for."""


class SecretError(Exception):
    """Encrypting or decrypting failed; the text names the file and openssl's reason, never the data.

    ``tool``: it is the openssl command that does not work here, whatever it is asked.
    """

    def __init__(self, message: str, tool: bool = False) -> None:
        super().__init__(message)
        self.tool = tool


def _openssl(args: list[str], data: bytes, run: Run | None) -> tuple[bytes | None, str]:
    """Output of ``openssl ARGS`` fed with ``data``, or None and the reason; SecretError if there is no use in more."""
    import subprocess  # here, because settings whose secrets stay as they are need none of it

    try:
        run = run or subprocess.run
        done = run(["openssl", *args], input=data, capture_output=True, timeout=DEADLINE, check=False)
    except FileNotFoundError:
        raise SecretError("the openssl command is not installed", tool=True) from None
    except subprocess.TimeoutExpired:
        raise SecretError(f"openssl gave no answer within {DEADLINE:g} s", tool=True) from None
    except OSError as problem:
        raise SecretError(f"openssl cannot be started: {problem.strerror}", tool=True) from None
    if done.returncode == 0:
        return done.stdout, ""
    lines = [line.strip() for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if ":error:" in line or line.startswith("error:")]
    told = (errors or lines or [f"exit code {done.returncode}"])[-1]
    return None, ":".join(part for part in told.split(":")[-5:] if part)[:200]


def _readable(path: str, what: str) -> None:
    try:
        with open(path, "rb") as f:
            f.read(1)
    except OSError as problem:
        raise SecretError(f"{what} {path}: {problem.strerror}") from None


def decrypt_cms(der: bytes, cert: str | None, key: str, run: Run | None = None) -> bytes:
    """The plain bytes of a DER CMS EnvelopedData.

    ``key`` is the path of the PEM private key, ``cert`` that of its certificate (found among the recipients), or None.
    ``openssl cms`` is tried first, then ``openssl smime``. :class:`SecretError` names the file and the reason.
    """
    _readable(key, "private key")
    if cert is not None:
        _readable(cert, "certificate")
    reasons: list[str] = []
    for command in ("cms", "smime"):
        recipient = ["-recip", cert] if cert is not None else []
        plain, reason = _openssl([command, "-decrypt", "-inform", "DER", *recipient, "-inkey", key], der, run)
        if plain is not None:
            return plain
        reasons.append(f"openssl {command}: {reason}")
    raise SecretError(f"cannot be decrypted with {key} ({'; '.join(dict.fromkeys(reasons))})")


def decrypt_hex(text: str, key: str, run: Run | None = None) -> str:
    """The plain text of a secret as documents carry it: upper-case hex of DER CMS, with its ``decryptKeyPath``."""
    try:
        der = bytes.fromhex(text)
    except ValueError:
        raise SecretError(f"is not hexadecimal, so it cannot be decrypted with {key}") from None
    beside = os.path.splitext(key)[0] + ".crt"
    cert = beside if key.endswith(".prv") and os.path.exists(beside) else None
    try:
        plain = decrypt_cms(der, cert, key, run).decode("utf-8")
    except UnicodeDecodeError:
        plain = ""
    # Without a matching recipient openssl may answer with noise instead of an error.
    if not plain or not plain.isprintable():
        raise SecretError(f"gives no text when decrypted with {key}: it was encrypted for another certificate")
    return plain


def seal_for(cert_path: str, key_path: str, run: Run | None = None) -> Callable[[str], tuple[str, str]]:
    """A function that encrypts a text for the certificate: (upper-case hex of DER CMS, ``key_path``)."""

    def seal(secret: str) -> tuple[str, str]:
        _readable(cert_path, "certificate")
        reasons: list[str] = []
        for command in ("cms", "smime"):
            args = [command, "-encrypt", "-binary", "-outform", "DER", "-aes256", cert_path]
            der, reason = _openssl(args, secret.encode("utf-8"), run)
            if der:
                return der.hex().upper(), key_path
            reasons.append(f"openssl {command} -encrypt: {reason or 'no output'}")
        raise SecretError(f"for {cert_path}: {'; '.join(reasons)}")

    return seal
