"""The command as a process of its own, and a program that stands in for that of a real OMI: prints what a file says,
or misbehaves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def omicli(*argv: str, secret: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run this project's command."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OMI_")}
    return subprocess.run(
        [sys.executable, "-m", "omi_queries.omicli", *argv],
        env={**clean, "OMI_PASSWORD": secret, **env}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


SCRIPT = """#!/bin/sh
# $1.. = arguments of omicli; the folder holds the answers, and "mode" says how to behave
here='{here}'
printf '%s\\n' "$*" >> "$here/calls"
mode=$(cat "$here/mode")
case "$mode" in
  hang) sleep 60 & wait ;;
  fail) echo "omicli: result: MI_RESULT_FAILED" >&2; exit 1 ;;
  garbage) echo "this is no instance"; exit 0 ;;
  endless) while :; do echo "instance of X"; done ;;
esac
if [ "$1" = noop ]; then echo "got noop response"; exit 0; fi
if [ "$1" = gc ] && [ -f "$here/$3.declaration" ]; then cat "$here/$3.declaration"; exit 0; fi
class=$(echo "$4" | sed 's/.* FROM \\([A-Za-z_]*\\).*/\\1/')
if [ -f "$here/$class" ]; then cat "$here/$class"; exit 0; fi
cat <<END
instance of OMI_Error
{{
    OwningEntity=OMI:CIMOM
    MessageID=OMI:MI_Result:5
    Message=The class does not exist.
    MessageArguments={{}}
    CIMStatusCode=5
}}
END
echo "omicli: result: MI_RESULT_INVALID_CLASS" >&2
exit 5
"""


class FakeOmicli:
    """The program at ``path``; ``answer`` sets what a class prints, ``mode`` how it behaves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = str(folder / "omicli")
        self.mode("ok")
        Path(self.path).write_text(SCRIPT.format(here=folder))
        os.chmod(self.path, 0o755)

    def mode(self, mode: str) -> None:
        """``ok``, ``hang``, ``fail``, ``garbage`` or ``endless``."""
        temporary = self.folder / "mode.new"
        temporary.write_text(mode)
        temporary.replace(self.folder / "mode")

    def answer(self, class_name: str, text: str) -> None:
        """What is printed for the class."""
        (self.folder / class_name).write_text(text)

    def declare(self, class_name: str, text: str) -> None:
        """What ``gc`` prints for the class."""
        (self.folder / f"{class_name}.declaration").write_text(text)

    def calls(self) -> list[str]:
        """The command lines so far."""
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []
