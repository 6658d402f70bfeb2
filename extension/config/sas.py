"""Judging storage credentials without using them: shared keys and SAS tokens (spec/storage.md "SAS forms").

A key or token that looks wrong is still tried, so every finding is a warning. No message repeats any part of a secret
except the plain fields of a SAS (services, resource types, permissions, dates, version).
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import binascii
import re
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from extension.config.problems import Problems

SOON_DAYS = (1, 7, 14)
"""A SAS that expires within so many days is warned of, with the smallest number that holds."""

_KEY_BYTES = 64
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_NEW_SAS = "create an account SAS with services bt, resource types sco and permissions rwlacu"
# Patterns are compiled when they are used first.
_DATE = r"(?ai)(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?\s*(Z|[+-]\d\d(?::?\d\d)?)?"
_VERSION = r"(?a)\d{4}-\d\d-\d\d"
_FIRST_ACCOUNT_SAS = "2015-04-05"
_FIELDS = (
    "sv",
    "ss",
    "srt",
    "sp",
    "se",
    "st",
    "spr",
    "sip",
    "sig",
    "sr",
    "tn",
    "si",
    "spk",
    "srk",
    "epk",
    "erk",
    "ses",
)
_ESCAPES = r"(?:%[0-9A-Fa-f]{2})+"
_MOST_ENCODINGS = 3
_AROUND = " \t\n\r\v\f\N{NO-BREAK SPACE}\N{ZERO WIDTH SPACE}\N{ZERO WIDTH NO-BREAK SPACE}"
_BREAKS = r"[ \t]*[\r\n]+[ \t]*"


class Sas(NamedTuple):
    """A token as it is sent (``token``: no leading ``?``, encoded once) and its fields, decoded."""

    token: str
    fields: dict[str, str]


def parse_date(text: str) -> datetime | None:
    """A SAS date in any ISO form the service takes, as UTC; None if it is none. No zone means UTC."""
    found = re.fullmatch(_DATE, text.strip())
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    micros = int((fraction or "0").ljust(6, "0")[:6])
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), micros, timezone.utc
        )
        if zone and zone.upper() != "Z":
            digits = zone[1:].replace(":", "")
            offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
            moment += -offset if zone[0] == "+" else offset
    except (ValueError, OverflowError):
        return None
    return moment


def unquoted(text: str) -> str:
    """As :func:`urllib.parse.unquote`, whose module takes four milliseconds to load."""
    return re.sub(_ESCAPES, _plain_text, text) if "%" in text else text


def _plain_text(escapes: re.Match[str]) -> str:
    return bytes.fromhex(escapes.group().replace("%", "")).decode("utf-8", "replace")


def _escaped(text: str) -> bool:
    return "%" in text and re.search(_ESCAPES, text) is not None


def _split(token: str, path: str, problems: Problems) -> dict[str, str]:
    fields: dict[str, str] = {}
    for part in token.split("&"):
        name, found, value = part.partition("=")
        if not found:
            continue
        if name in fields:
            shown = name if name in _FIELDS else "a field"
            problems.warning(path, f"the SAS has {shown} more than once; the first one counts", "copy the token anew")
        else:
            fields[name] = value
    return fields


def normalise(token: str, path: str, problems: Problems) -> Sas:
    """``token`` in the one form that works: without ``?``, URL or extra encoding; what was undone is a warning."""
    text = token.strip(_AROUND)
    if text != token:
        problems.warning(path, "the SAS has blanks or line breaks around it, which are ignored", "remove them")
    if "\n" in text or "\r" in text:
        problems.warning(path, "the SAS has line breaks within it, which are ignored", "write it on one line")
        text = re.sub(_BREAKS, "", text)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        problems.warning(path, "the SAS stands in quotes, which are ignored", "remove them")
        text = text[1:-1].strip()
    if "SharedAccessSignature=" in text:
        problems.warning(path, "this is a connection string; only its SAS is used", "give what follows the =")
        text = text.partition("SharedAccessSignature=")[2].partition(";")[0]
    if text[:8].lower().startswith(("http://", "https://")) and "?" in text:
        problems.warning(path, "this is a URL with a SAS; only its query is used", "give the part after the ?")
        text = text.partition("?")[2]
    if text.startswith("?"):
        problems.warning(path, "the SAS starts with ?, which is ignored", "remove the leading ?")
        text = text.lstrip("?")
    if "&amp;" in text:
        problems.warning(path, "the SAS has &amp; in place of &, which is undone", "write & between the fields")
        text = text.replace("&amp;", "&")
    if "=" not in text and _escaped(text):
        problems.warning(path, "the whole SAS is percent-encoded, which is undone", "give the token as it was made")
        for _ in range(_MOST_ENCODINGS):
            text = unquoted(text) if "=" not in text else text
    raw = _split(text, path, problems)
    once = {name: unquoted(value) for name, value in raw.items()}
    if any(_escaped(once.get(name, "")) for name in ("sig", "se", "st")):
        problems.warning(path, "the SAS is percent-encoded twice, which is undone", "encode the token once")
        text = "&".join(f"{n}={unquoted(v)}" for n, v in raw.items())
        once = {name: unquoted(unquoted(value)) for name, value in raw.items()}
    return Sas(text, once)


def plain(value: str) -> str:
    """A field's value as a message may show it: "" if it could hold more of the token than its own field."""
    return value if re.fullmatch(r"[\w:.,+ /-]{1,40}", value) else ""


def _missing(wanted: str, given: str) -> str:
    return "".join(letter for letter in wanted if letter not in given)


def _judge_rights(fields: dict[str, str], path: str, problems: Problems) -> None:
    if "ss" not in fields:
        if "tn" in fields:
            problems.warning(
                path,
                f"this SAS is bound to the table {plain(fields['tn'])} and cannot create or fill any other",
                _NEW_SAS,
            )
        elif "sr" in fields:
            problems.warning(path, "this SAS is for a blob or container and cannot write tables", _NEW_SAS)
        else:
            problems.warning(path, "this does not look like a SAS: it has neither ss nor tn", _NEW_SAS)
        return
    for field_name, wanted, known, reason in (
        ("ss", "bt", "bqtf", "Account SAS must enable blob and table services (ss='bt' or better)"),
        ("srt", "co", "sco", "Account SAS must enable container and object access (srt='co' or better)"),
        ("sp", "acluw", "rwdylacuptfimxeo", "Account SAS must grant sp='acluw' permissions or better"),
    ):
        given = fields.get(field_name, "")
        lacking = _missing(wanted, given)
        if lacking:
            problems.warning(path, f"{reason}; missing: {', '.join(lacking)}", _NEW_SAS)
        strange = _missing(given, known)
        if strange:
            problems.warning(
                path, f"{field_name} of the SAS has letters that the service does not know", _NEW_SAS, plain(strange)
            )


def _judge_limits(fields: dict[str, str], path: str, problems: Problems) -> None:
    """Version, protocol and addresses."""
    version = fields.get("sv", "")
    if version and not re.fullmatch(_VERSION, version):
        problems.warning(path, "the version (sv) of the SAS is not a date", "copy the whole token", plain(version))
    elif version and "ss" in fields and version < _FIRST_ACCOUNT_SAS:
        problems.warning(
            path, f"an account SAS has a version (sv) of {_FIRST_ACCOUNT_SAS} or later", _NEW_SAS, plain(version)
        )
    if fields.get("spr", "https") not in ("https", "https,http"):
        problems.warning(path, "spr of the SAS must be https or https,http", _NEW_SAS, plain(fields["spr"]))
    if fields.get("sip"):
        problems.warning(
            path, "the SAS is accepted from some addresses only (sip)", "check its own", plain(fields["sip"])
        )


def _judge_dates(fields: dict[str, str], path: str, now: datetime, problems: Problems) -> None:
    renew = "create a new SAS and put it into the protected settings"
    moments: dict[str, datetime | None] = {}
    for name, meaning in (("st", "start"), ("se", "expiry")):
        if name in fields:
            moments[name] = parse_date(fields[name])
            if moments[name] is None:
                problems.warning(
                    path,
                    f"the {meaning} date ({name}) of the SAS cannot be read",
                    "write it as 2031-05-06T07:08:09Z",
                    plain(fields[name]),
                )
    start, end = moments.get("st"), moments.get("se")
    if end is not None and end <= now:
        problems.warning(path, f"the SAS expired at {_written(end)}", renew)
    elif end is not None:
        days = next((days for days in SOON_DAYS if end - now <= timedelta(days=days)), 0)
        if days:
            within = f"{days} day{'' if days == 1 else 's'}"
            problems.warning(path, f"the SAS expires soon, within {within}, at {_written(end)}", renew)
    if start is not None and start > now:
        problems.warning(path, f"the SAS is not valid before {_written(start)}", "check the clock and st")
    if start is not None and end is not None and end <= start:
        problems.warning(path, "the SAS ends before it begins (se is not after st)", renew)
    if "se" not in fields and "si" not in fields:
        problems.warning(path, "the SAS has no expiry date (se)", _NEW_SAS)


def _written(moment: datetime) -> str:
    return f"{moment.isoformat(timespec='seconds').removesuffix('+00:00')}Z"


def judge_sas(sas: Sas, path: str, now: datetime, problems: Problems) -> None:
    """Services, resource types, permissions, dates and signature of a SAS; ``now`` is aware."""
    fields = sas.fields
    if _is_key(sas.token):
        problems.warning(path, "this looks like the key of a storage account, not a SAS", _NEW_SAS)
        return
    if not fields:
        problems.warning(path, "this does not look like a SAS: it has no name=value fields", _NEW_SAS)
        return
    _judge_rights(fields, path, problems)
    _judge_dates(fields, path, now, problems)
    _judge_limits(fields, path, problems)
    for name in ("sv", "sig"):
        if not fields.get(name):
            problems.warning(path, f"the SAS has no {name} field", "copy the whole token")
    signature = fields.get("sig", "").replace(" ", "+")
    if signature and not _looks_base64(signature):
        problems.warning(
            path, "the signature (sig) of the SAS is not base64: the token is cut or altered", "copy the whole token"
        )


def _is_base64(text: str) -> bool:
    """Whole base64, judged alike by every Python version."""
    return len(text) % 4 == 0 and _looks_base64(text)


def _looks_base64(text: str) -> bool:
    """Base64's alphabet, not cut: as much padding as its length needs, or more."""
    body = text.rstrip("=")
    padding = len(text) - len(body)
    return not body.strip(_BASE64) and len(body) % 4 != 1 and -len(body) % 4 <= padding <= 2


def _is_key(text: str) -> bool:
    return _is_base64(text) and len(binascii.a2b_base64(text)) == _KEY_BYTES


def judge_key(key: str, path: str, problems: Problems) -> None:
    """Whether a shared key can be one: base64 of 64 bytes."""
    cure = "copy the whole key from the storage account's access keys"
    text = key.strip()
    if text != key:
        problems.warning(path, "the key has blanks or line breaks around it, which are ignored", "remove them")
    if "AccountKey=" in text:
        problems.warning(path, "this looks like a connection string, not a key", "give only what follows AccountKey=")
    elif re.search(r"(^|[?&])sig=", text):
        problems.warning(path, "this looks like a SAS, not a key", "give it as storageAccountSasToken")
    elif not _is_base64(text):
        odd = "its length is odd" if len(text) % 2 else "it is not base64"
        problems.warning(path, f"the key cannot be read: {odd}", cure)
    elif len(binascii.a2b_base64(text)) != _KEY_BYTES:
        problems.warning(path, f"a storage key has {_KEY_BYTES} bytes, this one {len(binascii.a2b_base64(text))}", cure)
