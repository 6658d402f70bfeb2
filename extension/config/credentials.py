"""Protected settings -> storage account, credential and endpoint (spec/lad-handler.md 4.2)."""

from __future__ import annotations

import re
from datetime import datetime

from extension.config import endpoints, sas, values
from extension.config.model import Credential
from extension.config.problems import Problems
from extension.config.values import PROTECTED, Object, member

_SECRETS = ("storageAccountKey", "storageAccountSasToken")


def _account_name(protected: Object, problems: Problems) -> str:
    name = values.text(protected, "storageAccountName", PROTECTED, problems)
    path = member(PROTECTED, "storageAccountName")
    if not name:
        problems.error(path, "Empty storageAccountName", "give the name of the storage account")
    elif not re.fullmatch(r"[A-Za-z0-9-]{1,63}", name):
        problems.error(path, "is not the name of a storage account", "give 3 to 24 lower-case letters and digits", name)
    elif not re.fullmatch(r"[a-z0-9]{3,24}", name):
        problems.warning(path, "storage account names are 3 to 24 lower-case letters and digits", value=name)
    return name


def credential(protected: Object, exact: bool, now: datetime, problems: Problems) -> Credential | None:
    """Account, key or SAS, and endpoint; None where LAD wrote no document. The three refusals are LAD's own words.

    ``exact``: as LAD 2.3; otherwise a ``file:`` endpoint needs no key. ``now`` (aware) judges the dates of a SAS.
    """
    account = _account_name(protected, problems)
    key = values.text(protected, "storageAccountKey", PROTECTED, problems)
    token = values.text(protected, "storageAccountSasToken", PROTECTED, problems)
    given = values.text(protected, "storageAccountEndPoint", PROTECTED, problems)
    endpoint_path = member(PROTECTED, "storageAccountEndPoint")
    endpoint = endpoints.table_endpoint(account, given, endpoint_path, exact, problems)
    if key and token:
        problems.error(
            PROTECTED,
            "Either storageAccountKey or storageAccountSasToken (but not both) should be given",
            "remove one of the two",
        )
        return None
    if not key.strip() and not token.strip() and (exact or not endpoint.startswith("file:")):
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
        path = member(PROTECTED, "storageAccountSasToken")
        found = sas.normalise(token, path, problems)
        sas.judge_sas(found, path, now, problems)
        if found.fields.get("spr") == "https" and endpoint.startswith("http:"):
            problems.warning(path, "the SAS allows https only (spr), the endpoint is http", "use an https endpoint")
        return Credential(account, "sas", found.token, endpoint, path)
    path = member(PROTECTED, "storageAccountKey")
    if key.strip():
        sas.judge_key(key, path, problems)
    return Credential(account, "key", key.strip(), endpoint, path)
