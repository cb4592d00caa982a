"""The suite that every voice passes lives with the peer, so that third parties have it too: `peer.contract`.

Knows nothing of its own.
"""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("peer.contract")

from peer.contract import (  # noqa: E402 (pytest rewrites its assertions only if told before)
    CALM,
    EVERYTHING,
    FAR,
    ROOT,
    SENTENCE,
    TEXTS,
    Driver,
    Heard,
    VoiceContract,
    opened,
)

__all__ = ["CALM", "EVERYTHING", "FAR", "ROOT", "SENTENCE", "TEXTS", "Driver", "Heard", "VoiceContract", "opened"]
