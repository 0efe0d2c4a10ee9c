"""The errors that a user can meet, each with the exit code of a command that ends with it.

KBenchError                exit
 +- ConfigError            2     experiment, site, template or flag
 +- LaunchError            3     a run could not be started, or its ranks not be gathered
 |   +- NodeError          3     a node is not what the site says
 +- WorkloadError          4     data or model
 +- RunError               5     training went wrong
 |   +- RankError          5     ranks disagree, or one is lost
 +- ResultsError           6     nothing to read, nothing to compare, or no place to write
"""

import re
from collections.abc import Iterable
from typing import ClassVar

# Control characters, lone surrogates, and what turns the direction of text: all but tab and the end of a line.
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Escape what would steer the terminal that a text from a file is shown on, or that no stream can write."""
    return STEERING.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class KBenchError(Exception):
    """An error for users, in words that need no traceback.

    Args:
        message: where it is wrong, what is wrong, and what was got.
        hint: what to do about it.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def sentences(self) -> tuple[str, ...]:
        """One sentence for each thing that is wrong."""
        return (self.message,)

    @property
    def with_hint(self) -> str:
        """What is wrong, and in brackets what to do, for a place where another error says it."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class ConfigError(KBenchError):
    """Something written by the user does not make sense; nothing was started.

    Args:
        problems: a sentence for each thing that is wrong, with its place (file:line: key).
        hint: what to do about it.
    """

    exit_code = 2

    def __init__(self, problems: str | Iterable[str], *, hint: str = "") -> None:
        self._problems = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self._problems), hint=hint)

    @property
    def sentences(self) -> tuple[str, ...]:
        return self._problems


class LaunchError(KBenchError):
    """A run could not be put on its machine."""

    exit_code = 3


class NodeError(LaunchError):
    """A node does not have what its site allocates; another one may.

    Args:
        message: as for every error.
        node: its name in the scheduler's words.
        hint: as for every error.
    """

    def __init__(self, message: str, *, node: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.node = node


class WorkloadError(KBenchError):
    """A data set or a model is missing or does not fit."""

    exit_code = 4


class RunError(KBenchError):
    """A run went wrong while it trained."""

    exit_code = 5


class RankError(RunError):
    """The ranks disagree about what they must agree on, or one of them is lost."""


class ResultsError(KBenchError):
    """Results cannot be read, compared or written."""

    exit_code = 6
