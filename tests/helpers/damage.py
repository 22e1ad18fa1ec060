"""Damage as disks, copies and people do it."""

import random
import shutil
from pathlib import Path


def flip(path: Path, rng: random.Random) -> None:
    """One bit."""
    data = bytearray(path.read_bytes())
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(bytes(data))


def truncate(path: Path, rng: random.Random) -> None:
    """The end is missing."""
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data) or 1)])


def lengthen(path: Path, rng: random.Random) -> None:
    """Something follows."""
    path.write_bytes(path.read_bytes() + rng.randbytes(rng.randint(1, 64)))


def scramble(path: Path, rng: random.Random) -> None:
    """Garbage of the same length."""
    path.write_bytes(rng.randbytes(path.stat().st_size))


def zero(path: Path, rng: random.Random) -> None:
    """A stretch of zeros, as after a power cut."""
    data = bytearray(path.read_bytes())
    if data:
        start = rng.randrange(len(data))
        data[start : start + 512] = bytes(len(data[start : start + 512]))
    path.write_bytes(bytes(data))


def swap(path: Path, rng: random.Random) -> None:
    """Its content and that of another file nearby."""
    others = [other for other in sorted(path.parent.iterdir()) if other.is_file() and other != path]
    if others:
        other = rng.choice(others)
        mine, theirs = path.read_bytes(), other.read_bytes()
        path.write_bytes(theirs)
        other.write_bytes(mine)


def lose(path: Path, rng: random.Random) -> None:
    """It is gone."""
    path.unlink()


def usurp(path: Path, rng: random.Random) -> None:
    """A directory has its name."""
    path.unlink()
    path.mkdir()


WAYS = (flip, truncate, lengthen, scramble, zero, swap, lose, usurp)


def damage(folder: Path, rng: random.Random, ways=WAYS, most: int = 2) -> list[str]:
    """Damages up to so many of a folder's files; returns what was done."""
    done = []
    for _ in range(rng.randint(1, most)):
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "lock")
        path, way = rng.choice(files), rng.choice(ways)
        way(path, rng)
        done.append(f"{way.__name__} {path.relative_to(folder)}")
    return done


def copy(source: Path, target: Path) -> Path:
    """A copy in place of whatever was there."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target
