"""The command line: options anywhere among the words, each spelled ``-o VALUE`` or ``-o=VALUE`` (spec/omi-scx.md 4)."""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
import re
from collections.abc import Sequence
from typing import NamedTuple

_FLAGS = {
    "-h": "help", "--help": "help", "-q": "quiet", "-t": "trace", "-s": "suppress", "-S": "summary",
    "--summary": "summary", "-shallow": "shallow", "-synchronous": "", "-xml": "xml", "-n": "nulls",
}  # fmt: skip
_VALUES = {
    "-R": "repeat", "-u": "user", "-p": "password", "--querylang": "querylang", "--queryexpr": "queryexpr",
    "--auth": "auth", "--hostname": "hostname", "--encryption": "encryption", "--port": "port",
    "--stdout": "stdout", "--stderr": "stderr",
}  # fmt: skip
# of the original, without a meaning here: they name its files, its sessions, and commands that are refused
_IGNORED = frozenset(
    [
        "-ac", "-rc", "-r", "-rr", "--socketfile", "--destdir", "--prefix", "--libdir", "--bindir", "--localstatedir",
        "--sysconfdir", "--providerdir", "--certsdir", "--rundir", "--logdir", "--pidfile", "--logfile",
        "--registerdir", "--pemfile", "--keyfile", "--agentprogram", "--serverprogram", "--maxenvsize",
        "--maxelements",
    ]
)  # fmt: skip
ENCRYPTIONS = ("http", "https", "none")
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class UsageError(Exception):
    """A command line that cannot be understood; ``lines`` go to stderr, ``code`` is the exit code."""

    def __init__(self, *lines: str, code: int = 4) -> None:
        super().__init__(lines[0])
        self.lines = lines
        self.code = code


class Options(NamedTuple):
    """What the options ask for. ``words`` are the command and its arguments; ``port`` 0 is the default port."""

    words: tuple[str, ...] = ()
    help: bool = False
    quiet: bool = False
    trace: bool = False
    suppress: bool = False
    summary: bool = False
    shallow: bool = False
    xml: bool = False
    nulls: bool = False
    repeat: int = 1
    user: str = ""
    password: str | None = None
    querylang: str = "wql"
    queryexpr: str | None = None
    auth: str = ""
    hostname: str = ""
    encryption: str = ""
    port: int = 0
    stdout: str = ""
    stderr: str = ""

    def __repr__(self) -> str:
        """Without the password."""
        return f"Options(words={self.words!r}, hostname={self.hostname!r})"


def parse(program: str, arguments: Sequence[str]) -> Options:
    """The options and words of a command line (without the program's name). UsageError if one is wrong."""
    found: dict[str, str | bool | int] = {}
    words: list[str] = []
    rest = list(reversed(arguments))
    while rest:
        word = rest.pop()
        if not word.startswith("-"):
            words.append(word)
        elif word in _FLAGS:
            if _FLAGS[word]:
                found[_FLAGS[word]] = True
        else:
            name, equals, value = word.partition("=")
            if name not in _VALUES and name not in _IGNORED:
                raise UsageError(f"error: unknown option: {word}", "Try -h for help")
            if not equals:
                if not rest:
                    raise UsageError(f"error: missing option argument: {name}", "Try -h for help")
                value = rest.pop()
            if name in _VALUES:
                found[_VALUES[name]] = _checked(program, name, value)
    return Options(words=tuple(words), **found)  # type: ignore[arg-type]


def _checked(program: str, name: str, value: str) -> str | int:
    if name == "-R":
        return _number(program, name, value, 2**31 - 1)
    if name == "--port":
        return _number(program, name, value, 65535)
    if name == "--encryption":
        if value.lower() not in ENCRYPTIONS:
            allowed = ", ".join(ENCRYPTIONS)
            raise UsageError(f"{program}: invalid value for encryption. allowed values are : {allowed}")
        return value.lower()
    return value


def _number(program: str, name: str, value: str, highest: int) -> int:
    number = int(value) if value.isascii() and value.isdigit() and len(value) <= 10 else 0
    if not 1 <= number <= highest:
        raise UsageError(f"{program}: bad value for {name}: {value}")
    return number


def remote_problem(options: Options) -> str:
    """What is missing for a request over the network, or "" (the original prints it on stdout and ends with 1)."""
    if not options.hostname:
        for name in ("encryption", "auth", "port"):
            if getattr(options, name):
                return f"omicli: --{name} option specified, but not --hostname."
    elif not options.user:
        return "omicli: -u USERNAME option must be specified if --hostname is provided."
    return ""


class InstanceName(NamedTuple):
    """``{ CLASS KEY VALUE ... }``: the class and its key values as text."""

    class_name: str
    keys: dict[str, str]


def instance_name(words: Sequence[str]) -> InstanceName:
    """The instance name in ``words``, each brace, name and value a word of its own. UsageError(1) if it is none.

    As in the original a brace in the place of a value is the value: ``{ C Name }`` asks for the name ``}``.
    """
    wrong = UsageError("invalid instance name specification", code=1)
    if len(words) < 3 or words[0] != "{" or not _NAME.fullmatch(words[1]):
        raise wrong
    keys: dict[str, str] = {}
    at = 2
    while at < len(words) and words[at] != "}":
        if at + 1 == len(words) or words[at + 1] in ("{", "["):
            raise wrong
        name = words[at].removeprefix("*")
        if not _NAME.fullmatch(name) or name.lower() in (known.lower() for known in keys):
            raise wrong
        if name == words[at]:  # with an asterisk it is no key
            keys[name] = words[at + 1]
        at += 2
    if at + 1 < len(words):
        raise UsageError("extraneous arguments after instance name")
    return InstanceName(words[1], keys)
