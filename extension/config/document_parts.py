"""The sections of an mdsd document that come before its events: accounts, management, schemas and sources."""

from __future__ import annotations

import re

from lxml import etree

from extension.config import xmlsafe
from extension.config.document_model import VOLUMES, AccountElement, IdentityElement
from extension.config.problems import Problems

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
_SHOWN = 10  # names that a message repeats
DUPE_WINDOW = (60, 3600)


def positive(element: etree._Element, name: str, at: str, problems: Problems, default: int) -> int:
    """A whole number of at least 1; ``default`` where the attribute is missing, 0 and an error where it is none."""
    given = element.get(name)
    if given is None:
        return default
    if re.fullmatch(r"\s*\+?\d{1,9}\s*", given, re.ASCII) and int(given) > 0:
        return int(given)
    problems.error(at, f"{name} must be a whole number, at least 1", f'write {name}="{default}"', given)
    return 0


class Accounts:
    """Accounts by moniker. The key's presence is checked here; whether it decrypts is the plan's business."""

    def __init__(self, path: str, problems: Problems) -> None:
        self._path = path
        self._problems = problems
        self.found: dict[str, AccountElement] = {}
        self._has_default = False

    def read(self, section: etree._Element) -> None:
        """All accounts of one Accounts element."""
        for element in xmlsafe.children(section):
            if element.tag in ("Account", "SharedAccessSignature"):
                self._account(element)

    def _account(self, element: etree._Element) -> None:
        at = f"{self._path} line {xmlsafe.line_of(element)}"
        moniker = element.get("moniker") or ""
        if element.get("appInsightsKey"):
            self._problems.warning(at, "Application Insights accounts are not served by this version")
            if moniker:
                self._keep(AccountElement("appinsights", moniker, "", "", "", "", False, xmlsafe.line_of(element)), at)
            return
        account = "".join((element.get("account") or "").split())
        if account != (element.get("account") or ""):
            self._problems.warning(at, "blanks in account are ignored", "remove them")
        endpoint = (element.get("tableEndpoint") or "").rstrip("/")
        key = element.get("key") or ""
        needed = {"moniker": moniker, "account": account, "key": key}
        if endpoint.lower().startswith("file:"):
            del needed["key"]
        for name, value in needed.items():
            if not value:
                self._problems.error(at, f"<{element.tag}> needs the attribute {name}", f"give {name} a value")
        if not all(needed.values()):
            return
        kind = "key" if element.tag == "Account" else "sas"
        default = (element.get("isDefault") or "").lower() in ("true", "1")
        decrypt = element.get("decryptKeyPath") or ""
        line = xmlsafe.line_of(element)
        self._keep(AccountElement(kind, moniker, account, key, decrypt, endpoint, default, line), at)

    def _keep(self, account: AccountElement, at: str) -> None:
        if account.moniker in self.found:
            self._problems.error(at, f"Duplicate creds: moniker {account.moniker}", "give each account its own moniker")
            return
        if account.default and self._has_default:
            self._problems.error(at, "a second account is the default", "set isDefault on one account only")
            return
        self.found[account.moniker] = account
        self._has_default = self._has_default or account.default

    def usable(self, moniker: str, at: str) -> bool:
        """Whether an event may name this account; "" asks for the default one."""
        if moniker:
            if moniker in self.found:
                return True
            known = ", ".join(list(self.found)[:_SHOWN]) or "none"
            self._problems.error(
                at, f"account {moniker} is not defined before this element", f"known accounts: {known}"
            )
            return False
        if self._has_default:
            return True
        self._problems.error(
            at, "No default credential is found", 'set isDefault="true" on an account above the events'
        )
        return False


class Management:
    """Event volume, identity and the fields of the on-behalf-of path."""

    def __init__(self, path: str, problems: Problems) -> None:
        self._path = path
        self._problems = problems
        self.event_volume = ""
        self.identity_type = ""
        self.identity: dict[str, IdentityElement] = {}
        self.obo: list[tuple[str, str]] = []

    def read(self, section: etree._Element) -> None:
        """One Management element."""
        at = f"{self._path} line {xmlsafe.line_of(section)}"
        volume = section.get("eventVolume") or ""
        if volume and volume not in VOLUMES:
            meant = next((v for v in VOLUMES if v.lower() == volume.strip().lower()), "Medium")
            self._problems.warning(
                at, f"eventVolume is not Small, Medium or Large: {meant} is used", f"write {meant}", volume
            )
            volume = meant
        self.event_volume = volume or self.event_volume
        positive(section, "defaultRetentionInDays", at, self._problems, 1)
        for element in xmlsafe.children(section):
            if element.tag == "Identity":
                self._identity(element)
            elif element.tag == "AgentResourceUsage":
                self._usage(element)
            elif element.tag == "OboDirectPartitionField":
                self._obo(element)

    def finish(self, root: etree._Element) -> None:
        """Report what no Management element said."""
        if not self.event_volume:
            at = f"{self._path} line {xmlsafe.line_of(root)}"
            self._problems.warning(
                at, "no eventVolume is given: Medium is used", 'write <Management eventVolume="Medium">'
            )
            self.event_volume = "Medium"

    def _identity(self, element: etree._Element) -> None:
        at = f"{self._path} line {xmlsafe.line_of(element)}"
        given = element.get("type") or ""
        if given and given not in ("TenantRole", "ComputerName"):
            self._problems.error(at, "unknown Identity type", "use TenantRole or ComputerName", given)
        elif given:
            self.identity_type = given
        for component in element.findall("IdentityComponent"):
            self._component(component)

    def _component(self, element: etree._Element) -> None:
        at = f"{self._path} line {xmlsafe.line_of(element)}"
        name = element.get("name") or ""
        variable = element.get("envariable") or ""
        computer_name = (element.get("useComputerName") or "").lower() in ("true", "1")
        text = "".join((element.text or "").splitlines()).strip()
        if not name or " " in name:
            self._problems.error(at, "IdentityComponent needs a name without blanks", "give it a name", name)
        elif variable and computer_name:
            self._problems.error(at, "envariable and useComputerName exclude each other", "keep one of the two")
        elif name in self.identity:
            self._problems.error(at, f"the identity column {name} is given twice", "remove one of the two")
        else:
            if not text and not variable and not computer_name:
                self._problems.warning(at, f"Empty value for IdentityComponent {name}")
            self.identity[name] = IdentityElement(name, text, variable, computer_name, xmlsafe.line_of(element))

    def _usage(self, element: etree._Element) -> None:
        at = f"{self._path} line {xmlsafe.line_of(element)}"
        positive(element, "diskQuotaInMB", at, self._problems, 1)
        window = positive(element, "dupeWindowSeconds", at, self._problems, DUPE_WINDOW[1])
        if window and not DUPE_WINDOW[0] <= window <= DUPE_WINDOW[1]:
            self._problems.warning(
                at, f"dupeWindowSeconds must be {DUPE_WINDOW[0]} to {DUPE_WINDOW[1]}: the nearer is used"
            )

    def _obo(self, element: etree._Element) -> None:
        name, value = element.get("name") or "", element.get("value") or ""
        if name and value:
            self.obo.append((name, value))
            return
        at = f"{self._path} line {xmlsafe.line_of(element)}"
        self._problems.error(at, "OboDirectPartitionField needs name and value", "give both")


class Schemas:
    """Schemas of the input messages, and the sources that use them."""

    def __init__(self, path: str, problems: Problems) -> None:
        self._path = path
        self._problems = problems
        self._names: set[str] = set()
        self.source_names: dict[str, None] = {}

    def read(self, section: etree._Element) -> None:
        """All schemas of one Schemas element."""
        for element in section.findall("Schema"):
            at = f"{self._path} line {xmlsafe.line_of(element)}"
            name = element.get("name") or ""
            if not name:
                self._problems.error(at, "<Schema> needs the attribute name", "give it a name")
            elif name in self._names:
                self._problems.error(at, f"schema {name} is given twice", "rename one of the two")
            self._names.add(name)
            self._columns(element)

    def _columns(self, schema: etree._Element) -> None:
        seen: set[str] = set()
        for column in schema.findall("Column"):
            at = f"{self._path} line {xmlsafe.line_of(column)}"
            name = column.get("name") or ""
            source_type, mds_type = column.get("type") or "", column.get("mdstype") or ""
            if not name:
                self._problems.error(at, "<Column> needs the attribute name", "give it a name")
            elif name in seen:
                self._problems.error(at, f"column {name} is given twice", "remove one of the two")
            seen.add(name)
            if (source_type, mds_type) not in _PAIRS:
                self._problems.error(
                    at,
                    f"type {source_type or '(none)'} cannot become mdstype {mds_type or '(none)'}",
                    "use a pair such as str and mt:wstr",
                )

    def sources(self, section: etree._Element) -> list[str]:
        """The in-memory tables that one Sources element creates."""
        created: list[str] = []
        for element in section.findall("Source"):
            at = f"{self._path} line {xmlsafe.line_of(element)}"
            name, schema = element.get("name") or "", element.get("schema") or ""
            dynamic = (element.get("dynamic_schema") or "").lower() in ("true", "1")
            if not name or " " in name:
                self._problems.error(at, "<Source> needs a name without blanks", "give it a name", name)
                continue
            if bool(schema) == dynamic:
                self._problems.error(at, f"source {name} needs exactly one of schema and dynamic_schema", "keep one")
            elif schema and schema not in self._names:
                known = ", ".join(sorted(self._names)[:_SHOWN]) or "none"
                self._problems.error(at, f"schema {schema} is not defined", f"known schemas: {known}")
            if name in self.source_names:
                self._problems.error(at, f"source {name} is given twice", "remove one of the two")
                continue
            self.source_names[name] = None
            created.append(name)
        return created
