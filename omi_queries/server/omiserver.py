"""The ``omiserver`` command: starts and stops the emulated service as a daemon, with the original's options and texts.

Its files are in ``$LAD_STATE_DIR/omi`` (``/var/lib/lad-emulator/omi``): ``omiserver.conf`` and ``credentials`` are made
by the first start. Exit code 0, or 1 with one line that says why not.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import select
import signal
import stat
import sys
import time
from collections.abc import Mapping, Sequence

from omi_queries import VERSION
from omi_queries.scx.families import TRUE_DELTA
from omi_queries.server.paths import Paths, paths
from omi_queries.server.privileges import DEFAULT_USER
from omi_queries.server.product import NAME
from omi_queries.server.service import Address, Settings, StartError, serve

PROGRAM = "omiserver"
_LOOPBACK = "127.0.0.1"
_START_DEADLINE_S = 45.0
_STOP_DEADLINE_S = 5.0
_LOG_SIZE = 1024 * 1024
_MAX_CONF = 64 * 1024
_DEFAULT_CONF = """\
# The emulated OMI service (CIM-XML on 127.0.0.1). 0 switches a port off.
httpport=5988
httpsport=0
# The user that the service becomes when root starts it.
service=nobody
"""
_KEYS = ("httpport", "httpsport", "service", "ratewindow")


def parse_conf(text: str, path: str) -> dict[str, str]:
    """``key=value`` lines, ``#`` comments. StartError naming the line for anything else and for an unknown key."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = (part.strip() for part in stripped.partition("="))
        if not equals:
            raise StartError(f"{path} line {number}: not key=value")
        if key not in _KEYS:
            raise StartError(f"{path} line {number}: unknown key {key[:40]!r}; there are {', '.join(_KEYS)}")
        found[key] = value
    return found


def ports(value: str, name: str) -> list[int]:
    """The ports of a comma-separated list without 0. StartError if one is no port."""
    found: list[int] = []
    for part in value.split(","):
        text = part.strip()
        if not text.isascii() or not text.isdigit() or int(text) > 65535:
            raise StartError(f"{name}: {text[:40]!r} is not a port")
        if int(text):
            found.append(int(text))
    return found


def settings(conf: Mapping[str, str], where: Paths) -> Settings:
    """What to serve. StartError if nothing is."""
    plain = tuple(Address(_LOOPBACK, port) for port in ports(conf.get("httpport", "0"), "httpport"))
    secure = tuple(Address(_LOOPBACK, port) for port in ports(conf.get("httpsport", "0"), "httpsport"))
    if not plain and not secure:
        raise StartError(f"httpport and httpsport are both 0, so there is nothing to serve; set one in {where.conf}")
    window = conf.get("ratewindow", TRUE_DELTA)
    if window not in (TRUE_DELTA, "scx"):
        raise StartError(f"{where.conf}: ratewindow must be {TRUE_DELTA} or scx")
    return Settings(
        plain, secure, where.credentials, True, where.cert, where.key, conf.get("service") or DEFAULT_USER,
        rate_window=window,
    )  # fmt: skip


def _read_conf(where: Paths) -> dict[str, str]:
    try:
        os.makedirs(where.folder, mode=0o700, exist_ok=True)
        with contextlib.suppress(FileExistsError), open(where.conf, "x", encoding="utf-8") as file:
            file.write(_DEFAULT_CONF)
        with open(where.conf, encoding="utf-8") as file:
            return parse_conf(file.read(_MAX_CONF), where.conf)
    except UnicodeDecodeError:
        raise StartError(f"{where.conf}: not UTF-8") from None
    except OSError as error:
        raise StartError(f"{error.filename or where.conf}: {error.strerror}") from None


def running(where: Paths) -> int | None:
    """The pid of the service that holds the lock on the pid file; None if none does, whatever the file says."""
    try:
        fd = os.open(where.pid, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartError(f"{where.pid}: {error.strerror}") from None
    try:
        for _ in range(40):  # the holder writes its pid right after it got the lock
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = os.pread(fd, 32, 0).strip()
                if text.isdigit():
                    return int(text)
                time.sleep(0.05)
            else:
                return None
    finally:
        os.close(fd)
    raise StartError(f"{where.pid} is locked but names no process")


def _hold(where: Paths) -> int:
    """Lock the pid file and write this process to it. The descriptor; StartError if another service holds it."""
    fd = os.open(where.pid, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise StartError(f"{where.pid} is not a file")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except BlockingIOError:
        os.close(fd)
        raise StartError("server is already running") from None
    except BaseException:
        os.close(fd)
        raise
    return fd


def stop(where: Paths) -> bool:
    """End the running service; False if none runs. StartError if it does not end."""
    pid = running(where)
    if pid is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            break
        except OSError as error:
            raise StartError(f"cannot stop the server (process {pid}): {error.strerror}") from None
        deadline = time.monotonic() + _STOP_DEADLINE_S
        while time.monotonic() < deadline:
            if running(where) is None:
                with contextlib.suppress(OSError):
                    os.unlink(where.pid)
                return True
            time.sleep(0.02)
    if running(where) is not None:
        raise StartError(f"the server (process {pid}) does not end")
    return True


def start_daemon(what: Settings, where: Paths) -> None:
    """Start the service in a session of its own and wait until it serves. StartError with its reason if it does not."""
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _in_daemon(what, where, read_end, write_end)
    os.close(write_end)
    os.waitpid(child, 0)
    said = _hear(read_end)
    os.close(read_end)
    if said != "ready":
        raise StartError(said or f"the server did not start; see {where.log}")


def _hear(fd: int) -> str:
    """What the daemon says until it closes the pipe, "" if that takes too long."""
    deadline, parts = time.monotonic() + _START_DEADLINE_S, b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([fd], [], [], left)[0]:
            break
        data = os.read(fd, 4096)
        if not data:
            return parts.decode("utf-8", "replace").strip()
        parts += data
    return ""


def _in_daemon(what: Settings, where: Paths, read_end: int, write_end: int) -> None:
    """Never returns: the first child forks the daemon and ends, the daemon serves."""
    code = 1
    try:
        os.setsid()
        if os.fork():
            code = 0
            return
        os.close(read_end)
        os.chdir("/")
        os.umask(0o077)
        code = _serve_detached(what, where, write_end)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(write_end, f"{type(error).__name__}: {error}"[:500].encode())
    finally:
        os._exit(code)


def _serve_detached(what: Settings, where: Paths, write_end: int) -> int:
    null = os.open(os.devnull, os.O_RDWR)
    if os.path.exists(where.log) and os.path.getsize(where.log) > _LOG_SIZE:
        os.replace(where.log, f"{where.log}.1")
    log = os.open(where.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    for target, source in ((0, null), (1, log), (2, log)):
        os.dup2(source, target)

    def ready(urls: list[str]) -> None:
        _log(f"serving {', '.join(urls)}")
        os.write(write_end, b"ready")
        os.close(write_end)

    try:
        _hold(where)
        serve(what, _log, ready)
    except StartError as error:
        with contextlib.suppress(OSError):
            os.write(write_end, str(error).encode())
        _log(str(error))
        return 1
    return 0


def _log(line: str) -> None:
    stamp = time.strftime("%Y/%m/%d %H:%M:%S", time.gmtime())
    with contextlib.suppress(OSError):
        os.write(2, f"{stamp} [{os.getpid()}] {line}\n".encode())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=f"Emulated OMI service of {NAME} {VERSION}: SCX classes over CIM-XML on 127.0.0.1, read-only. "
        "Without an option it serves in the foreground.",
    )
    add = parser.add_argument
    add("-d", dest="daemon", action="store_true", help="serve as a daemon")
    add("-s", dest="stop", action="store_true", help="stop the daemon")
    add("-r", dest="refresh", action="store_true", help="let the daemon read its configuration and credentials again")
    add("-p", dest="paths", action="store_true", help="print the paths of the files")
    add("-v", "--version", action="store_true", help="print the version")
    add("--httpport", metavar="PORT", help="HTTP port(s), 0 for none (default: from omiserver.conf)")
    add("--httpsport", metavar="PORT", help="HTTPS port(s), 0 for none (default: from omiserver.conf)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    args = _parser().parse_args(argv)
    where = paths(os.environ)
    if args.version:
        print(f"{PROGRAM}: {NAME}-{VERSION} - emulated OMI service")
        return 0
    if args.paths:
        print("\n".join(f"{name}={value}" for name, value in zip(_SHOWN, where, strict=True)))
        return 0
    try:
        return _run(args, where)
    except StartError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
    except OSError as error:
        print(f"{PROGRAM}: {error.filename or where.folder}: {error.strerror}", file=sys.stderr)
    return 1


_SHOWN = ("datadir", "configfile", "credentialsfile", "pemfile", "keyfile", "pidfile", "logfile")


def _run(args: argparse.Namespace, where: Paths) -> int:
    if args.stop:
        if not stop(where):
            raise StartError("server is not running")
        print(f"{PROGRAM}: stopped server")
        return 0
    conf = _read_conf(where)
    conf.update({name: value for name in ("httpport", "httpsport") if (value := getattr(args, name)) is not None})
    what = settings(conf, where)
    if args.refresh:  # root was given up, so a new process is the only one that can read everything again
        if not stop(where):
            raise StartError("server is not running")
        start_daemon(what, where)
        print(f"{PROGRAM}: refreshed server")
    elif args.daemon:
        if running(where) is None:  # as the original: a second start says nothing and leaves the first alone
            start_daemon(what, where)
    else:
        _hold(where)
        serve(what, _log, lambda urls: _log(f"serving {', '.join(urls)}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
