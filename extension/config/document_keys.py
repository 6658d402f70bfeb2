"""Parts of a document that become parts of row keys, which the storage service may refuse (spec/storage.md 4)."""

from __future__ import annotations

import re

from lxml import etree

from extension.config.document_report import Report

MAX_KEY = 512
_FORBIDDEN = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")


def judge(element: etree._Element, what: str, text: str, report: Report) -> None:
    """Warn of a ``text`` that no key may hold: mdsd sent the rows all the same, and each of them was refused."""
    found = _FORBIDDEN.search(text)
    if found:
        cure = "leave out / \\ # ? and control characters, or write : and four hex digits for each"
        message = f"{what} holds {found.group()!r}, which no key may: the storage service refuses every row with it"
        report.beyond(element, message, cure, text)
    elif len(text.encode("utf-16-le", "surrogatepass")) // 2 > MAX_KEY:
        report.beyond(
            element,
            f"{what} is longer than the {MAX_KEY} characters of a key: the storage service refuses every row with it",
            "shorten it",
        )
