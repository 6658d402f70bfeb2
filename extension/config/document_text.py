"""Texts of an mdsd document that may have been escaped more than once."""

from __future__ import annotations

import re

_AMPERSANDS = r"&(?:(?:amp|#38);)+"
_LAST_ESCAPES = (("&lt;", "<"), ("&gt;", ">"), ("&apos;", "'"), ("&#39;", "'"), ("&quot;", '"'))


def unescaped(text: str) -> str:
    """A text as mdsd undoes its escapes: ampersands until stable, then the others (spec/mdsd.md 1.1)."""
    if "&" not in text:
        return text
    text = re.sub(_AMPERSANDS, "&", text)
    for escape, plain in _LAST_ESCAPES:
        text = text.replace(escape, plain)
    return text
