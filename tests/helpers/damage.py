"""Damage to files, as disks, copies and people cause it."""

import random
import shutil
from pathlib import Path


def flip(path: Path, rng: random.Random) -> None:
    """Flip one bit."""
    data = bytearray(path.read_bytes())
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(data))


def truncate(path: Path, rng: random.Random) -> None:
    """Cut off the end."""
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data) or 1)])


def lengthen(path: Path, rng: random.Random) -> None:
    """Append garbage."""
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randint(1, 64)))


def scramble(path: Path, rng: random.Random) -> None:
    """Replace everything with garbage of the same length."""
    path.write_bytes(rng.randbytes(path.stat().st_size))


def zero(path: Path, rng: random.Random) -> None:
    """Overwrite a stretch with zeros, as after a power cut."""
    data = bytearray(path.read_bytes())
    if data:
        start = rng.randrange(len(data))
        data[start : start + 512] = bytes(len(data[start : start + 512]))
    path.write_bytes(bytes(data))


def swap(path: Path, rng: random.Random) -> None:
    """Exchange the contents of this file and another one of its folder."""
    others = [other for other in sorted(path.parent.iterdir()) if other.is_file() and other != path]
    if others:
        other = rng.choice(others)
        content, other_content = path.read_bytes(), other.read_bytes()
        path.write_bytes(other_content)
        other.write_bytes(content)


def lose(path: Path, rng: random.Random) -> None:
    """Delete the file."""
    path.unlink()


def usurp(path: Path, rng: random.Random) -> None:
    """Put a directory in the file's place."""
    path.unlink()
    path.mkdir()


WAYS = (flip, truncate, lengthen, scramble, zero, swap, lose, usurp)


def damage(folder: Path, rng: random.Random, ways=WAYS, most: int = 2) -> list[str]:
    """Damage up to `most` of a folder's files; return what was done."""
    done = []
    for _ in range(rng.randint(1, most)):
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
        path, way = rng.choice(files), rng.choice(ways)
        way(path, rng)
        done.append(f"{way.__name__} {path.relative_to(folder)}")
    return done


def copy(source: Path, target: Path) -> Path:
    """Copy a folder over whatever the target was."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target
