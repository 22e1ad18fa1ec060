"""Errors, and sentences that explain them: the reason and a remedy. Does not import jax."""

import difflib
import errno
from collections.abc import Iterable

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
OUT_OF_RESOURCES = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EIO, errno.ESTALE, errno.ETIMEDOUT)


class Explained(Exception):  # noqa: N818, not an error by itself
    """Exception whose message is already the sentence for the user."""


def explain(error: BaseException) -> str:
    """Explain in one line why something failed, for a person who did not write the code."""
    text = str(error)
    if isinstance(error, Explained):
        return text
    number, file = getattr(error, "errno", None), getattr(error, "filename", None)
    if number in DISK_FULL or "No space left on device" in text or "quota exceeded" in text:
        sentence = (
            "the disk is full; finished and saved work is kept. Make room, and run the same command again to resume."
        )
        return f"{sentence} ({file})" if file else sentence
    if _is_out_of_memory(error):
        return (
            "out of memory. Reduce num_envs, rollout_steps, width, eval_tasks or eval_instances, or use --workers 1"
            f" ({_first_line(text)})."
        )
    if number == errno.EAGAIN or "can't start new thread" in text:
        return (
            "no further process or thread may be started. Raise the limit (`ulimit -u`, pids.max of a container), "
            f"or use --workers 1 ({_first_line(text)})."
        )
    if isinstance(error, BrokenPipeError):
        return "broken pipe: the process at the other end has exited"
    if isinstance(error, OSError) and error.strerror:
        return f"{file}: {error.strerror}" if file else error.strerror
    return text or type(error).__name__


def is_out_of_resources(error: BaseException) -> bool:
    """Return whether memory, files or threads ran out, or a disk did not answer: a file that was read may be intact."""
    return (
        _is_out_of_memory(error)
        or getattr(error, "errno", None) in OUT_OF_RESOURCES
        or "can't start new thread" in str(error)
    )


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error)
    no_memory = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    return no_memory or "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower()


def explain_no_semaphores(error: BaseException) -> str:
    """Explain why worker processes cannot be started, after a semaphore in shared memory could not be made."""
    why = getattr(error, "strerror", None) or _first_line(str(error))
    return (
        f"worker processes need semaphores, and shared memory (/dev/shm) cannot hold them ({why}). Make room there "
        "(`df -h /dev/shm`), or give the container writable shared memory (docker run --shm-size=1g)."
    )


def escape_control_characters(text: str) -> str:
    """Escape all characters that are neither printable nor a new line, for a terminal."""
    return "".join(char if char.isprintable() or char == "\n" else ascii(char)[1:-1] for char in text)


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:200]


class InputError(Exception):
    """Bad input: the message names the key, the value and a remedy. Exit status 2."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return a sentence that suggests the choice closest to a word, or lists all choices where none is close."""
    choices = list(choices)
    close = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else f"Give one of {', '.join(choices)}."


def check_name(key: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a value that is not among the choices.

    Raises:
        InputError: if the value is not among the choices; the message names the closest one.
    """
    choices = tuple(choices)
    if value not in choices:
        raise InputError(f"{key} = {value!r}: there is no such name. {did_you_mean(value, choices)}")


STOPPED_STATUS = 75  # exit status of a process that stopped and can resume


class Stopped(Exception):  # noqa: N818, not an error
    """Training stopped on request, and can resume."""


class RunError(Explained):
    """A run that cannot finish, or not completely: the message says why. Exit status 1."""
