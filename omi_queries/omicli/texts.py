"""The help and usage texts, as the original prints them, so that scripts and guides that look for them find them."""

from __future__ import annotations

_HELP = """\
Usage: {program} [OPTIONS] COMMAND ...

This tool sends requests to the CIM server.

OPTIONS:
    -h, --help          Print this help message.
    -q                  Operate quietly.
    -t                  Enable diagnostic tracing.
    -R N                Repeat command N times.
    -shallow            Use shallow inheritance (see 'ei' command).
    -synchronous        Executes command in synchronous mode.
    -xml                Outputs the result in xml.
    -ac CLASSNAME       Association class (see 'a' and 'r' commands).
    -rc CLASSNAME       Result class (see 'a' command).
    -r ROLE             Role (see 'a' and 'r' commands).
    -rr ROLE            Result role (see 'a' command).
    -n                  Show null properties.
    -u USERNAME         Username.
    -p PASSWORD         User's password.
    --socketfile PATH   Talk to the server server whose socket file resides
                        at the location given by the path argument.
    --hostname H        Optional target host name. If not specified, binary protocol on the local machine.\x20
                        If specified, wsman is used over http or https, as specified by the --encryption flag\x20
    --port portnum      Port number to use for HTTP or HTTPS.
    --auth A            Optional authentication scheme to use for remote acces if hostname specified:
                            Basic: username and password as sent to remote host
                            NegoWithCreds: authorization method is negotiated with the server using the
                                       Simple And Protected Negotiation Mechanism (SPNEGO)
                                       based on the given username and password
                            Kerberos:  authorization using the kerberos authentication protocol.
    --encryption E      Optional communication security to use instead of default:\x20
                            https: communicate using http over ssl.\x20
                            http:  encrypted contents over standard sockets (not available with basic authorization)
                            none: unencrypted contents over standard http sockets
    --querylang LANG    Query language (for 'ei', 'sub' command).
    --queryexpr EXP     Query expression (for 'ei', 'sub' command).

COMMANDS:
    noop
        Perform a no-op operation.
    id
        Send identify request.
    gi NAMESPACE INSTANCENAME
        Peform a CIM [g]et [i]nstance operation.
    ci NAMESPACE NEWINSTANCE
        Peform a CIM [c]reate [i]nstance operation.
    mi NAMESPACE MODIFIEDINSTANCE
        Peform a CIM [m]odify [i]nstance operation.
    di NAMESPACE INSTANCENAME
        Peform a CIM [d]elete [i]nstance operation.
    ei [-shallow] NAMESPACE CLASSNAME
        Peform a CIM [e]numerate [i]nstances operation.
    iv NAMESPACE INSTANCENAME METHODNAME PARAMETERS
        Peform a CIM extrinsic method [i]nvocation operation.
    a [-ac -rc -r -rr ] NAMESPACE INSTANCENAME
        Perform a CIM [a]ssociator instances operation.
    r [-rc -r] NAMESPACE INSTANCENAME (references)
        Perform a CIM [r]eference instances operation.
    gc NAMESPACE CLASSENAME
        Peform a CIM [g]et [c]lass operation.
    enc INSTANCE
        Attempt to encode and print the given instance representation.
    wql NAMESPACE WQLQUERY
        Peform a WQL query operation.
    cql NAMESPACE CQLQUERY
        Peform a CQL query operation.
    sub NAMESPACE --querylang 'WQL/CQL'  --queryexpr="select * from Indication_ClassName"
        Peform a subscribe to indication operation.

INSTANCENAME and PARAMETERS format:
    { class_name property_name property_value property_name property_value }
        non-key property names must be prefixed with '*'.
        property_value is either a string value, or can be an INSTANCENAME.
        property_value can also be an array taking the form [ property_value property_value ].

"""

HELP_NOTE = "over --hostname this command speaks CIM-XML, not WS-Management; method calls and writes are refused"
"""What differs from the help text, for people."""

GUARD_VARIABLE = "LAD_OMICLI_GUARD"
"""Set for an ``omicli`` that is asked as a source, so that this command knows that it would only ask itself."""
OWN_COMMAND = "this is lad-emulator's own command, not that of an OMI server"

_USAGE = {
    "noop": "noop",
    "id": "id",
    "ei": "ei NAMESPACE CLASSNAME",
    "ein": "ein NAMESPACE CLASSNAME",
    "gi": "gi NAMESPACE INSTANCENAME",
    "gc": "gc NAMESPACE CLASSNAME",
    "wql": "wql NAMESPACE QUERY",
    "cql": "cql NAMESPACE QUERY",
}
COMMANDS = frozenset(_USAGE)
_REFUSED_USAGE = {
    "ci": "ci NAMESPACE INSTANCE",
    "mi": "mi NAMESPACE INSTANCE",
    "di": "di NAMESPACE INSTANCE",
    "iv": "iv NAMESPACE INSTANCENAME METHODNAME PARAMETERS",
    "a": "a NAMESPACE INSTANCE",
    "r": "d NAMESPACE INSTANCE",
    "enc": "noop CLASSNAME KEYBINDING",
    "sub": "sub NAMESPACE --querylang 'WQL/CQL'  --queryexpr=\"select * from Indication_ClassName\"",
}
REFUSED = frozenset(_REFUSED_USAGE)
"""Commands of the original that call methods, write, follow associations or subscribe."""


def help_text(program: str) -> str:
    """The answer to ``-h``."""
    return _HELP.replace("{program}", program)


def usage(program: str, command: str) -> str:
    """The line for a command with too few or too many words."""
    return f"Usage: {program} {_USAGE.get(command) or _REFUSED_USAGE[command]}\n"
