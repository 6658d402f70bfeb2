"""Process 3, only when asked for: the emulated OMI service as a component of the watchdog.

``omi_service`` in options.json is the address to serve HTTP on (loopback), ``omi_service_tls`` the one for HTTPS; the
credentials stand in ``<state>/omi/credentials`` (0600, made at install, at the latest here).
"""

from __future__ import annotations

import os
import signal
import threading
import time

from extension import component
from extension.channel import Channel
from extension.plan import Options

HEARTBEAT_S = 30.0


def folder(state_dir: str) -> str:
    """Where the service keeps credentials and certificate."""
    return os.path.join(state_dir, "omi")


def wanted(options: Options) -> bool:
    """Whether the service is asked for."""
    return bool(options.omi_service or options.omi_service_tls)


def _watch(channel: Channel) -> None:
    """Signs of life while the main thread serves; a watchdog that is gone ends the service."""
    channel.progress("idle")
    while not channel.stopping:
        channel.wait(time.monotonic() + HEARTBEAT_S)
        if channel.stopping:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            channel.progress("idle")


def main() -> int:
    """Serve until SIGTERM or until the watchdog is gone; 0 then, 53 for a bad configuration, 1 if it cannot start."""
    begun = component.start("extension.omi_service")
    if isinstance(begun, int):
        return begun
    where, plan, channel = begun
    if not wanted(plan.options):
        channel.state("warning", "the configuration does not ask for the OMI service")
        return 1
    from omi_queries.server import service

    files = folder(where.state_dir)
    os.makedirs(files, mode=0o700, exist_ok=True)
    channel.send("hello", deadline=3 * HEARTBEAT_S)

    def addresses(text: str) -> tuple[service.Address, ...]:
        return tuple(service.parse_address(part.strip()) for part in text.split(",") if part.strip())

    try:
        settings = service.Settings(
            plain=addresses(plan.options.omi_service),
            tls=addresses(plan.options.omi_service_tls),
            credentials=os.path.join(files, "credentials"),
            generate=True,
            cert=os.path.join(files, "server.pem"),
            key=os.path.join(files, "server.key"),
            root=plan.options.proc_root,
            rate_window=plan.options.rate_window,
        )

        def ready(urls: list[str]) -> None:
            channel.state("ok", f"serving {', '.join(urls)}")
            threading.Thread(target=_watch, args=(channel,), daemon=True).start()

        service.serve(settings, lambda line: channel.log("info", line), ready)
    except (service.StartError, ValueError) as error:
        channel.state("error", str(error))
        return 1
    return 0
