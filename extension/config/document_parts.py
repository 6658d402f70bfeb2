"""The sections of an mdsd document that come before its events: accounts, schemas and sources."""

from __future__ import annotations

import re

from lxml import etree

from extension.config import xmlsafe
from extension.config.document_model import AccountElement, SourceElement
from extension.config.document_report import Report

_PAIRS = frozenset(
    pair.partition("->")[::2]
    for pair in [
        "bool->mt:bool",
        "str->mt:bool",
        "str->mt:wstr",
        "double->mt:float64",
        "str->mt:float64",
        "int->mt:int32",
        "str->mt:int32",
        "int->mt:int64",
        "str->mt:int64",
        "int-timet->mt:utc",
        "double-timet->mt:utc",
        "str-rfc3339->mt:utc",
    ]
)
_KEY_MISSING = '"{}" must be set for shared key moniker'
_ONE_SCHEMA = (
    '<Source> requires either a valid "schema" attribute or that the "dynamic_schema" attribute be set to "true",'
    " but not both."
)
_SHOWN = 10  # names that a message repeats
MOST_COMPARED = 1000
"""Names among which a misspelt one is looked for, so that a hostile document costs no more than its size."""
_LEADING = re.compile(r"\s*\+?(\d{1,9})(?!\d)", re.ASCII)


def true(element: etree._Element, name: str) -> bool:
    """A boolean attribute as mdsd reads it: ``true`` in any case or ``1``; anything else is false."""
    return (element.get(name) or "").lower() in ("true", "1")


def body(element: etree._Element) -> str:
    """The text of an element, without line ends but with all blanks, as mdsd joins it."""
    return "".join([element.text or "", *(child.tail or "" for child in element)]).replace("\n", "").replace("\r", "")


def whole(element: etree._Element, name: str, report: Report, default: int, least: int = 1, *, said: str = "") -> int:
    """A whole number of at least ``least``; ``default`` where the attribute is missing, -1 and an error (``said`` in
    mdsd's words) where it is none. Of ``15s`` the 15 counts, as in mdsd, with a warning."""
    given = element.get(name)
    if given is None:
        return default
    found = _LEADING.match(given)
    if found and int(found.group(1)) >= least:
        if found.group().strip() != given.strip():
            report.beyond(element, f"{name} is {found.group(1)}: what follows the digits is ignored", value=given)
        return int(found.group(1))
    report.error(
        element,
        f"{name} must be a whole number, at least {least}",
        f'write {name}="{max(default, least)}"',
        given,
        said=said,
    )
    return -1


def _missing(kind: str, name: str) -> str:
    """mdsd's words for an attribute that an account of this kind lacks."""
    if kind == "sas":
        return f'"{name}" must be specified'
    return f'<Account> requires "{name}" attribute' if name == "moniker" else _KEY_MISSING.format(name)


class Accounts:
    """Accounts by moniker. The key's presence is checked here; whether it decrypts is the plan's business."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.found: dict[str, AccountElement] = {}
        self.default = ""

    def read(self, section: etree._Element) -> None:
        """All accounts of one Accounts element."""
        for element in xmlsafe.children(section):
            if element.tag in ("Account", "SharedAccessSignature"):
                self._account(element)

    def _account(self, element: etree._Element) -> None:
        report, at = self._report, self._report.at(element)
        moniker = element.get("moniker") or ""
        if element.get("appInsightsKey"):
            report.beyond(element, "Application Insights accounts are not served: their events give no rows")
            if moniker:
                self._keep(AccountElement("appinsights", moniker, "", "", "", "", False, at))
            return
        account = (element.get("account") or "").replace(" ", "")
        if account != (element.get("account") or ""):
            said = "Account cannot contain spaces; blanks were removed"
            report.warning(element, "blanks in account are ignored", "remove them", said=said)
        table, blob = ((element.get(name) or "").rstrip("/") for name in ("tableEndpoint", "blobEndpoint"))
        key = element.get("key") or ""
        needed = {"moniker": moniker, "account": account, "key": key}
        if table.lower().startswith("file:"):
            del needed["key"]
        kind = "key" if element.tag == "Account" else "sas"
        for number, name in enumerate(name for name, value in needed.items() if not value):
            text, cure = f"<{element.tag}> needs the attribute {name}", f"give {name} a value"
            if number:  # mdsd names the first only
                report.refused(element, text, cure)
            else:
                missing = report.fatal if kind == "sas" or name == "moniker" else report.error
                missing(element, text, cure, said=_missing(kind, name))
        if not all(needed.values()):
            return
        decrypt, default = element.get("decryptKeyPath") or "", true(element, "isDefault")
        self._keep(AccountElement(kind, moniker, account, key, decrypt, table, default, at, blob))

    def _keep(self, account: AccountElement) -> None:
        if account.moniker in self.found:
            self._report.error(
                account.at,
                f"Duplicate creds: moniker {account.moniker}",
                "give each account its own moniker",
                said=f"Duplicate creds {account.moniker} ignored",
            )
            return
        if account.default and self.default:
            said = f"Cannot make {account.moniker} default; another is already set"
            cure = "set isDefault on one account only"
            self._report.error(account.at, "a second account is the default", cure, said=said)
            account = account._replace(default=False)
        self.found[account.moniker] = account
        if account.default:
            self.default = account.moniker

    def has_default(self, element: etree._Element) -> bool:
        """Whether there is a default account at this point of the document; if not, that is fatal to ``element``."""
        if not self.default:
            self._report.fatal(
                element,
                "AddMonikerEventInfo() failed: No default credential is found.",
                'set isDefault="true" on an account above this element',
            )
        return bool(self.default)

    def usable(self, moniker: str, element: etree._Element) -> bool:
        """Whether an event for a remote store may name this account; "" asks for the default one."""
        if not moniker:
            if not self.default:
                cure, said = "name an account or make one the default", "No default credentials were defined"
                self._report.error(element, "No default credential is found", cure, said=said)
            return bool(self.default)
        if moniker in self.found:
            return True
        known = ", ".join(list(self.found)[:_SHOWN]) or "none"
        self._report.error(
            element,
            f"account {moniker} is not defined before this element",
            f"known accounts: {known}",
            said=f"No definition found for account moniker {moniker}",
        )
        return False


class Schemas:
    """Schemas of the input messages, and the sources that use them."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._schemas: dict[str, tuple[tuple[str, str, str], ...]] = {}
        self.sources: dict[str, SourceElement] = {}

    def read(self, section: etree._Element) -> None:
        """All schemas of one Schemas element."""
        for element in section.findall("Schema"):
            name = element.get("name") or ""
            columns = self._columns(element)
            if not name:
                said = '<Schema> requires "name" attribute'
                self._report.fatal(element, "<Schema> needs the attribute name", "give it a name", said=said)
            elif name in self._schemas:
                said = f"Duplicate schema {name} ignored"
                self._report.error(element, f"schema {name} is given twice", "rename one of the two", said=said)
            else:
                self._schemas[name] = columns

    def _columns(self, schema: etree._Element) -> tuple[tuple[str, str, str], ...]:
        found: dict[str, tuple[str, str, str]] = {}
        for column in schema.findall("Column"):
            if not self._report.required(
                column, "name", "type", "mdstype", said="Missing required attributes (name, type, mdstype)"
            ):
                continue
            name, source_type, mds_type = (column.get(a) or "" for a in ("name", "type", "mdstype"))
            if name in found:
                said = f"Column {name} already added to Schema {schema.get('name')}"
                self._report.error(column, f"column {name} is given twice", "remove one of the two", said=said)
            elif (source_type, mds_type) not in _PAIRS:
                near = ", ".join(sorted(mds for source, mds in _PAIRS if source == source_type))
                self._report.error(
                    column,
                    f"type {source_type} cannot become mdstype {mds_type}",
                    f"{source_type} becomes {near}" if near else "use a pair such as str and mt:wstr",
                )
            else:
                found[name] = (name, source_type, mds_type)
        return tuple(found.values())

    def read_sources(self, section: etree._Element, accounts: Accounts) -> None:
        """The in-memory tables that one Sources element creates."""
        for element in section.findall("Source"):
            self._source(element, accounts)

    def _source(self, element: etree._Element, accounts: Accounts) -> None:
        report = self._report
        name, schema = element.get("name") or "", element.get("schema") or ""
        dynamic = true(element, "dynamic_schema")
        if not name:
            said = '<Source> requires a "name" attribute'
            report.fatal(element, "<Source> needs the attribute name", "give it a name", said=said)
        if bool(schema) == dynamic:
            text = f"source {name} needs exactly one of schema and dynamic_schema"
            report.fatal(element, text, "keep one", said=_ONE_SCHEMA)
        if not name:
            return
        columns = None if dynamic else self._schemas.get(schema)
        if columns is None and not dynamic and schema:
            known = ", ".join(sorted(self._schemas)[:_SHOWN]) or "none"
            said = f"Undefined schema {schema} referenced"
            report.error(element, f"schema {schema} is not defined", f"known schemas: {known}", said=said)
        if name in self.sources:
            said = f"Source {name} already mapped to a schema; ignored"
            if dynamic:
                said = f"Dynamic Schema Source {name} has already been configured; ignored"
            report.error(element, f"source {name} is given twice", "remove one of the two", said=said)
            return
        accounts.has_default(element)
        self.sources[name] = SourceElement(name, columns, report.at(element))
