"""Decoding of text files that a user wrote: UTF-8, with or without a byte order mark. Does not import jax."""

import codecs

BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
"""Encodings by their byte order marks."""


def decode(data: bytes) -> str:
    """Decode the bytes of a text file; all line endings become newlines.

    Raises:
        ValueError: if the text is not UTF-8; the message names the encoding found, and what to do.
    """
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if data.startswith(mark)), None)
    if encoding is None and b"\0" in data:
        encoding = "UTF-16"  # without a mark, as every other byte of plain text is 0
    if encoding is not None:
        raise ValueError(f"is written in {encoding}, or is not text. Save it as UTF-8.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        where = f"byte 0x{data[error.start]:02x} in line {data.count(bytes([10]), 0, error.start) + 1}"
        raise ValueError(f"is not written in UTF-8 ({where}). Save it as UTF-8.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
