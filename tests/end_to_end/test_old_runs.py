"""Nothing that is computed has changed: every study at its preset "tiny", held against rows of an older version.

`old_runs.json` was made by the commit that it names: all studies in one folder, one after the other, as later
ones take over cells of earlier ones. Columns that were renamed since then have their new names in it.
"""

import hashlib
import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from incentivize.experiments import studies
from incentivize.experiments.storage.cell_store import read_about
from incentivize.experiments.storage.io import open_npz

BEFORE = json.loads((Path(__file__).parent / "old_runs.json").read_text())
CPUINFO = Path("/proc/cpuinfo")
SAME_MACHINE = CPUINFO.exists() and BEFORE["processor"] in CPUINFO.read_text() and version("jaxlib") == BEFORE["jaxlib"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("after")


@pytest.mark.slow
@pytest.mark.skipif(not SAME_MACHINE, reason="other processors, and other versions of XLA, round otherwise")
@pytest.mark.parametrize("name", studies.names())
def test_rows_claims_and_parameters_are_as_before(name, folder):
    before, run = BEFORE["studies"][name], folder / name
    environment = {
        key: value for key, value in os.environ.items() if key not in ("XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR")
    }
    command = [sys.executable, "-m", "incentivize", "run", name, "--preset", "tiny", "--out", str(run)]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    rows = [json.dumps(json.loads(line), sort_keys=True) for line in (run / "results.jsonl").read_text().splitlines()]
    assert len(rows) == before["n_rows"]
    assert hashlib.sha256("\n".join(sorted(rows)).encode()).hexdigest()[:16] == before["rows"]
    cells = {}
    for path in (run / "cells").glob("*.npz"):
        with open_npz(path, 2**26) as archive:
            cells[path.stem] = read_about(archive)["digest"][:16]
    assert cells == before["cells"]
    claims = json.loads((run / "claims.json").read_text())
    assert [
        {key: claim.get(key) for key in old} for claim, old in zip(claims, before["claims"], strict=True)
    ] == before["claims"]
