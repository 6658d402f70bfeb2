"""``python -m omi_queries.server``: the emulated OMI service in the foreground.

It serves until SIGTERM or SIGINT; SIGHUP reads the credentials again (and keeps the old ones if they are unusable).
Exit code 0 after a stop, 1 if it cannot start (one line says why), 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import ipaddress
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from omi_queries import VERSION
from omi_queries.backends.procfs import ProcfsBackend
from omi_queries.scx.families import SCX, TRUE_DELTA
from omi_queries.server import auth, privileges
from omi_queries.server.exchange import Exchange
from omi_queries.server.limits import DEFAULT, Limits
from omi_queries.server.loop import Listener, Loop
from omi_queries.server.operations import Operations
from omi_queries.server.product import DESCRIPTION, NAME
from omi_queries.server.repository import Repository
from omi_queries.server.tally import Tally
from omi_queries.server.transport import Plain, Transport

_BACKLOG = 64


class StartError(Exception):
    """The service cannot start; one line with cause and cure."""


class Address(NamedTuple):
    """Where to listen: an IP address and a port (0: any free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Settings(NamedTuple):
    """Everything that a start needs. ``plain`` and ``tls`` are addresses, ``cert`` and ``key`` files of TLS."""

    plain: tuple[Address, ...]
    tls: tuple[Address, ...]
    credentials: str
    generate: bool = False
    cert: str = ""
    key: str = ""
    user: str = privileges.DEFAULT_USER
    remote: bool = False
    root: str = "/"
    rate_window: str = TRUE_DELTA


def parse_address(text: str) -> Address:
    """``ADDRESS:PORT`` with a numeric address, ``[ADDRESS]:PORT`` for IPv6. ValueError otherwise."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: an IPv6 address stands in brackets, as in [::1]:5988")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is not ADDRESS:PORT, for example 127.0.0.1:5988")
    try:
        return Address(str(ipaddress.ip_address(host)), int(port))
    except ValueError:
        raise ValueError(f"{text!r}: {host!r} is no IP address, write for example 127.0.0.1:{port}") from None


def check(settings: Settings) -> None:
    """Refuse what must not be served. StartError."""
    if not settings.plain and not settings.tls:
        raise StartError("nothing to listen on: give --bind or --tls-bind")
    for address in settings.plain:
        if not ipaddress.ip_address(address.host).is_loopback:
            raise StartError(f"{address}: without TLS only loopback addresses are served; use --tls-bind")
    for address in settings.tls:
        if not ipaddress.ip_address(address.host).is_loopback and not settings.remote:
            raise StartError(f"{address} can be reached by others; give --allow-remote if that is meant")


def serve(
    settings: Settings,
    say: Callable[[str], None],
    ready: Callable[[list[str]], None],
    limits: Limits = DEFAULT,
) -> None:
    """Run the service until a signal ends it. ``say`` takes log lines, ``ready`` the URLs that are served.

    Raises StartError.
    """
    check(settings)
    host = socket.gethostname()
    try:
        if settings.generate and auth.generate(settings.credentials):
            say(f"made {settings.credentials} with user {auth.GENERATED_USER} and a random password")
        credentials = auth.load(settings.credentials)
        listeners, urls = _listeners(settings, host, say)
    except (auth.CredentialsError, OSError) as error:
        raise StartError(str(error)) from None
    backend = _backend(settings)
    repository = Repository(backend, time.monotonic)
    tally = Tally(time.monotonic, say)
    operations = Operations(repository, limits, time.monotonic, host)
    exchange = Exchange(credentials, operations.answer, limits, realm=_realm(host))
    repository.prime()
    try:
        dropped = privileges.drop(settings.user)
    except privileges.PrivilegeError as error:
        raise StartError(str(error)) from None
    if dropped:
        say(dropped)

    def housekeep() -> float | None:
        operations.contexts.expire()
        backend.sample_due()
        due = backend.next_sample_due()
        sample = None if due is None else time.monotonic() + due - backend.boottime()
        times = (operations.contexts.next_end(), repository.forget(), sample)
        return min((at for at in times if at is not None), default=None)

    loop = Loop(listeners, exchange, limits, time.monotonic, tally, housekeep)
    with _Signals() as signals:

        def stopping() -> bool:
            if signals.take_reload():
                _reload(exchange, settings.credentials, say)
            return signals.stop

        ready(urls)
        loop.run(signals.wake, stopping)
    backend.close()
    summary = tally.summary()
    say(f"stopped{'; refused or given up: ' + summary if summary else ''}")


def _realm(host: str) -> str:
    return "".join(c for c in host if c.isascii() and (c.isalnum() or c in ".-")) or NAME


def _backend(settings: Settings) -> ProcfsBackend:
    return ProcfsBackend(settings.root, rate_window=settings.rate_window)


def _reload(exchange: Exchange, path: str, say: Callable[[str], None]) -> None:
    try:
        exchange.credentials = auth.load(path)
    except auth.CredentialsError as error:
        say(f"credentials not read again, the old ones stay: {error}")
    else:
        say("credentials read again")


class _Signals:
    """SIGTERM and SIGINT set :attr:`stop`, SIGHUP asks for a reload; each wakes the loop through :attr:`wake`."""

    def __init__(self) -> None:
        self.stop = False
        self._reload = False
        self.wake, self._feed = socket.socketpair()
        self.wake.setblocking(False)
        self._feed.setblocking(False)

    def __enter__(self) -> _Signals:
        self._fd = signal.set_wakeup_fd(self._feed.fileno(), warn_on_full_buffer=False)
        handlers = {signal.SIGTERM: self._end, signal.SIGINT: self._end, signal.SIGHUP: self._again}
        self._old = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd)
        self.wake.close()
        self._feed.close()

    def _end(self, *_: object) -> None:
        self.stop = True

    def _again(self, *_: object) -> None:
        self._reload = True

    def take_reload(self) -> bool:
        """Whether a reload was asked for since the last call."""
        asked, self._reload = self._reload, False
        return asked


def _listeners(settings: Settings, host: str, say: Callable[[str], None]) -> tuple[list[Listener], list[str]]:
    """Bound sockets and their URLs."""
    found: list[Listener] = []
    for address in settings.plain:
        found.append(Listener(_bound(address), Plain))
    urls = [f"http://{_name(one.sock)}" for one in found]
    if settings.tls:
        wrap = _tls_wrap(settings, host, say)
        secure = [Listener(_bound(address), wrap) for address in settings.tls]
        urls += [f"https://{_name(one.sock)}" for one in secure]
        found += secure
    return found, urls


def _tls_wrap(settings: Settings, host: str, say: Callable[[str], None]) -> Callable[[socket.socket], Transport]:
    from omi_queries.server import tls  # OpenSSL is 3 MiB that plain HTTP does without

    try:
        if tls.ensure_certificate(settings.cert, settings.key, host):
            say(f"made a self-signed certificate, {settings.cert}")
        context = tls.context(settings.cert, settings.key)
    except tls.TlsError as error:
        raise StartError(str(error)) from None
    return lambda sock: tls.Tls(sock, context)


def _bound(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address.host, address.port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise StartError(f"cannot listen on {address}: {error.strerror}") from None
    return sock


def _name(sock: socket.socket) -> Address:
    host, port = sock.getsockname()[:2]
    return Address(host, port)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the service."""
    add = parser.add_argument
    add("--bind", action="append", default=[], metavar="ADDRESS:PORT", help="serve HTTP here (loopback only)")
    add("--tls-bind", action="append", default=[], metavar="ADDRESS:PORT", help="serve HTTPS here")
    add("--credentials", required=True, metavar="FILE", help="lines user:password, mode 0600")
    add("--generate-credentials", action="store_true", help="make the file with a random password if it is not there")
    add("--tls-cert", default="", metavar="FILE", help="certificate (default: server.pem beside the credentials)")
    add("--tls-key", default="", metavar="FILE", help="its key, mode 0600 (default: server.key beside the credentials)")
    add("--allow-remote", action="store_true", help="let --tls-bind be an address that others can reach")
    add("--user", default=privileges.DEFAULT_USER, help="user to become when started by root (default: %(default)s)")
    add("--root", default="/", metavar="DIR", help="where /proc and /sys are looked up (default: /)")
    add("--rate-window", choices=(TRUE_DELTA, SCX), default=TRUE_DELTA,
        help="scx: rates as the original's sampler makes them")  # fmt: skip
    add("--version", action="version", version=f"{NAME} {VERSION} (emulated OMI service)")


def settings_from(args: argparse.Namespace) -> Settings:
    """Settings of parsed options. ValueError for a malformed address."""
    beside = os.path.dirname(os.path.abspath(args.credentials))
    return Settings(
        tuple(parse_address(text) for text in args.bind),
        tuple(parse_address(text) for text in args.tls_bind),
        args.credentials,
        args.generate_credentials,
        args.tls_cert or os.path.join(beside, "server.pem"),
        args.tls_key or os.path.join(beside, "server.key"),
        args.user,
        args.allow_remote,
        args.root,
        args.rate_window,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m omi_queries.server",
        description=f"{DESCRIPTION}: the SCX classes over CIM-XML, read-only, always with Basic authentication.",
    )
    add_arguments(parser)
    args = parser.parse_args(argv)
    try:
        settings = settings_from(args)
    except ValueError as error:
        parser.error(str(error))
    try:
        serve(settings, _say, _ready)
    except StartError as error:
        _say(str(error))
        return 1
    return 0


def _say(line: str) -> None:
    with contextlib.suppress(OSError):
        print(f"omi-server: {line}", file=sys.stderr, flush=True)


def _ready(urls: list[str]) -> None:
    with contextlib.suppress(OSError):
        for url in urls:
            print(f"listening on {url}", flush=True)
