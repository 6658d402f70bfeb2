"""An mdsd document judged without running it: every problem, and what ``mdsd -v`` would have said."""

from __future__ import annotations

import os
import socket
from datetime import datetime, timezone

from extension.config import document
from extension.config.document_report import MESSAGES, NO_MESSAGES, Message
from extension.config.problems import Problems
from extension.config.resolve import resolve
from extension.config.secrets import decrypt_hex
from extension.plan import Options


def check(data: bytes, path: str, problems: Problems) -> list[Message]:
    """Every problem of the document ``data`` goes to ``problems``; mdsd's own messages are returned.

    mdsd also lists the tables of each account; here nobody is asked, so a wrong signature goes unnoticed.
    """
    verdict: list[Message] = []
    found = document.read(data, path, problems, verdict=verdict)
    if found is not None:
        resolve(
            found,
            Options(),
            socket.gethostname(),
            environ=os.environ,
            decrypt=decrypt_hex,
            now=datetime.now(timezone.utc),
            problems=problems,
            verdict=verdict,
        )
    return verdict


def rendered(verdict: list[Message]) -> str:
    """The verdict as ``mdsd -v`` prints it."""
    if not verdict:
        return NO_MESSAGES + "\n"
    if len({message.file for message in verdict}) == 1:
        verdict = sorted(verdict, key=lambda message: message.line)  # the order in which one pass comes upon them
    return "\n".join([MESSAGES, *(message.render() for message in verdict)]) + "\n"
