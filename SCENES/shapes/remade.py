"""Made again: from the log's records and the engines' own samples every frame comes out as it left.

Knows no engine: the take has what was rendered.
"""

from __future__ import annotations

import numpy as np

from peer.core.pcm import EMPTY
from peer.core.rebuild import Rebuilder, Rebuilt
from peer.core.recontrol import Recontrol

from ..take import Take
from .figures import Finding, found


def remade(take: Take) -> Finding:
    """Byte for byte, none missing and none too many; the controller, run again, decides the same."""
    faults: list[str] = []
    again = {frame.n: frame for frame in rebuilt(take)}
    for frame in take.sent:
        made = again.pop(frame.n, None)
        if made is None or made.pcm is None:
            faults.append(f"frame {frame.n} cannot be made again")
        elif not made.same or not np.array_equal(made.pcm, frame.pcm):
            faults.append(f"frame {frame.n} ({frame.kind}) is made otherwise")
    faults += [f"frame {n} never left" for n in again]
    recontrol = Recontrol()
    faults += [f"controller: {one}" for row in take.rows for one in recontrol.feed(row)]
    return found("remade", faults, frames=len(take.sent), decisions=recontrol.decisions)


def rebuilt(take: Take) -> list[Rebuilt]:
    """The take's frames, made from its records and its raw chunks."""
    header = next((row for row in take.rows if row.get("kind") == "header"), {})
    seed = header.get("seed")
    rebuilder = Rebuilder(seed if header.get("dither") is True and isinstance(seed, int) else None)
    made: list[Rebuilt] = []
    for row in (*take.rows, None):
        chunk = rebuilder.needs(row)
        if chunk is not None:
            rebuilder.supply(take.raw.get(chunk, EMPTY))
        made += rebuilder.rest() if row is None else rebuilder.feed(row)
    return made
