"""Commands and their results."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

from rich.console import Console


class CommandResult(NamedTuple):
    """The result of a command.

    Attributes:
        document: the value that `--json` prints, of types that JSON has.
        exit_status: the exit status of the process.
    """

    document: Any = None
    exit_status: int = 0


class Command(ABC):
    """A command: a frozen dataclass whose fields are its arguments, and `common`, the options of every command."""

    RESUMES: ClassVar[bool] = False
    """Whether the same command resumes where it was stopped."""

    @abstractmethod
    def execute(self, console: Console) -> CommandResult:
        """Execute the command; messages and tables go to `console`.

        Raises:
            InputError: if an argument is wrong.
        """
