"""Protected settings -> storage account, credential and endpoints (spec/lad-handler.md 4.2)."""

from __future__ import annotations

import re
from datetime import datetime

from extension.config import endpoints, sas, values
from extension.config.model import Credential
from extension.config.problems import Problems
from extension.config.values import PROTECTED, Object, member

_SECRETS = ("storageAccountKey", "storageAccountSasToken")
_NAME_CURE = "give the account's name alone: 3 to 24 lower-case letters and digits"


def account_name(protected: Object, problems: Problems) -> str:
    """``storageAccountName``; blanks around it are taken away. "" and an error where there is none."""
    given = values.text(protected, "storageAccountName", PROTECTED, problems)
    if not isinstance(protected.get("storageAccountName", ""), (str, type(None))):
        return ""
    path = member(PROTECTED, "storageAccountName")
    name = given.strip()
    # Keys, tokens and connection strings are pasted into the wrong field: only what looks like a name is repeated.
    shown = name if re.fullmatch(r"[\w.-]{1,30}", name) else ""
    if not name:
        problems.error(path, "Empty storageAccountName", "give the name of the storage account")
    elif values.placeholder(name):
        problems.error(path, "is a placeholder that was not filled in", "give the name of the storage account", shown)
    elif not re.fullmatch(r"[A-Za-z0-9-]{1,63}", name):
        problems.error(path, "is not the name of a storage account", _NAME_CURE, shown)
    elif not re.fullmatch(r"[a-z0-9]{3,24}", name):
        problems.warning(path, "storage account names are 3 to 24 lower-case letters and digits", _NAME_CURE, shown)
    if name and name != given:
        problems.warning(path, "has blanks around it, which are ignored", "remove them")
    return name


def sas_credential(
    account: str, token: str, both: endpoints.Endpoints, now: datetime, problems: Problems
) -> Credential:
    """The credential of ``storageAccountSasToken``, judged at ``now`` (aware); what is odd in it is undone."""
    path = member(PROTECTED, "storageAccountSasToken")
    found = sas.normalise(token, path, problems)
    sas.judge_sas(found, path, now, problems)
    if found.fields.get("spr") == "https" and both.table.startswith("http:"):
        problems.warning(path, "the SAS allows https only (spr), the endpoint is http", "use an https endpoint")
    return Credential(account, "sas", found.token, both.table, path, both.blob)


def credential(protected: Object, exact: bool, now: datetime, problems: Problems) -> Credential | None:
    """Account, key or SAS, and endpoints; None where LAD wrote no document. The three refusals are LAD's own words.

    ``exact``: as LAD 2.3; otherwise a ``file:`` endpoint needs no key. ``now`` (aware) judges the dates of a SAS.
    """
    account = account_name(protected, problems)
    key = values.text(protected, "storageAccountKey", PROTECTED, problems)
    token = values.text(protected, "storageAccountSasToken", PROTECTED, problems)
    given = values.text(protected, "storageAccountEndPoint", PROTECTED, problems)
    both = endpoints.endpoints(account, given, member(PROTECTED, "storageAccountEndPoint"), exact, problems)
    if key and token:
        problems.error(
            PROTECTED,
            "Either storageAccountKey or storageAccountSasToken (but not both) should be given",
            "remove one of the two",
        )
        return None
    if not key.strip() and not token.strip() and (exact or not both.table.startswith("file:")):
        if all(protected.get(name) is None or isinstance(protected.get(name), str) for name in _SECRETS):
            problems.error(
                PROTECTED,
                "Neither storageAccountKey nor storageAccountSasToken is given",
                "give the account's key or, better, an account SAS",
            )
        return None
    if not account:
        return None
    if token.strip():
        return sas_credential(account, token, both, now, problems)
    path = member(PROTECTED, "storageAccountKey")
    if key.strip():
        sas.judge_key(key, path, problems)
    return Credential(account, "key", key.strip(), both.table, path, both.blob)
