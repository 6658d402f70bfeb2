"""The files that the real daemon of a benchmark runs on: document, options and descriptor in one folder."""

from __future__ import annotations

import json
import os

from extension.config.build import generate
from extension.config.machine import Machine

KEY = "c2VjcmV0LXNlY3JldC1zZWNyZXQ="


def configure(folder: str, public: object, protected: object) -> str:
    """Write what ``public`` and ``protected`` settings give; returns the descriptor's path. ``state`` is made too."""
    made = generate(public, protected, machine=Machine("00000000-0000-0000-0000-000000000000", ""))
    if made.xml is None:
        raise SystemExit("; ".join(p.render() for p in made.problems))
    path = {name: os.path.join(folder, name) for name in ("xmlCfg.xml", "options.json", "daemon.json", "state")}
    os.mkdir(path["state"], 0o700)
    with open(path["xmlCfg.xml"], "wb") as file:
        file.write(made.xml)
    with open(path["options.json"], "w", encoding="utf-8") as out:
        json.dump(made.options, out)
    descriptor = {"mode": "systemd", "home": folder, "config": path["xmlCfg.xml"], "options": path["options.json"]}
    descriptor |= {"state_dir": path["state"], "log": os.path.join(folder, "extension.log")}
    with open(path["daemon.json"], "w", encoding="utf-8") as out:
        json.dump(descriptor, out)
    return path["daemon.json"]
