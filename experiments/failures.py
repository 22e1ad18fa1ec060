"""What went wrong, in a sentence: the reason, and what to do about it. Does not import jax."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)


def reason(error: BaseException) -> str:
    """Why something failed, for a person who did not write the code."""
    text = str(error)
    if getattr(error, "errno", None) in FULL or "No space left on device" in text or "quota exceeded" in text:
        return "the disk is full; what was finished or saved is there, and the same command goes on once there is room"
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower():
        return (
            "out of memory; want less of num_envs, rollout_steps, width, eval_tasks or eval_instances, or --workers 1"
            f" ({_line(text)})"
        )
    if isinstance(error, BrokenPipeError):
        return "whoever read its output, or wrote its input, has ended"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return text or type(error).__name__


def printable(text: str) -> str:
    """Text for a terminal: what is no letter, number, sign or new line is spelt out."""
    return "".join(sign if sign.isprintable() or sign == "\n" else ascii(sign)[1:-1] for sign in text)


def _line(text: str) -> str:
    return (text.strip().splitlines() or [""])[0][:200]
