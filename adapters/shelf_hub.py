"""`python -m adapters.shelf_hub FOLDER REPO FILE…`: files of one repository of the model hub, by the hub's own library.

Knows no engine. It runs only when a person asks for a model by name; nothing else here reaches the hub. Each file is
asked about first, once: without network that fails at once, and what the hub says of large files is their sha256.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
"""Nothing about this machine is told, and a token that lies at home is not sent."""

SHA256 = re.compile(r"[0-9a-f]{64}")


class WrongDigestError(Exception):
    """What arrived is not what the hub announced."""


def main(arguments: Sequence[str]) -> int:
    """0 when every file is there, else 1 and one sentence on standard error."""
    folder, repo, *files = arguments
    os.environ.update(QUIET)
    try:
        import_module("huggingface_hub")
    except ImportError:
        sys.stderr.write("the package huggingface_hub is missing: make engines\n")
        return 1
    for file in files:
        try:
            _fetched(folder, repo, file)
        except Exception as error:  # the library's errors have no common root; none may show a traceback
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
            sys.stderr.write(f"{repo}/{file}: {why}\n")
            return 1
    return 0


def _fetched(folder: str, repo: str, file: str) -> None:
    hub = import_module("huggingface_hub")
    announced = hub.get_hf_file_metadata(hub.hf_hub_url(repo, file)).etag or ""
    path = Path(hub.hf_hub_download(repo, file, local_dir=folder))
    if not SHA256.fullmatch(announced):
        return
    with path.open("rb") as arrived:
        found = hashlib.file_digest(arrived, "sha256").hexdigest()
    if found != announced:
        raise WrongDigestError(f"its digest is {found}, the hub announced {announced}; try again")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
