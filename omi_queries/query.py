"""The query language: text to :class:`Query`, one parser for CQL and WQL.

Grammar (spec/omi-scx.md 5)::

    query     := SELECT ('*' | name (',' name)*) FROM name [WHERE condition]
    condition := '(' condition ')' | NOT condition | condition AND condition | condition OR condition | predicate
    predicate := operand ('=' | '<>' | '!=' | '<' | '<=' | '>' | '>=' | LIKE) operand | name ISA name
    operand   := name ['.' name ['::' name]] | integer | real | string | TRUE | FALSE | NULL

NOT binds tighter than AND, AND tighter than OR. LIKE is WQL only. The scanner looks at each character a bounded
number of times and the condition is parsed with two stacks, so time is linear in the length of the text and nesting
costs no call depth.
"""

# Annotations are evaluated here: a named tuple compiles each one that is a text.
from typing import NamedTuple

from omi_queries.types import MI_INVALID_QUERY, QueryError

MAX_PROPERTIES = 128
MAX_SYMBOLS = 256
MAX_TEXT = 65536

_KEYWORDS = frozenset(["select", "from", "where", "not", "and", "or", "null", "true", "false", "like", "isa"])
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_DIGITS = frozenset("0123456789")
_WORD = _LETTERS | _DIGITS
_BLANK = frozenset(" \t\n\r\v\f")
_COMPARISONS = frozenset(("=", "<>", "<", "<=", ">", ">="))
_ESCAPES = {"n": "\n", "r": "\r", "f": "\f"}
_INT64_MAX = (1 << 63) - 1
_BINDING = {"not": 3, "and": 2, "or": 1}


class Token(NamedTuple):
    """``kind`` is a keyword, an operator, or one of name, integer, real, string, end; ``at`` is its offset."""

    kind: str
    value: str | int | float
    at: int


class Name(NamedTuple):
    """A property name as written, where it stands, and (for embedded instances) what follows the dot."""

    name: str
    at: int
    embedded_class: str = ""
    embedded_property: str = ""


class Literal(NamedTuple):
    """A constant. ``type`` is integer, real, string, boolean or null."""

    type: str
    value: str | int | float | bool | None
    at: int


class Operator(NamedTuple):
    """An operator of the postfix form: not, and, or, a comparison, like, isa."""

    op: str
    at: int


Symbol = Name | Literal | Operator


class Query(NamedTuple):
    """A parsed query. ``properties`` is empty for ``*``; ``condition`` is in postfix order, empty without WHERE."""

    class_name: str
    class_at: int
    properties: tuple[Name, ...]
    condition: tuple[Symbol, ...]
    text: str


def parse(text: str, dialect: str = "wql") -> Query:
    """Parse ``text``; ``dialect`` is ``wql`` or ``cql`` (which has no LIKE). QueryError(15) with position otherwise."""
    if len(text) > MAX_TEXT:
        raise _error(f"the query is longer than {MAX_TEXT} characters", None)
    return _Parser(scan(text), text, dialect).query()


def scan(text: str) -> list[Token]:
    """The tokens of ``text``, the last one of kind ``end``."""
    tokens: list[Token] = []
    at, size = 0, len(text)
    while at < size:
        c = text[at]
        if c in _BLANK:
            at += 1
        elif c in _LETTERS:
            end = _span(text, at, _WORD)
            word = text[at:end]
            lower = word.lower()
            tokens.append(Token(lower if lower in _KEYWORDS else "name", word, at))
            at = end
        elif c in _DIGITS or c in "+-":
            token, at = _number(text, at)
            tokens.append(token)
        elif c in "'\"":
            token, at = _string(text, at)
            tokens.append(token)
        else:
            pair = text[at : at + 2]
            kind = pair if pair in ("<>", "!=", "<=", ">=", "::") else c
            if kind not in _COMPARISONS and kind not in ("!=", "::", "*", "(", ")", ",", "."):
                raise _error(f"{c!a} has no meaning in a query", at)
            tokens.append(Token("<>" if kind == "!=" else kind, kind, at))
            at += len(kind)
    tokens.append(Token("end", "", size))
    return tokens


def _span(text: str, at: int, chars: frozenset[str]) -> int:
    size = len(text)
    while at < size and text[at] in chars:
        at += 1
    return at


def _number(text: str, start: int) -> tuple[Token, int]:
    """An integer (held to 64 bits, as the original does) or a real such as ``-1.5e3``."""
    at = _span(text, start + 1, _DIGITS)
    if text[at : at + 1] != ".":
        digits = text[start:at].lstrip("+-")
        if not digits:
            raise _error(f"{text[start]!a} must be followed by a number", start)
        value = int(digits) if len(digits) <= 19 else _long_integer(digits)
        value = -min(value, _INT64_MAX + 1) if text[start] == "-" else min(value, _INT64_MAX)
        return Token("integer", value, start), at
    at = _span(text, at + 1, _DIGITS)
    if text[at : at + 1] in ("e", "E"):
        digits_at = at + 2 if text[at + 1 : at + 2] in ("+", "-") else at + 1
        end = _span(text, digits_at, _DIGITS)
        at = end if end > digits_at else at
    if at - start > 400:
        raise _error("the number is longer than 400 characters", start)
    try:
        return Token("real", float(text[start:at]), start), at
    except ValueError:
        raise _error(f"{text[start:at]!a} is not a number", start) from None


def _long_integer(digits: str) -> int:
    significant = digits.lstrip("0")
    return int(significant or "0") if len(significant) <= 19 else _INT64_MAX + 1


def _string(text: str, start: int) -> tuple[Token, int]:
    """A string in either quote; a backslash takes the next character as it is (n and r are line ends)."""
    quote = text[start]
    parts: list[str] = []
    at, size = start + 1, len(text)
    while at < size:
        c = text[at]
        if c == quote:
            return Token("string", "".join(parts), start), at + 1
        if c == "\\":
            at += 1
            if at == size:
                break
            c = _ESCAPES.get(text[at], text[at])
        parts.append(c)
        at += 1
    raise _error(f"the string that begins here has no closing {quote}", start)


def _error(message: str, at: int | None) -> QueryError:
    return QueryError(MI_INVALID_QUERY, f"invalid query: {message}", at)


def _shown(token: Token) -> str:
    return "the end of the query" if token.kind == "end" else ascii(str(token.value)[:40])


class _Parser:
    """Walks over the tokens of one query."""

    def __init__(self, tokens: list[Token], text: str, dialect: str) -> None:
        self._tokens = tokens
        self._text = text
        self._dialect = dialect
        self._next = 0
        self._output: list[Symbol] = []

    def _take(self, *kinds: str, wanted: str) -> Token:
        token = self._tokens[self._next]
        if token.kind not in kinds:
            raise _error(f"{wanted} expected, found {_shown(token)}", token.at)
        self._next += 1
        return token

    def _peek(self) -> str:
        return self._tokens[self._next].kind

    def query(self) -> Query:
        self._take("select", wanted="SELECT")
        properties: list[Name] = []
        if self._peek() == "*":
            self._next += 1
        else:
            properties = self._properties()
        self._take("from", wanted="',' or FROM" if properties else "FROM")
        named = self._take("name", wanted="a class name")
        if self._peek() == "where":
            self._next += 1
            self._condition()
        elif self._peek() != "end":
            self._take("where", wanted="WHERE or the end of the query")
        return Query(str(named.value), named.at, tuple(properties), tuple(self._output), self._text)

    def _properties(self) -> list[Name]:
        found: list[Name] = []
        while True:
            token = self._take("name", wanted="a property name" if found else "'*' or a property name")
            if len(found) == MAX_PROPERTIES:
                raise _error(f"more than {MAX_PROPERTIES} properties are selected", token.at)
            found.append(Name(str(token.value), token.at))
            if self._peek() != ",":
                return found
            self._next += 1

    def _emit(self, symbol: Symbol) -> None:
        if len(self._output) == MAX_SYMBOLS:
            raise _error(f"the condition has more than {MAX_SYMBOLS} symbols", symbol.at)
        self._output.append(symbol)

    def _condition(self) -> None:
        """Operator precedence with an explicit stack; ``pending`` holds NOT, AND, OR and open parentheses."""
        pending: list[Token] = []
        while True:
            while self._peek() in ("not", "("):
                pending.append(self._tokens[self._next])
                self._next += 1
            self._predicate()
            while self._peek() == ")":
                self._reduce(pending, 0)
                if not pending:
                    raise _error("')' closes nothing", self._tokens[self._next].at)
                pending.pop()
                self._next += 1
            token = self._tokens[self._next]
            if token.kind == "end":
                break
            if token.kind == "string" and self._text[token.at - 1] in "'\"":
                raise _error("a quote inside a string is written with a backslash", token.at)
            self._take("and", "or", wanted="AND, OR or the end of the query")
            self._reduce(pending, _BINDING[token.kind])
            pending.append(token)
        self._reduce(pending, 0)
        if pending:
            raise _error("'(' is not closed", pending[-1].at)

    def _reduce(self, pending: list[Token], binding: int) -> None:
        """Move operators that bind at least as tightly as ``binding`` to the output, down to an open parenthesis."""
        while pending and pending[-1].kind != "(" and _BINDING[pending[-1].kind] >= binding:
            token = pending.pop()
            self._emit(Operator(token.kind, token.at))

    def _predicate(self) -> None:
        left = self._operand()
        token = self._tokens[self._next]
        if token.kind == "isa":
            if not isinstance(left, Name) or left.embedded_property:
                raise _error("ISA needs a property name on its left", token.at)
            self._next += 1
            named = self._take("name", wanted="a class name")
            right: Symbol = Literal("string", named.value, named.at)
        else:
            if token.kind == "like" and self._dialect == "cql":
                raise _error("LIKE exists in WQL only, not in CQL", token.at)
            self._take("like", *_COMPARISONS, wanted="a comparison")
            right = self._operand()
        self._emit(left)
        self._emit(right)
        self._emit(Operator(token.kind, token.at))

    def _operand(self) -> Symbol:
        token = self._take(
            "name", "integer", "real", "string", "true", "false", "null",
            wanted="a property name or a value",
        )  # fmt: skip
        if token.kind in ("true", "false"):
            return Literal("boolean", token.kind == "true", token.at)
        if token.kind == "null":
            return Literal("null", None, token.at)
        if token.kind != "name":
            return Literal(token.kind, token.value, token.at)
        if self._peek() != ".":
            return Name(str(token.value), token.at)
        self._next += 1
        inner = self._take("name", wanted="a property name")
        if self._peek() != "::":
            return Name(str(token.value), token.at, "", str(inner.value))
        self._next += 1
        last = self._take("name", wanted="a property name")
        return Name(str(token.value), token.at, str(inner.value), str(last.value))
