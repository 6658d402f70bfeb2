"""Protected settings of LAD 3.0 and 4.x -> storage account, SAS and endpoints (spec/lad-handler.md 5.2)."""

from __future__ import annotations

from extension.config import credentials, endpoints, values
from extension.config.model import Credential
from extension.config.model30 import Findings
from extension.config.reading import Reading
from extension.config.values import PROTECTED, Object, member

_REFUSED = "Configuration Error: "
_CURE = "create an account SAS with services bt, resource types co and permissions acluw"


def credential(protected: Object, how: Reading, findings: Findings) -> Credential | None:
    """Account, SAS and endpoints; None where LAD refused the settings. The refusals are LAD's own words.

    A ``file:`` endpoint, which LAD did not have, needs no SAS.
    """
    problems = findings.problems
    account = _account_name(protected, findings)
    given = values.text(protected, "storageAccountEndPoint", PROTECTED, problems)
    where = endpoints.endpoints(account, given, member(PROTECTED, "storageAccountEndPoint"), how.exact, problems)
    if protected.get("storageAccountKey") not in (None, ""):
        message = (
            "The storageAccountKey protected setting is deprecated in LAD 3.0 and cannot be used. Instead, use the "
            "storageAccountSasToken setting"
        )
        findings.refuse(member(PROTECTED, "storageAccountKey"), f"{_REFUSED}{message}", _CURE)
    path = member(PROTECTED, "storageAccountSasToken")
    token = values.text(protected, "storageAccountSasToken", PROTECTED, problems)
    if values.placeholder(token):
        problems.error(path, "is a placeholder that was not filled in", _CURE)
    elif token.strip().lstrip("?"):
        found = credentials.sas_credential(account, token, where, how.now, problems)
        return found if account else None
    elif not where.table.startswith("file:"):
        findings.refuse(path, f"{_REFUSED}Must specify storageAccountSasToken in the protected settings", _CURE)
    elif account:
        return Credential(account, "key", "", where.table, path, where.blob)
    return None


def _account_name(protected: Object, findings: Findings) -> str:
    given = protected.get("storageAccountName")
    if given is None or (isinstance(given, str) and not given.strip()):
        findings.refuse(
            member(PROTECTED, "storageAccountName"),
            f"{_REFUSED}Must specify storageAccountName in protected settings",
            "give the name of the storage account",
        )
        return ""
    return credentials.account_name(protected, findings.problems)
