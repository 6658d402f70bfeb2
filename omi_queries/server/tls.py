"""TLS: the certificate (self-signed on first start, by the openssl command), the context, the transport."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import stat
import subprocess
import tempfile

from omi_queries.server.transport import Want

_OPENSSL_DEADLINE_S = 30.0
_DAYS = "3650"


class TlsError(Exception):
    """TLS cannot be served; one line with cause and cure."""


class Tls:
    """A TLS connection that the event loop drives."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = context.wrap_socket(
            sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._sock.fileno()

    def handshake(self) -> Want | None:
        """Go on with the handshake; None when it is done."""
        try:
            self._sock.do_handshake()
        except ssl.SSLWantReadError:
            return Want.READ
        except ssl.SSLWantWriteError:
            return Want.WRITE
        return None

    def recv(self, size: int) -> bytes | Want:
        """Up to ``size`` bytes, b"" at the end."""
        try:
            return self._sock.recv(size)
        except ssl.SSLWantReadError:
            return Want.READ
        except ssl.SSLWantWriteError:
            return Want.WRITE
        except ssl.SSLZeroReturnError:
            return b""

    def send(self, data: memoryview) -> int | Want:
        """How many bytes of ``data`` were taken."""
        try:
            return self._sock.send(data)
        except ssl.SSLWantReadError:
            return Want.READ
        except ssl.SSLWantWriteError:
            return Want.WRITE

    def finish(self) -> None:
        """Say that no more will be sent: close_notify, without waiting for the other one's."""
        with contextlib.suppress(OSError, ValueError):
            self._sock.unwrap()

    def close(self) -> None:
        """Give up the connection."""
        self._sock.close()


def context(cert: str, key: str) -> ssl.SSLContext:
    """A server context of TLS 1.2 or newer. Raises TlsError."""
    try:
        about = os.stat(key)
    except OSError as error:
        raise TlsError(f"{key}: {error.strerror}") from None
    if not stat.S_ISREG(about.st_mode) or about.st_mode & 0o077:
        raise TlsError(f"{key}: others may read the key, or it is no file; chmod 600 {key}")
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "unusable"
        raise TlsError(f"{cert}: certificate or key cannot be loaded ({reason})") from None
    return made


def _no_password() -> str:
    """Asked only for an encrypted key: fail instead of prompting on a terminal."""
    raise ValueError("the key is encrypted")


def ensure_certificate(cert: str, key: str, host: str) -> bool:
    """Make a self-signed certificate for ``host`` and loopback unless both files are there; True if it was made.

    Raises TlsError.
    """
    if os.path.exists(cert) and os.path.exists(key):
        return False
    name = host if len(host) <= 64 else "localhost"  # the limit of a common name
    folder = os.path.dirname(os.path.abspath(key))
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.makedirs(os.path.dirname(os.path.abspath(cert)), mode=0o700, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made_key, made_cert = os.path.join(scratch, "key"), os.path.join(scratch, "cert")
            _openssl(
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-sha256",
                "-days", _DAYS, "-subj", f"/O=lad-emulator/CN={_safe(name)}",
                "-addext", f"subjectAltName=DNS:{_safe(name)},DNS:localhost,IP:127.0.0.1,IP:::1",
                "-keyout", made_key, "-out", made_cert,
            )  # fmt: skip
            os.chmod(made_key, 0o600)
            os.replace(made_key, key)
            os.replace(made_cert, cert)
    except OSError as error:
        raise TlsError(f"{folder}: a certificate cannot be made there: {error.strerror or error}") from None
    return True


def _safe(name: str) -> str:
    return "".join(c for c in name if c.isascii() and (c.isalnum() or c in ".-")) or "localhost"


def _openssl(*args: str) -> None:
    try:
        done = subprocess.run(
            ["openssl", *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=_OPENSSL_DEADLINE_S, check=False
        )
    except FileNotFoundError:
        raise TlsError("the openssl command is not installed; install it or give --tls-cert and --tls-key") from None
    except subprocess.TimeoutExpired:
        raise TlsError(f"openssl did not make a certificate within {_OPENSSL_DEADLINE_S:.0f} s") from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise TlsError(f"openssl cannot make a certificate: {lines[-1][:200] if lines else 'no reason given'}")
