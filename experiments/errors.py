"""What went wrong, in a sentence: the reason, and what to do about it. Does not import jax."""

import difflib
import errno
from typing import Any

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
OUT_OF_RESOURCES = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EIO, errno.ESTALE, errno.ETIMEDOUT)


class Explained(Exception):  # noqa: N818, no kind of error
    """What went wrong, where the message is the sentence already, whatever stands in it."""


def explain(error: BaseException) -> str:
    """Why something failed, for a person who did not write the code."""
    text = str(error)
    if isinstance(error, Explained):
        return text
    number, file = getattr(error, "errno", None), getattr(error, "filename", None)
    if number in DISK_FULL or "No space left on device" in text or "quota exceeded" in text:
        told = "the disk is full; what was finished or saved is there, and the same command goes on once there is room"
        return told + (f" ({file})" if file else "")
    if _is_out_of_memory(error):
        return (
            "out of memory; want less of num_envs, rollout_steps, width, eval_tasks or eval_instances, or --workers 1"
            f" ({_first_line(text)})"
        )
    if number == errno.EAGAIN or "can't start new thread" in text:
        return (
            "no further process or thread may be started; want a higher limit (`ulimit -u`, pids.max of a container), "
            f"or --workers 1 ({_first_line(text)})"
        )
    if isinstance(error, BrokenPipeError):
        return "whoever read its output, or wrote its input, has ended"
    if isinstance(error, OSError) and error.strerror:
        return f"{file}: {error.strerror}" if file else error.strerror
    return text or type(error).__name__


def is_out_of_resources(error: BaseException) -> bool:
    """Whether memory, files or threads ran out, or a disk did not answer: what was being read may be sound."""
    return (
        _is_out_of_memory(error)
        or getattr(error, "errno", None) in OUT_OF_RESOURCES
        or "can't start new thread" in str(error)
    )


def _is_out_of_memory(error: BaseException) -> bool:
    text = str(error)
    lacking = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    return lacking or "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower()


def explain_no_semaphores(error: BaseException) -> str:
    """Say why worker processes cannot be started, where making a semaphore failed: they lie in shared memory."""
    why = getattr(error, "strerror", None) or _first_line(str(error))
    return (
        f"worker processes need semaphores, and shared memory (/dev/shm) has none to give ({why}); make room there "
        "(`df -h /dev/shm`), or give it to the container, writable: docker run --shm-size=1g"
    )


def escape_control_characters(text: str) -> str:
    """Text for a terminal: what is no letter, number, sign or new line is spelt out."""
    return "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in text)


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:200]


class InputError(Exception):
    """Bad input: its message names the key, the value and what was meant. Exit status 2."""


def did_you_mean(word: str, known: Any) -> str:
    """What was probably meant, as a clause; or what there is."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"want one of {', '.join(known)}"


def check_name(key: str, value: str, known: Any) -> None:
    """Refuse a name that is not among those known."""
    if value not in tuple(known):
        raise InputError(f"{key} = {value!r}: {did_you_mean(value, known)}")


STOPPED_STATUS = 75  # of a process that stopped and can go on


class Stopped(Exception):  # noqa: N818, no error
    """Training stopped on request, and can go on."""


class RunError(Explained):
    """A run that cannot go on, or not whole: its message says why. Exit status 1."""
