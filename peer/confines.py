"""What one engine's process may have: environment, threads, cores, memory, places on the network.

Knows no process. The operator's settings come first, then the registry's row, then what holds for every engine.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from adapters import registry, settings
from adapters.sandbox import Confines

from .core.descriptor import Descriptor
from .core.errors import Unavailable

INHERITED = (
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES",
    "SSL_CERT_FILE", "SSL_CERT_DIR",
)  # fmt: skip
"""What every worker inherits; keys and tokens are not among it. A row's `secrets` go to that engine alone."""

FIXED = {
    "PYTHONUTF8": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""No model hub, no telemetry in a database at home, no threads that nobody asked for."""

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
"""Read by the libraries when they load. One thread unless configured: two were slower and not repeatable."""


def confines_of(name: str, descriptor: Descriptor) -> Confines:
    """The limits of an engine's process. Raises Unavailable where this machine cannot give them."""
    own = settings.of(name)
    here = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(own.cpus)
    missing = sorted(set(own.cpus) - here)
    if missing:
        given = ", ".join(map(str, sorted(here)))
        raise Unavailable(f"{name}: cpus names {', '.join(map(str, missing))}; this machine gives {given}")
    row = registry.rows().get(name)
    memory_mb = own.memory_mb or (row.memory_mb if row is not None else 0)
    return Confines(descriptor.network, memory_mb, own.cpus, own.nice)


def environment_of(name: str, confines: Confines) -> dict[str, str]:
    """Everything an engine's process finds in its environment."""
    row = registry.rows().get(name)
    names = (*INHERITED, *(row.secrets if row is not None else ()))
    threads = str(settings.of(name).threads)
    return {
        **{variable: os.environ[variable] for variable in names if variable in os.environ},
        **FIXED,
        **dict.fromkeys(THREADS, threads),
        **settings.environment(name),
        **confines.environment(),
    }


def to_wire(name: str, confines: Confines) -> Mapping[str, object]:
    """For the health page: plain JSON values, no secret."""
    return {
        "threads": settings.of(name).threads,
        "memory_mb": confines.memory_mb,
        "cpus": list(confines.cpus),
        "nice": confines.nice,
        "network": list(confines.network),
    }
