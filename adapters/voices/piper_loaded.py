"""The Piper voices that are loaded: each on its first use, the least used put back when they weigh too much.

Knows the folder and what goes wrong with files; neither requests nor sound.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from adapters import settings
from peer.core.errors import Unavailable

from .piper_catalogue import VoiceFile, installed
from .piper_graphs import StrangeGraphError
from .piper_network import Delivery, Network
from .piper_phonemes import EXTRAS, Reader

KEPT_BYTES = 400_000_000
"""Of files whose voices stay loaded, six of medium quality or three of high: loaded, a voice takes up to three times
its file, so that they fit the memory an engine gets by default."""


class UnusableVoiceError(Exception):
    """A file that is no voice, or one that cannot be used here; the text names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A voice ready to speak, and the bytes of its file."""

    file: VoiceFile
    reader: Reader
    network: Network
    weight: int


class LoadedVoices:
    """The loaded voices of one engine's folder, by stem."""

    def __init__(self, engine: str) -> None:
        self._row = settings.of(engine)
        self._add = f"python -m peer voices add {engine} <path or name>"
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()

    def voice(self, stem: str) -> Loaded:
        """The voice of a file, loaded if it is not. Raises UnusableVoiceError; Unavailable for the device."""
        found = self._loaded.get(stem)
        if found is None:
            found = self._load(stem)
        self._loaded[stem] = found
        self._loaded.move_to_end(stem)
        return found

    def close(self) -> None:
        self._loaded.clear()

    def _load(self, stem: str) -> Loaded:
        file = installed(self._row.models).get(stem)
        if file is None:
            raise UnusableVoiceError(f"the voice {stem} is not in {self._row.models}: {self._add}")
        try:
            weight = file.path.stat().st_size
            self._make_room(weight)
            loaded = Loaded(file, Reader(file), Network(file.path, self._row.threads, self._row.device), weight)
            _rehearse(loaded)
        except (Unavailable, MemoryError):
            raise
        except Exception as error:
            raise UnusableVoiceError(self._why(file, error)) from error
        return loaded

    def _why(self, file: VoiceFile, error: Exception) -> str:
        """One sentence that names the file and the remedy; runtime and phonemizer have errors of every kind."""
        name = file.path.name
        match error:
            case StrangeGraphError():
                return f"{name} is no Piper voice: {error}; add another one: {self._add}"
            case ImportError():
                extra = EXTRAS.get(file.phoneme_type, "")
                return f"{name} needs a phonemizer ({error}): pip install 'piper-tts[{extra}]'"
            case KeyError():
                return f"the JSON of {name} lacks {error}; add the voice again: {self._add}"
            case _:
                first = (str(error) or type(error).__name__).splitlines()[0]
                return f"{name} cannot be used: {first}; add another one: {self._add}"

    def _make_room(self, weight: int) -> None:
        while self._loaded and weight + sum(voice.weight for voice in self._loaded.values()) > KEPT_BYTES:
            self._loaded.popitem(last=False)


def _rehearse(voice: Loaded) -> None:
    """Runs every graph once, so that the first request finds all memory touched. Raises what they raise."""
    file = voice.file
    delivery = Delivery(file.default_speaker, file.length_scale, file.noise_scale, file.noise_w)
    score = voice.network.score(voice.reader.rehearsal(), delivery, "rehearsal")
    latents = voice.network.latents(score)
    for low, high in voice.network.blocks(score.total):
        voice.network.sound(latents, low, high, delivery.speaker)
