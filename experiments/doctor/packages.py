"""Checks of what is installed: Python, packages, extras, the package's own files, Gymnasium's ids, plug-ins."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from incentivize.experiments.doctor import Finding

Version = Callable[[str], str | None]
"""From a distribution to its version, None where it is not installed."""
Requires = Callable[[str], Sequence[str]]
"""From a distribution to what it says that it requires."""

TEMPLATES = (
    "base.html",
    "curves.html",
    "curves.js",
    "parts.html",
    "replays.html",
    "replays.js",
    "report.html",
    "scoreboard.html",
    "watch.html",
)


def python(version: str, wanted: str) -> Finding:
    """Whether this is a Python that the distribution is for."""
    if SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding("python", "ok", f"{version} fits {wanted}")
    return Finding("python", "wrong", f"{version} is outside {wanted}: make another environment with such a Python")


def packages(requirements: Iterable[str], version: Version) -> Finding:
    """Whether everything that the distribution requires is there, in a version that it allows."""
    needed = [one for one in map(Requirement, requirements) if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = {one: said for one in needed if (said := _outside(one, version(one.name)))}
    if not wrong:
        return Finding("packages", "ok", f"all {len(needed)} that are required, in versions that fit")
    mended = " ".join(f"'{one.name}{one.specifier}'" for one in wrong)
    return Finding("packages", "wrong", f"{'; '.join(wrong.values())}: pip install {mended}")


def _outside(wanted: Requirement, version: str | None) -> str:
    """What is wrong with one package; nothing where it fits."""
    if version is None:
        return f"{wanted.name} is missing"
    fits = wanted.specifier.contains(version, prereleases=True)
    return "" if fits else f"{wanted.name} {version} is outside {wanted.specifier}"


def extra(name: str, requirements: Iterable[str], version: Version, requires: Requires) -> Finding:
    """Whether an extra of the distribution is installed, which nobody has to have."""
    missing = sorted({one for text in requirements for one in _missing(Requirement(text), name, version, requires)})
    if not missing:
        return Finding(f"extra {name}", "ok", "is there")
    return Finding(f"extra {name}", "ok", f"is not there ({', '.join(missing)}): pip install 'incentivize[{name}]'")


def _missing(wanted: Requirement, extra: str, version: Version, requires: Requires) -> list[str]:
    """What an extra needs and is not there, as far as the extras of what it needs."""
    if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
        return []
    if _outside(wanted, version(wanted.name)):
        return [wanted.name]
    inner = [(one, more) for more in wanted.extras for one in map(Requirement, requires(wanted.name)) if one.marker]
    inner = [(one, more) for one, more in inner if one.marker and not one.marker.evaluate({"extra": ""})]
    return [name for one, more in inner for name in _missing(one, more, version, requires)]


def templates(folder: Path) -> Finding:
    """Whether the files are there that reports are made from."""
    missing = [name for name in TEMPLATES if not (folder / name).is_file()]
    if not missing:
        return Finding("templates", "ok", f"{len(TEMPLATES)} files in {folder}")
    return Finding(
        "templates",
        "wrong",
        f"{folder} lacks {', '.join(missing)}: pip install --force-reinstall --no-deps incentivize",
    )


def ids(families: Iterable[str], registered: Iterable[str]) -> Finding:
    """Whether Gymnasium knows every family.

    Args:
        families: the names of their classes.
        registered: ids of Gymnasium.
    """
    wanted = {f"incentivize/{kind}-v0" for kind in families}
    if not (missing := sorted(wanted.difference(registered))):
        return Finding("gymnasium", "ok", f"knows {len(wanted)} families, as incentivize:incentivize/...")
    return Finding("gymnasium", "wrong", f"does not know {', '.join(missing)}, though envs was imported")


def plugins(found: Sequence[Mapping[str, str]]) -> list[Finding]:
    """Whether what other distributions bring can be loaded.

    Args:
        found: of each its `distribution`, `group`, `name`, and the `problem` with it, which is empty where there is
            none.
    """
    if not found:
        return [Finding("plug-ins", "ok", "there are none")]
    return [
        Finding(
            f"plug-in {one['name']}",
            "wrong" if one["problem"] else "ok",
            f"{one['group']} of {one['distribution']}: "
            + (f"{one['problem']}; mend or remove that package" if one["problem"] else "can be loaded"),
        )
        for one in found
    ]
