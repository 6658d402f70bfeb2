"""One client: bytes in, events out, replies back. It knows no socket and no clock."""

from __future__ import annotations

from dataclasses import dataclass

from extension.inputs.answer import Answer, Decoder
from extension.inputs.dynamic_json import KIND as DYNAMIC
from extension.inputs.dynamic_json import malformed
from extension.inputs.framing import DynamicFramer, FrameError, Framer, StaticFramer, parse

MAX_REPLIES = 64 << 10
"""Bytes of replies that wait for a client to read them."""


@dataclass(frozen=True)
class Notice:
    """Something to count and, when it is new, to log: ``reason`` (countable), ``detail`` (names, no values)."""

    reason: str
    detail: str = ""


class Connection:
    """A client of the socket ``decoder.kind``.

    ``replies`` is what waits to be sent; ``ended`` why nothing more is read ("" while it is), ``broken`` whether that
    is the client's fault.
    """

    def __init__(self, decoder: Decoder) -> None:
        self.decoder = decoder
        self._dynamic = decoder.kind == DYNAMIC
        self._framer: Framer = DynamicFramer() if self._dynamic else StaticFramer()
        self.replies = bytearray()
        self._heard = True
        self.ended = ""
        self.broken = False

    @property
    def held(self) -> int:
        """Bytes read that are not yet messages."""
        return len(self._framer)

    @property
    def blocked(self) -> bool:
        """Whether the client has to read replies before more of its messages are taken.

        A client of the static input is never blocked: mdsd lets those that read no TAGs go on.
        """
        return self._dynamic and len(self.replies) >= MAX_REPLIES

    def feed(self, data: bytes) -> None:
        """Append what was read; nothing of it is taken any more once the connection has ended."""
        if not self.ended:
            self._framer.feed(data)

    def end(self, why: str, broken: bool = False) -> None:
        """Read nothing more."""
        if not self.ended:
            self.ended, self.broken = why, broken

    def unheard(self) -> None:
        """Nobody reads the replies any more; what was sent before that is taken all the same."""
        self.replies.clear()
        self._heard = False

    def take(self, limit: int, now_us: int, notices: list[Notice]) -> list[Answer]:
        """The answers to at most ``limit`` messages; a list shorter than that means that no more is complete.

        Messages before a broken one are answered as ever, then the connection ends.
        """
        answers: list[Answer] = []
        while len(answers) < limit and not self.broken:
            try:
                message = self._framer.next()
            except FrameError as error:
                self._break(str(error), notices)
                break
            if message is None:
                break
            answer = self._answer(message, now_us, notices)
            if answer is None:
                break
            answers.append(answer)
        return answers

    def _answer(self, message: bytes, now_us: int, notices: list[Notice]) -> Answer | None:
        try:
            value, replaced = parse(message, strict=self._dynamic)
        except ValueError as error:
            if self._dynamic:  # the next frame is where its length says
                answer = malformed(f"the frame is not JSON: {error}")
            else:
                self._break(f"what was sent is not JSON: {error}", notices)
                return None
        else:
            if replaced:
                notices.append(Notice("bytes that are not UTF-8 were replaced"))
            answer = self.decoder.decode(value, now_us)
        if answer.reason:
            notices.append(Notice(answer.reason, answer.detail))
        return answer

    def _break(self, why: str, notices: list[Notice]) -> None:
        self.ended, self.broken = why, True
        notices.append(Notice("malformed input", why))

    def reply(self, answers: list[Answer], stored: bool, notices: list[Notice]) -> None:
        """Queue the replies; ``stored``: the events are in the store.

        If they are not, the client hears so where its protocol has a word for it, else its connection ends, for what
        was not acknowledged is what a client sends again.
        """
        for answer in answers:
            line = answer.reply
            if answer.event is not None and not stored:
                if not answer.not_stored:
                    self.end("its event could not be stored", broken=True)
                    return
                line = answer.not_stored
            if not line or not self._heard:
                continue
            if not self._dynamic and self.replies and len(self.replies) + len(line) > MAX_REPLIES:
                notices.append(Notice("reply dropped: the client does not read its replies"))
                continue
            self.replies += line
