"""Silero's published voice activity weights, run by onnxruntime.

Knows nothing of thresholds. The package that ships the weights is never imported: its first line
imports torch; only its directory is looked up.
"""

from __future__ import annotations

import importlib.util
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from adapters.ears.base import RATE, WINDOW, EarDescriptor
from peer.core.errors import Broken, Unavailable
from peer.core.pcm import Float

PACKAGE = "silero_vad"
MODELS = ("silero_vad_16k_op15.onnx", "silero_vad.onnx")
"""Best first. The other files of the wheel (`_half`, `.safetensors`) hold older weights with other results."""

CONTEXT = 64
"""Samples of the last chunk that the model wants again in front of the new ones."""

STATE = (2, 1, 128)

REMEDY = "pip install onnxruntime silero-vad==6.2.3"


def find_model() -> Path:
    """The weights inside the installed wheel. Raises Unavailable."""
    spec = importlib.util.find_spec(PACKAGE)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for name in MODELS:
            path = Path(root) / "data" / name
            if path.is_file():
                return path
    raise Unavailable(f"the weights of {PACKAGE} are not installed: {REMEDY}")


@lru_cache(maxsize=1)
def _session() -> Any:
    """One loaded model for all calls: it keeps no state between runs, an ear carries its own."""
    path = find_model()
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # before the import: its wheel writes a database and calls home
    try:
        import onnxruntime
    except ImportError as missing:
        raise Unavailable(f"onnxruntime is not installed: {REMEDY}") from missing
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as foreign:  # onnxruntime's errors share no root of their own
        raise Unavailable(f"onnxruntime cannot load {path.name} ({foreign}): {REMEDY}") from foreign


class SileroEar:
    """Probability of speech per 32 ms: under 0.1 ms of one core, no thread of its own."""

    name: ClassVar[str] = "silero"

    def __init__(self) -> None:
        self._model: Any = None
        self._rate = np.array(RATE, np.int64)
        self._input = np.zeros((1, CONTEXT + WINDOW), np.float32)
        self._state = np.zeros(STATE, np.float32)

    @classmethod
    def describe(cls) -> EarDescriptor:
        return EarDescriptor(cls.name, "6.2", "MIT", features=("speech", "languages:any"))

    def warm_up(self) -> None:
        if self._model is None:
            self._model = _session()
            self.hear(np.zeros(WINDOW, np.float32))  # the first run allocates
            self.reset()

    def hear(self, pcm: Float) -> float:
        if self._model is None:
            raise Broken("this ear was not warmed up, or is closed")
        if pcm.shape != (WINDOW,):
            raise Broken(f"an ear hears ({WINDOW},) samples, not {pcm.shape}")
        self._input[0, CONTEXT:] = pcm
        try:
            verdict, self._state = self._model.run(None, {"input": self._input, "state": self._state, "sr": self._rate})
        except Exception as foreign:  # as above
            raise Broken(f"the voice activity model failed: {foreign}") from foreign
        self._input[0, :CONTEXT] = pcm[-CONTEXT:]
        probability = float(verdict[0, 0])
        if not 0.0 <= probability <= 1.0:  # not a number is neither: a model never recovers from it
            self.reset()
            raise Broken("the voice activity model returned no probability")
        return probability

    def reset(self) -> None:
        self._input.fill(0.0)
        self._state = np.zeros(STATE, np.float32)

    def close(self) -> None:
        self._model = None
