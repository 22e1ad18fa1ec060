"""Limits of control groups, from trees of files as the kernel has them."""

import os

import pytest

from incentivize.experiments.runtime import cgroup
from incentivize.experiments.runtime.cgroup import CgroupLimits, limits

GIB = 2**30
UNLIMITED = str(2**63 - 4096)


def tree(root, groups="", mounts="", **files):
    """What the kernel shows below a root: the two files of this process, and others by their paths."""
    written = {"proc/self/cgroup": groups, "proc/self/mountinfo": mounts} | files
    for name, text in written.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def mount(place, kind, mounted="/", more="rw"):
    return f"31 23 0:28 {mounted} {place} rw,relatime shared:5 - {kind} {kind} {more}\n"


V2 = mount("/sys/fs/cgroup", "cgroup2")
V1 = mount("/sys/fs/cgroup/memory", "cgroup", more="rw,memory") + mount(
    "/sys/fs/cgroup/cpu,cpuacct", "cgroup", more="rw,cpu,cpuacct"
)


def test_without_groups_there_are_no_limits(tmp_path):
    assert limits(tmp_path) == CgroupLimits()
    assert limits(tmp_path / "none") == CgroupLimits()
    assert limits(tree(tmp_path, "0::/\n", V2)) == CgroupLimits()


def test_the_own_group_of_version_2_counts(tmp_path):
    own = "sys/fs/cgroup/job/7"
    files = {
        f"{own}/memory.max": f"{4 * GIB}\n",
        f"{own}/memory.current": f"{3 * GIB}\n",
        f"{own}/memory.stat": f"anon 5\nactive_file {GIB // 2}\ninactive_file {GIB // 2}\nfile {2 * GIB}\n",
        f"{own}/cpu.max": "150000 100000\n",
    }
    assert limits(tree(tmp_path, "0::/job/7\n", V2, **files)) == CgroupLimits(4 * GIB, 2 * GIB, 1.5)


def test_the_smallest_limit_of_the_groups_above_counts(tmp_path):
    files = {
        "sys/fs/cgroup/a/b/c/memory.max": "max\n",
        "sys/fs/cgroup/a/b/c/cpu.max": "max 100000\n",
        "sys/fs/cgroup/a/b/memory.max": f"{8 * GIB}\n",
        "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
        "sys/fs/cgroup/a/memory.max": f"{2 * GIB}\n",
        "sys/fs/cgroup/a/memory.current": f"{GIB}\n",
        "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
        "sys/fs/cgroup/other/memory.max": "1\n",
    }
    assert limits(tree(tmp_path, "0::/a/b/c\n", V2, **files)) == CgroupLimits(2 * GIB, GIB, 2.0)


def test_version_1_has_a_tree_for_each_controller(tmp_path):
    files = {
        "sys/fs/cgroup/memory/slurm/job/step/memory.limit_in_bytes": f"{UNLIMITED}\n",
        "sys/fs/cgroup/memory/slurm/job/memory.limit_in_bytes": f"{6 * GIB}\n",
        "sys/fs/cgroup/memory/slurm/job/memory.usage_in_bytes": f"{5 * GIB}\n",
        "sys/fs/cgroup/memory/slurm/job/memory.stat": f"inactive_file 7\ntotal_inactive_file {2 * GIB}\n",
        "sys/fs/cgroup/cpu,cpuacct/batch/cpu.cfs_quota_us": "300000\n",
        "sys/fs/cgroup/cpu,cpuacct/batch/cpu.cfs_period_us": "100000\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
    }
    groups = "4:memory:/slurm/job/step\n2:cpu,cpuacct:/batch\n1:name=systemd:/x\n"
    assert limits(tree(tmp_path, groups, V1, **files)) == CgroupLimits(6 * GIB, 3 * GIB, 3.0)


def test_a_group_of_version_1_knows_limits_above_what_is_mounted(tmp_path):
    files = {
        "sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED,
        "sys/fs/cgroup/memory/memory.stat": f"cache 1\nhierarchical_memory_limit {GIB}\n",
    }
    assert limits(tree(tmp_path, "4:memory:/docker/abc\n", V1, **files)).memory == GIB


def test_a_container_sees_its_own_group_as_the_root(tmp_path):
    files = {"sys/fs/cgroup/memory.max": f"{GIB}\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}
    for number, (groups, mounts) in enumerate(
        [
            ("0::/\n", V2),
            ("0::/kubepods/pod1/abc\n", V2),  # the host's path
            ("0::/../../user.slice\n", V2),  # of another name space
            ("0::/docker/abc\n", mount("/sys/fs/cgroup", "cgroup2", "/docker/abc")),
            ("0::/\n", ""),  # nothing is said to be mounted
            ("", ""),
        ]
    ):
        assert limits(tree(tmp_path / str(number), groups, mounts, **files)) == CgroupLimits(GIB, GIB, 0.5), groups


def test_a_part_that_is_mounted_elsewhere_is_found(tmp_path):
    mounts = mount("/run/my\\040groups", "cgroup2", "/pod")
    files = {"run/my groups/a/memory.max": f"{GIB}\n", "run/my groups/memory.max": f"{2 * GIB}\n"}
    assert limits(tree(tmp_path, "0::/pod/a\n", mounts, **files)).memory == GIB


def test_both_versions_at_once_count(tmp_path):
    mounts = V1 + mount("/sys/fs/cgroup/unified", "cgroup2")
    files = {
        "sys/fs/cgroup/memory/job/memory.limit_in_bytes": f"{3 * GIB}\n",
        "sys/fs/cgroup/unified/job/cpu.max": "100000 100000\n",
    }
    assert limits(tree(tmp_path, "4:memory:/job\n0::/job\n", mounts, **files)) == CgroupLimits(3 * GIB, 3 * GIB, 1.0)


def test_memory_that_is_throttled_counts_as_limited(tmp_path):
    files = {"sys/fs/cgroup/memory.max": f"{2 * GIB}\n", "sys/fs/cgroup/memory.high": f"{GIB}\n"}
    assert limits(tree(tmp_path, "0::/\n", V2, **files)).memory == GIB


@pytest.mark.parametrize("text", ["", "max", "-1", "0", "lots", "1e9", "5 5 5", "\u0664", "9" * 5000, "0 0", "1 0"])
def test_what_cannot_be_understood_is_no_limit(text, tmp_path):
    names = ("memory.max", "cpu.max", "memory.current", "memory.stat", "memory.limit_in_bytes")
    files = {f"sys/fs/cgroup/{name}": text for name in names}
    assert limits(tree(tmp_path, "0::/\n", V2, **files)) == CgroupLimits()


def test_garbage_in_place_of_files_is_no_limit(tmp_path):
    tree(tmp_path, "x\n:\n0:\n\n4:memory\n", "x\n - cgroup2\n1 2 3 4 /\\999 - cgroup2 c rw\n")
    (tmp_path / "sys/fs/cgroup/memory.max").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_bytes(b"\xff\xfe\x00")
    assert limits(tmp_path) == CgroupLimits()


def test_more_is_used_than_allowed_leaves_nothing(tmp_path):
    files = {"sys/fs/cgroup/memory.max": "1000\n", "sys/fs/cgroup/memory.current": "2000\n"}
    assert limits(tree(tmp_path, "0::/\n", V2, **files)) == CgroupLimits(1000, 0)


@pytest.mark.parametrize(
    ("quota", "many"), [("max", 4), ("50000", 1), ("100000", 1), ("250000", 2), ("400000", 4), ("6400000", 4)]
)
def test_whole_cores_are_counted_and_at_least_one(quota, many, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    tree(tmp_path, "0::/\n", V2, **{"sys/fs/cgroup/cpu.max": f"{quota} 100000\n"})
    assert cgroup.cores(tmp_path) == many
