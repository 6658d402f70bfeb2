"""The Management section of an mdsd document: event volume, identity, limits and the fields of blob paths."""

from __future__ import annotations

from lxml import etree

from extension.config import document_keys, xmlsafe
from extension.config.document_model import VOLUMES, IdentityElement
from extension.config.document_parts import body, true, whole
from extension.config.document_report import Report

DUPE_WINDOW = (60, 3600)
TENANT = (
    ("Tenant", "MONITORING_TENANT"),
    ("Role", "MONITORING_ROLE"),
    ("RoleInstance", "MONITORING_ROLE_INSTANCE"),
)
"""Identity type TenantRole: column and environment variable."""


class Management:
    """What the Management elements have said so far."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self.event_volume = ""
        self.identity: dict[str, IdentityElement] = {}
        self.aliases = ("Tenant", "Role", "RoleInstance")
        self.dupe_window_s = DUPE_WINDOW[1]
        self.obo: dict[str, str] = {}

    def read(self, section: etree._Element, events: bool) -> None:
        """One Management element; ``events`` tells whether events stand before it."""
        report = self._report
        volume = section.get("eventVolume")
        if volume is not None and volume not in VOLUMES:
            meant = next((v for v in VOLUMES if v.lower() == volume.strip().lower()), "Medium")
            text, said = "eventVolume must be Small, Medium or Large", f'Unknown eventVolume "{volume}"'
            report.error(section, text, f"write {meant}", volume, said=said)
            self.event_volume = meant
        elif volume is not None:
            if events and not self.event_volume:
                report.error(
                    section,
                    "<Management> stands after <Events>: the events above it have no eventVolume, which crashes mdsd",
                    "move <Management> above <Events>",
                )
            self.event_volume = volume
        whole(section, "defaultRetentionInDays", report, 1, said="Invalid value for defaultRetentionInDays")
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
            # mdsd divides by a number that was never set; nobody can depend on that.
            self._report.warning(
                root, "no eventVolume is given: Medium is used", 'write <Management eventVolume="Medium">'
            )
            self.event_volume = "Medium"

    def _identity(self, element: etree._Element) -> None:
        given = element.get("type")
        at = self._report.at(element)
        aliases = zip(("tenantNameAlias", "roleNameAlias", "roleInstanceNameAlias"), TENANT, strict=True)
        tenant, role, instance = (element.get(name, column) for name, (column, _) in aliases)
        self.aliases = (tenant, role, instance)
        whole_set = given in ("TenantRole", "ComputerName")
        if given == "TenantRole":
            for column, variable in TENANT:
                self._add(IdentityElement(column, "", variable, False, at), element)
        elif given == "ComputerName":
            self._add(IdentityElement("ComputerName", "", "", True, at), element)
        elif given is not None:
            self._report.warning(
                element,
                "unknown Identity type, which is ignored",
                "use TenantRole or ComputerName",
                given,
                said=f"Ignoring unknown type {given}",
            )
        for component in element.findall("IdentityComponent"):
            self._component(component, given if whole_set and given else "")

    def _add(self, column: IdentityElement, element: etree._Element) -> None:
        if column.name in self.identity:
            text = f"the identity column {column.name} is given twice"
            said = f"Ignoring duplicate identity column {column.name}"
            self._report.error(element, text, "remove one of the two", said=said)
            return
        self.identity[column.name] = column

    def _component(self, element: etree._Element, fixed: str) -> None:
        """One IdentityComponent; ``fixed`` is the Identity type that leaves no room for more columns."""
        report, at = self._report, self._report.at(element)
        name, variable = element.get("name") or "", element.get("envariable") or ""
        computer_name, text = true(element, "useComputerName"), body(element)
        if not name:
            said = '<IdentityComponent> requires attribute "name"'
            report.error(element, "<IdentityComponent> needs the attribute name", "give it a name", said=said)
            return
        if variable and computer_name:
            said = "Cannot specify both useComputerName and envariable for the same <IdentityComponent>"
            text = "envariable and useComputerName exclude each other"
            report.error(element, text, "keep one of the two", said=said)
            return
        if " " in name:
            report.beyond(element, "the storage service takes no column name with blanks", "remove the blanks", name)
        if variable or computer_name:
            if text:
                said = "Ignoring extra content for IdentityComponent; hope that's okay"
                text = f"the text of IdentityComponent {name} is ignored"
                report.warning(element, text, "remove the text", said=said)
            text = ""
        elif not text.strip():
            said = "Empty value for IdentityComponent; hope that's okay"
            report.warning(element, f"Empty value for IdentityComponent {name}", said=said)
        elif text != text.strip():
            report.beyond(element, f"the value of IdentityComponent {name} has blanks around it, which are kept")
        document_keys.judge(element, f"the value of IdentityComponent {name}", text, report)
        if fixed:
            report.warning(
                element,
                f"identity column {name} is ignored: Identity type {fixed} gives all columns",
                "remove it",
                said=f"Ignoring extra identity column {name}",
            )
            return
        self._add(IdentityElement(name, text, variable, computer_name, at), element)

    def _usage(self, element: etree._Element) -> None:
        whole(element, "diskQuotaInMB", self._report, 1, said="diskQuotaInMB must be greater than zero")
        window = whole(element, "dupeWindowSeconds", self._report, self.dupe_window_s, least=0)
        if window >= 0:
            self.dupe_window_s = min(max(window, DUPE_WINDOW[0]), DUPE_WINDOW[1])
            if window != self.dupe_window_s:
                self._report.warning(
                    element,
                    f"dupeWindowSeconds must be {DUPE_WINDOW[0]} to {DUPE_WINDOW[1]}: {self.dupe_window_s} is used",
                    value=str(window),
                    said=f"dupeWindowSeconds must be {'>=' if window < DUPE_WINDOW[0] else '<='} {self.dupe_window_s}",
                )

    def _obo(self, element: etree._Element) -> None:
        name, value = element.get("name") or "", element.get("value") or ""
        if not name or not value:
            said = "<OboDirectPartitionField> requires both 'name' and 'value' attributes."
            self._report.error(element, "OboDirectPartitionField needs name and value", "give both", said=said)
        elif name in self.obo:
            self._report.beyond(element, f"OboDirectPartitionField {name} is given twice, the first one counts")
        else:
            self.obo[name] = value
