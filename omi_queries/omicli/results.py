"""MI results: numbers, names, messages, the OMI_Error instance, and the exception that carries them.

Source: spec/omi-scx.md 4 and the recorded command outputs. The exit code of the command is the number.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from typing import NamedTuple

from omi_queries.omicli.instances import Shown, Slot

OK = 0
FAILED = 1
ACCESS_DENIED = 2
INVALID_NAMESPACE = 3
INVALID_PARAMETER = 4
INVALID_CLASS = 5
NOT_FOUND = 6
NOT_SUPPORTED = 7
NO_SUCH_PROPERTY = 12
QUERY_LANGUAGE_NOT_SUPPORTED = 14
INVALID_QUERY = 15


class Result(NamedTuple):
    """One MI result: its symbol, its standard sentence and its OMI error category."""

    symbol: str
    message: str
    category: int


_RESULTS = {
    FAILED: Result("MI_RESULT_FAILED", "A general error occurred, not covered by a more specific error code.", 0),
    ACCESS_DENIED: Result("MI_RESULT_ACCESS_DENIED", "Access to a CIM resource is not available to the client.", 18),
    INVALID_NAMESPACE: Result("MI_RESULT_INVALID_NAMESPACE", "The target namespace does not exist.", 10),
    INVALID_PARAMETER: Result(
        "MI_RESULT_INVALID_PARAMETER", "One or more parameter values passed to the method are not valid.", 5
    ),
    INVALID_CLASS: Result("MI_RESULT_INVALID_CLASS", "The specified class does not exist.", 10),
    NOT_FOUND: Result("MI_RESULT_NOT_FOUND", "The requested object cannot be found.", 13),
    NOT_SUPPORTED: Result("MI_RESULT_NOT_SUPPORTED", "The requested operation is not supported.", 11),
    NO_SUCH_PROPERTY: Result("MI_RESULT_NO_SUCH_PROPERTY", "The specified property does not exist.", 10),
    QUERY_LANGUAGE_NOT_SUPPORTED: Result(
        "MI_RESULT_QUERY_LANGUAGE_NOT_SUPPORTED", "The query language is not recognized or supported.", 11
    ),
    INVALID_QUERY: Result("MI_RESULT_INVALID_QUERY", "The query is not valid for the specified query language.", 5),
}


class OmiError(Exception):
    """A request that ended with an MI result other than OK.

    ``detail`` says what was wrong and where, for people; the standard output and error texts do not carry it.
    ``failure`` is set when no server answered: then there is no OMI_Error and the second line gives this reason.
    ``posted``: the provider itself said so, and a provider gives no sentence.
    """

    def __init__(self, code: int, detail: str = "", failure: str = "", *, posted: bool = False) -> None:
        super().__init__(detail or failure or result(code).message)
        self.code = code if code in _RESULTS else FAILED
        self.detail = detail
        self.failure = failure
        self.posted = posted or self.code == NOT_FOUND


def result(code: int) -> Result:
    """The MI result of that number; one that the command does not know is MI_RESULT_FAILED."""
    return _RESULTS.get(code, _RESULTS[FAILED])


def error_lines(program: str, error: OmiError) -> list[str]:
    """The lines on stderr: one only for what a provider says, such as that there is no such instance."""
    known = result(error.code)
    lines = [f"{program}: result: {known.symbol}"]
    if error.failure:
        lines.append(f"{program}: result: {error.failure}")
    elif not error.posted:
        lines.append(f"{program}: result: {known.message}")
    return lines


def error_instance(code: int) -> Shown:
    """The OMI_Error instance for stdout, all 19 properties in declaration order."""
    known = result(code)
    return Shown(
        "OMI_Error",
        (
            Slot("ErrorType", "uint16", False, None),
            Slot("OtherErrorType", "string", False, None),
            Slot("OwningEntity", "string", False, "OMI:CIMOM"),
            Slot("MessageID", "string", False, f"OMI:MI_Result:{code}"),
            Slot("Message", "string", False, known.message),
            Slot("MessageArguments", "string[]", False, []),
            Slot("PerceivedSeverity", "uint16", False, 7),
            Slot("ProbableCause", "uint16", False, 0),
            Slot("ProbableCauseDescription", "string", False, "Unknown"),
            Slot("RecommendedActions", "string[]", False, None),
            Slot("ErrorSource", "string", False, None),
            Slot("ErrorSourceFormat", "uint16", False, None),
            Slot("OtherErrorSourceFormat", "string", False, None),
            Slot("CIMStatusCode", "uint32", False, code),
            Slot("CIMStatusCodeDescription", "string", False, None),
            Slot("OMI_Code", "uint32", False, code),
            Slot("OMI_Category", "uint16", False, known.category),
            Slot("OMI_Type", "string", False, "MI"),
            Slot("OMI_ErrorMessage", "string", False, known.message),
        ),
    )
