"""Prepared answers in place of a server."""

from collections.abc import Callable, Iterator, Sequence

from google.protobuf.message import Message

from bo_client.client import Client
from bo_client.errors import NotSupported

Answer = Message | Exception | Callable[[Message], Message]
"""What a call returns, what it raises, or a function from the request to what it returns."""


class CannedTransport:
    """Answers each method with what a test has prepared; needs neither gRPC nor the server.

        transport = CannedTransport(GetStudy=pb.GetStudyResponse(study=study), CompleteTrial=ServerUnavailable("away"))
        study = transport.client().study("s")
        assert [method for method, _ in transport.calls] == ["GetStudy"]

    A list has the answers to one call after another; a stream yields all that are left of it.
    """

    def __init__(self, **answers: Answer | Sequence[Answer]) -> None:
        """Prepare answers, by the bare names of their methods."""
        self.calls: list[tuple[str, Message]] = []
        """The calls so far: each with its method's name and its request."""
        self._lists = {method: list(given) for method, given in answers.items() if isinstance(given, Sequence)}
        self._fixed = {method: given for method, given in answers.items() if not isinstance(given, Sequence)}

    def client(self, timeout: float = 30.0, patience: float = 0.0) -> Client:
        """Return a client of this transport, which by default doesn't try again."""
        return Client(self, timeout, patience)

    def call(self, method: str, request: Message, timeout: float | None) -> Message:  # noqa: ARG002 - the protocol's
        """Return the next answer to the method.

        Raises:
            NotSupported: No answer is prepared, or none is left.
        """
        self.calls.append((method, request))
        if self._lists.get(method):
            return _given(self._lists[method].pop(0), request)
        if method in self._fixed:
            return _given(self._fixed[method], request)
        raise NotSupported(f"no answer to {method} is left; give one with CannedTransport({method}=…)")

    def stream(self, method: str, request: Message) -> Iterator[Message]:
        """Yield the answers to the method that are left, and end."""
        self.calls.append((method, request))
        for answer in [self._fixed[method]] if method in self._fixed else self._lists.pop(method, []):
            yield _given(answer, request)

    def close(self) -> None:
        """Do nothing: other clients may go on."""


def _given(answer: Answer, request: Message) -> Message:
    if isinstance(answer, Exception):
        raise answer
    return answer if isinstance(answer, Message) else answer(request)
