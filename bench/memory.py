"""Resident memory of the three processes at rest, on the settings of the demo: collector, watchdog, uploader.

Starts the real daemon in a temporary folder (rows go to an Azurite if ``--endpoint`` names one, else to the embedded
table store), waits for some samples and prints RSS and private memory beside a bare interpreter of the same run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from extension import demo, spawn
from extension.config.build import generate
from extension.config.machine import Machine

LIMITS = {"collector": 19.0, "watchdog": 12.0, "uploader": 45.0}
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def _mib(pid: int) -> tuple[float, float]:
    """(resident, private) MiB of a process."""
    resident = private = 0
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name == "Rss":
                resident += int(rest.split()[0])
            elif name in ("Private_Clean", "Private_Dirty"):
                private += int(rest.split()[0])
    return resident / 1024, private / 1024


def _bare() -> tuple[float, float]:
    argv = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(30)"]
    child = subprocess.Popen(argv)
    try:
        time.sleep(0.5)
        return _mib(child.pid)
    finally:
        child.kill()
        child.wait()


def _configure(folder: str, endpoint: str | None) -> str:
    """Write document, options and descriptor; returns the descriptor's path."""
    chosen = demo.settings(folder)
    protected = dict(chosen.protected)
    if endpoint:
        protected |= {"storageAccountName": "devstoreaccount1", "storageAccountKey": AZURITE_KEY}
        protected["storageAccountEndPoint"] = endpoint
    made = generate(chosen.public, protected, machine=Machine("", ""))
    if made.xml is None:
        raise SystemExit("; ".join(p.render() for p in made.problems))
    path = {name: os.path.join(folder, name) for name in ("xmlCfg.xml", "options.json", "daemon.json", "state")}
    with open(path["xmlCfg.xml"], "wb") as file:
        file.write(made.xml)
    with open(path["options.json"], "w", encoding="utf-8") as out:
        json.dump(made.options, out)
    descriptor = {"mode": "systemd", "home": folder, "config": path["xmlCfg.xml"], "options": path["options.json"]}
    descriptor |= {"state_dir": path["state"], "log": os.path.join(folder, "extension.log")}
    with open(path["daemon.json"], "w", encoding="utf-8") as out:
        json.dump(descriptor, out)
    return path["daemon.json"]


def main() -> int:
    """Print the table; 1 if a limit is passed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=75.0, help="how long the daemon runs before it is measured")
    parser.add_argument("--endpoint", help="table endpoint of an Azurite, such as http://127.0.0.1:10002/devstoreaccount1")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lad-memory-") as folder:
        child = subprocess.Popen(spawn.module_argv("extension.watchdog", _configure(folder, args.endpoint)))
        try:
            time.sleep(args.seconds)
            pids = {"watchdog": child.pid}
            for name in ("collector", "uploader"):
                with open(os.path.join(folder, "state", f"{name}.lock"), encoding="ascii") as file:
                    pids[name] = int(file.read())
            found = {name: _mib(pid) for name, pid in pids.items()}
        finally:
            child.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(15)
    bare = _bare()
    print(f"{'process':20} {'RSS MiB':>8} {'private':>8} {'/ bare':>7}  limit")
    print(f"{'bare interpreter':20} {bare[0]:8.1f} {bare[1]:8.1f} {1:7.2f}")
    over = 0
    for name, (resident, private) in found.items():
        over += resident > LIMITS[name]
        print(f"{name:20} {resident:8.1f} {private:8.1f} {resident / bare[0]:7.2f}  {LIMITS[name]:.0f}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
