"""Text that somebody wrote with an editor: UTF-8, with or without a byte order mark. Does not import jax."""

import codecs

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Encodings by their byte order marks."""


def decode(data: bytes) -> str:
    """Return the text of a file, its lines ending as Python has them.

    Raises:
        ValueError: where it is not UTF-8; the message says what it is, and what to do.
    """
    found = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)
    if found is None and b"\0" in data:
        found = "UTF-16"  # without a mark, as every other byte of plain text is 0
    if found is not None:
        raise ValueError(f"it is written in {found}, or is no text; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"byte 0x{data[error.start]:02x} in line {data.count(bytes([10]), 0, error.start) + 1}"
        raise ValueError(f"it is not written in UTF-8 ({what}); save it as UTF-8") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
