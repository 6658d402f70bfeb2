"""Runs inside the container, started by a unit of it: drives the extension with the local VM agent under systemd.

Argument: the folder with ``package.zip``, ``public.json`` and ``protected.json``; writes ``found.json`` there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from typing import Any

UNIT = "lad-emulator.service"
folder = sys.argv[1]
found: dict[str, Any] = {}


def run(*argv: str) -> dict[str, Any]:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    return {"code": done.returncode, "out": done.stdout.strip(), "err": done.stderr.strip()[-2000:]}


def agent(*words: str) -> dict[str, Any]:
    launch = [sys.executable, "-I", "-S", folder + "/code/extension/launch.py", folder + "/code/lib"]
    return run(*launch, "extension.cli", "vm-agent", *words, "--root", "/", "--json")


def unit() -> dict[str, str]:
    shown: str = run("systemctl", "show", UNIT, "-p", "ActiveState,MainPID,NRestarts,UnitFileState")["out"]
    return dict(line.split("=", 1) for line in shown.splitlines())


def until(check: Callable[[], object], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if check():
            return True
        time.sleep(0.2)
    return False


def healthy() -> bool:
    try:
        with open("/var/lib/lad-emulator/daemon.health") as file:
            health = json.load(file)
    except (OSError, ValueError):
        return False
    return bool(health["healthy"]) and str(health["pid"]) == unit()["MainPID"]


os.environ["LAD_SERVICE"] = "systemd"
try:
    zipfile.ZipFile(folder + "/package.zip").extractall(folder + "/code")
    settings = ("--public", folder + "/public.json", "--protected", folder + "/protected.json")
    found["install"] = agent("install", "--package", folder + "/package.zip", *settings)
    found["enable"] = agent("enable")
    found["healthy"] = until(healthy, 30)
    found["enabled"] = unit()
    found["again"] = agent("noop")
    found["unchanged"] = unit()
    os.kill(int(unit()["MainPID"]), signal.SIGKILL)
    found["recovered"] = until(healthy, 40)
    found["restarted"] = unit()
    found["processes"] = run("systemctl", "status", "--no-pager", "-l", UNIT)["out"]
    found["rows"] = until(lambda: os.path.exists(folder + "/tables.db"), 90)
    found["disable"] = agent("disable")
    found["disabled"] = unit()
    found["left"] = run("pgrep", "-f", "extension.collector")["out"]
    found["uninstall"] = agent("uninstall")
    found["unit_file"] = os.path.exists("/etc/systemd/system/" + UNIT)
    found["state"] = os.path.exists("/var/lib/lad-emulator")
finally:
    with open(folder + "/found.json", "w") as file:
        json.dump(found, file, indent=1)
    subprocess.run(["systemctl", "poweroff", "--force"], timeout=60)
