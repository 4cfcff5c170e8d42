"""How many CPU cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path


def available_cores() -> int:
    """Cores that this process may use: affinity, container quota and ``OMP_NUM_THREADS`` obeyed.

    The engines, the tokenizer and BLAS each start a thread a core; asking the machine instead of the
    process would start 64 threads in a container that was given 2 cores.
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _container_quota()
    if quota is not None:
        allowed = min(allowed, max(1, math.ceil(quota)))
    if wanted.isdigit() and int(wanted) > 0:
        allowed = min(allowed, int(wanted))
    return allowed


def _container_quota() -> float | None:
    """Cores that the control group (v2, then v1) grants, None where it sets no limit."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int(Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").read_text())
        period_us = int(Path("/sys/fs/cgroup/cpu/cpu.cfs_period_us").read_text())
        return quota_us / period_us if quota_us > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
