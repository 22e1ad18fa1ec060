"""Checks of the installation: Python, packages, extras, templates, Gymnasium's ids, plug-ins."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from incentivize.experiments.doctor import Finding

Version = Callable[[str], str | None]
"""From the name of a distribution to its version; None where it is not installed."""
Requires = Callable[[str], Sequence[str]]
"""From the name of a distribution to its requirements."""

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


def check_python(version: str, specifier: str) -> Finding:
    """Check whether a version of Python, such as "3.11.7", lies in the range that the distribution requires."""
    if SpecifierSet(specifier).contains(version, prereleases=True):
        return Finding("python", "ok", f"{version} fits {specifier}")
    return Finding("python", "wrong", f"{version} is outside {specifier}. Make an environment with another Python.")


def check_packages(requirements: Iterable[str], version: Version) -> Finding:
    """Check whether everything that the distribution requires is installed, in a version that it allows."""
    parsed = map(Requirement, requirements)
    required = [package for package in parsed if package.marker is None or package.marker.evaluate({"extra": ""})]
    problems = {package: problem for package in required if (problem := _problem_with(package, version(package.name)))}
    if not problems:
        return Finding("packages", "ok", f"all {len(required)} required packages, in versions that fit")
    arguments = " ".join(f"'{package.name}{package.specifier}'" for package in problems)
    return Finding("packages", "wrong", f"{'; '.join(problems.values())}. Run pip install {arguments}.")


def _problem_with(requirement: Requirement, version: str | None) -> str:
    """Return the fault of the installed version of a package, or "" where it fits."""
    if version is None:
        return f"{requirement.name} is missing"
    fits = requirement.specifier.contains(version, prereleases=True)
    return "" if fits else f"{requirement.name} {version} is outside {requirement.specifier}"


def check_extra(name: str, requirements: Iterable[str], version: Version, requires: Requires) -> Finding:
    """Check whether an optional extra of the distribution is installed."""
    missing = sorted({part for text in requirements for part in _missing(Requirement(text), name, version, requires)})
    if not missing:
        return Finding(f"extra {name}", "ok", "is installed")
    lacking = f"is not installed ({', '.join(missing)})"
    return Finding(f"extra {name}", "ok", f"{lacking}. To use it, run pip install 'incentivize[{name}]'.")


def _missing(requirement: Requirement, extra: str, version: Version, requires: Requires) -> list[str]:
    """List the packages that a requirement of an extra lacks, the extras of that requirement included."""
    if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
        return []
    if _problem_with(requirement, version(requirement.name)):
        return [requirement.name]
    return [
        name
        for inner_extra in requirement.extras
        for inner in map(Requirement, requires(requirement.name))
        if inner.marker and not inner.marker.evaluate({"extra": ""})
        for name in _missing(inner, inner_extra, version, requires)
    ]


def check_templates(folder: Path) -> Finding:
    """Check whether the folder has the templates of reports."""
    missing = [name for name in TEMPLATES if not (folder / name).is_file()]
    if not missing:
        return Finding("templates", "ok", f"{len(TEMPLATES)} files in {folder}")
    command = "pip install --force-reinstall --no-deps incentivize"
    return Finding("templates", "wrong", f"{folder} lacks {', '.join(missing)}. Run {command}.")


def check_gymnasium_ids(families: Iterable[str], registered: Iterable[str]) -> Finding:
    """Check whether Gymnasium knows every family.

    Args:
        families: the names of the families' classes.
        registered: the ids that Gymnasium knows.
    """
    ids = {f"incentivize/{family}-v0" for family in families}
    if missing := sorted(ids.difference(registered)):
        return Finding("gymnasium", "wrong", f"does not know {', '.join(missing)}. Reinstall incentivize.")
    return Finding("gymnasium", "ok", f"knows {len(ids)} families, as incentivize:incentivize/...")


def check_plugins(plugins: Sequence[Mapping[str, str]]) -> list[Finding]:
    """Check whether the plug-ins of other distributions can be loaded.

    Args:
        plugins: `distribution`, `group`, `name` and `problem` of each; the problem is empty where it can be loaded.
    """
    if not plugins:
        return [Finding("plug-ins", "ok", "none installed")]
    return [_check_plugin(**plugin) for plugin in plugins]


def _check_plugin(distribution: str, group: str, name: str, problem: str) -> Finding:
    result = f"{problem}. Repair or remove that package." if problem else "can be loaded"
    return Finding(f"plug-in {name}", "wrong" if problem else "ok", f"{group} of {distribution}: {result}")
