"""llama.cpp for voices that are language models: open a GGUF, evaluate token by token, choose repeatably.

Knows no engine, no codec and no prompt; it is given ids and gives logits.

    llama = Llama.open(path, context=2048, threads=1, gpu_layers=0)      # Unavailable: one sentence with a remedy
    sentence = llama.begin([*llama.tokens("<start>", special=True), *llama.tokens(text)])
    while (id := low + choose(sentence.logits()[low:high], seed, sentence.position, Choice())) != stop:
        sentence.push(id)
    sentence.close()

Several passages of one `Llama` may be open and used in turns: the one that was used last lies in the context, the
others' key-value states in RAM, up to SPILL_BYTES (a copy to swap, nothing is evaluated again). What a passage gives
depends on its ids alone, not on the turns and not on `rewind`; after a `Saved` prefix, on that and its ids. Every id
is evaluated in the same batch shape at the same position, whichever way was taken there. That is why known ids are
never evaluated in one call after the fact: other shapes round otherwise, and 30 to 160 tokens later other ids follow.

There is no abort: the smallest step is `advance()`, one token or one batch of the prompt, and to cancel is not to
take the next. A callback into Python from inside a step costs a microsecond per graph node, a tenth of a token.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from peer.core.errors import Broken, Unavailable
from peer.core.pcm import Float

from .choice import Choice, choose, draw

__all__ = ["ALL_LAYERS", "Choice", "Llama", "Passage", "Saved", "choose", "draw"]

STEP = 64
"""Prompt tokens of one batch: as fast per token as a longer one, and a cancel waits for no more."""

SPILL_BYTES = 1 << 30
"""Key-value states kept in RAM for passages that wait: a dozen sentences of a model of 3 billion weights, or all
calls of a small one. The state of the one that waited longest is dropped; its ids are evaluated again, one by one."""

ALL_LAYERS = -1
"""`gpu_layers` that puts the whole model on the GPU."""

MAGIC = b"GGUF"
ERROR = 4
"""The log level of errors in ggml.h; the names that the Python package gives the levels are off by one."""

SAID = 400
"""Characters of llama.cpp's own first error that an Unavailable quotes."""

KEPT = 3
"""Errors kept of one attempt: the first says why."""

NO_GPU = (
    "llama.cpp finds no GPU: set the engine's device to cpu, or, where there is one, run "
    'CMAKE_ARGS="-DGGML_CUDA=on" pip install --force-reinstall --no-cache-dir llama-cpp-python==0.3.36'
)

State = npt.NDArray[np.uint8]
_errors: list[str] = []


@cache
def _library() -> Any:
    """llama.cpp's plain functions, quiet but for errors, which are kept. Raises Unavailable."""
    # A file whose tables contradict each other makes it abort: the worker dies, but need not start a debugger first.
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    try:
        from llama_cpp import llama_cpp as library
    except (ImportError, OSError, RuntimeError) as fault:
        raise Unavailable(f"llama-cpp-python does not load ({fault}): make engines") from fault
    library.llama_log_set(_listener(library), ctypes.c_void_p(0))
    library.llama_backend_init()
    return library


@cache
def _listener(library: Any) -> Any:
    """Takes llama.cpp's log; cached, because the library holds a bare pointer to it."""

    def listen(level: int, text: bytes, _: object) -> None:
        if level == ERROR:
            _errors.append(text.decode(errors="replace").strip())
            del _errors[KEPT:]

    return library.llama_log_callback(listen)


@dataclass(frozen=True, slots=True)
class Saved:
    """A passage's key-value state: ids and the steps they were evaluated in; any passage may begin after it."""

    ids: tuple[int, ...]
    steps: tuple[int, ...]
    state: State


class Passage:
    """The ids of one sentence over a shared model. `position` is the place of the next one."""

    def __init__(self, llama: Llama, prompt: Sequence[int], after: Saved | None = None) -> None:
        before = after.ids if after else ()
        self.ids = [*before, *prompt]
        self._llama = llama
        self._prompt = len(self.ids)
        starts = range(len(before), self._prompt, STEP)
        self._steps = (*(after.steps if after else ()), *starts)
        self._done = len(before)
        self._parked = after.state if after else None
        self._fresh = False

    @property
    def position(self) -> int:
        return len(self.ids)

    @property
    def pending(self) -> int:
        """Ids that are not evaluated yet."""
        return len(self.ids) - self._done

    @property
    def room(self) -> int:
        """Ids that still fit."""
        return self._llama.context - len(self.ids)

    @property
    def parked(self) -> int:
        """Bytes kept in RAM while other passages lie in the context."""
        return 0 if self._parked is None else self._parked.nbytes

    def push(self, id: int) -> None:
        """Append an id; it is evaluated when something is asked of it. Raises Broken where the context is full."""
        if not self.room:
            raise Broken(f"the context of {self._llama.context} tokens is full")
        self.ids.append(id)
        self._fresh = False

    def advance(self) -> bool:
        """One step: a batch of the prompt or one id after it. False where nothing is pending."""
        if not self.pending:
            return False
        self._llama._seat(self)
        end = self._step_end(self._done)
        self._llama._evaluate(self.ids[self._done : end], self._done)
        self._done = end
        self._fresh = end == len(self.ids)
        return True

    def logits(self) -> Float:
        """(vocabulary,) float32 of what follows; a view that is good until the next call of any passage."""
        if not self.pending and not (self._fresh and self._llama._seated is self):
            self._done = self._step_start(len(self.ids))
        while self.advance():
            pass
        return self._llama._logits()

    def rewind(self, position: int) -> None:
        """Forget the ids from `position` on, at the earliest the prompt's end: exact, and nothing is re-evaluated
        but the step before it."""
        if not self._prompt <= position <= len(self.ids):
            raise ValueError(f"cannot rewind to {position}")
        if position == len(self.ids):
            return
        del self.ids[position:]
        self._done = min(self._done, position)
        self._fresh = False

    def saved(self) -> Saved:
        """What lies in the context now, for `begin(..., after=...)`; evaluates what is pending."""
        while self.advance():
            pass
        self._llama._seat(self)
        steps = [*self._steps, *range(self._prompt, len(self.ids))]
        return Saved(tuple(self.ids), tuple(steps), self._llama._state())

    def close(self) -> None:
        """Free what is kept; twice is once. The passage may not be used again."""
        self._parked = None
        self._llama._forget(self)

    def _park(self) -> None:
        self._parked = self._llama._state()
        self._fresh = False

    def _step_end(self, start: int) -> int:
        """Where the step that begins at `start` ends."""
        if start >= self._prompt:
            return start + 1
        later = [step for step in self._steps if step > start]
        return later[0] if later else self._prompt

    def _step_start(self, end: int) -> int:
        """Where the step that ends at `end` began."""
        return end - 1 if end > self._prompt else max((step for step in self._steps if step < end), default=0)


class Llama:
    """A model and one context. Not for two threads at once. Close it."""

    def __init__(self, path: Path, model: Any, run: Any, context: int) -> None:
        library = _library()
        self.path = path
        self.context = context
        self._model, self._run = model, run
        self._memory = library.llama_get_memory(run)
        self._vocabulary = library.llama_model_get_vocab(model)
        self.size = int(library.llama_vocab_n_tokens(self._vocabulary))
        self._batch = library.llama_batch_init(STEP, 0, 1)
        self._seated: Passage | None = None
        self._waiting: dict[Passage, int] = {}
        self.spill = SPILL_BYTES
        self.evaluated = 0
        """Steps so far: what tests and measurements count."""

    @classmethod
    def open(cls, path: Path | str, context: int, threads: int = 1, gpu_layers: int = 0) -> Llama:
        """Load a GGUF file. Raises Unavailable: truncated, no GGUF, an unknown architecture, no GPU, no memory."""
        path = Path(path)
        library = _library()
        if gpu_layers and not library.llama_supports_gpu_offload():
            raise Unavailable(NO_GPU)
        _sniff(path)
        _errors.clear()
        wanted = library.llama_model_default_params()
        wanted.n_gpu_layers = gpu_layers
        model = library.llama_model_load_from_file(str(path).encode(), wanted)
        if not model:
            raise Unavailable(f"{path.name} is not a model that llama.cpp loads{_reason(path)}: put a whole GGUF there")
        run = library.llama_init_from_model(model, _parameters(library, context, threads))
        if not run:
            library.llama_model_free(model)
            raise Unavailable(f"no context of {context} tokens for {path.name}{_reason(path)}: take a smaller model")
        return cls(path, model, run, context)

    def begin(self, prompt: Sequence[int], after: Saved | None = None) -> Passage:
        """A new passage. `after` is a prefix whose state is taken as it is (a speaker, say): equal to having begun
        with a passage of that prefix and gone on. Raises Broken for an empty or too long prompt."""
        before = len(after.ids) if after else 0
        if not prompt or before + len(prompt) >= self.context:
            raise Broken(f"a prompt of {before + len(prompt)} tokens does not fit in {self.context}")
        return Passage(self, prompt, after)

    def close(self) -> None:
        """Free the model; twice is once."""
        if self._run:
            library = _library()
            library.llama_batch_free(self._batch)
            library.llama_free(self._run)
            library.llama_model_free(self._model)
        self._run = self._model = self._seated = None
        self._waiting.clear()

    # the vocabulary --------------------------------------------------------------------------

    def tokens(self, text: str, special: bool = False) -> list[int]:
        """The ids of `text`. Only with `special` control tokens in it count as such: without, whatever looks like
        one is broken up, so that a user's text cannot leave its place in the prompt."""
        found = self._tokenised(text, special)
        marks = {id for id in found if not self.is_text(id)}
        if special or not marks:
            return found
        for mark in marks:
            spelled = self.text(mark)
            text = text.replace(spelled, f"{spelled[:1]} {spelled[1:]}")
        return [id for id in self._tokenised(text, False) if self.is_text(id)]

    def opening(self) -> list[int]:
        """What this model's tokenizer puts before every text: its begin-of-text token, or nothing."""
        return self._tokenised("", True, True)

    def token_id(self, text: str) -> int:
        """The id of exactly this token. Raises Unavailable: the model is of another kind."""
        found = self._tokenised(text, True)
        if len(found) != 1 or self.text(found[0]) != text:
            raise Unavailable(f"{self.path.name} has no token {text}: it is a model of another kind")
        return found[0]

    def text(self, id: int) -> str:
        """How a token is spelled in the vocabulary; "" outside of it."""
        if not 0 <= id < self.size:
            return ""
        spelled = _library().llama_vocab_get_text(self._vocabulary, id)
        return bytes(spelled).decode(errors="replace") if spelled else ""

    def is_text(self, id: int) -> bool:
        """Whether an id is ordinary text: no control token and none that somebody added."""
        library = _library()
        marks = library.LLAMA_TOKEN_ATTR_CONTROL | library.LLAMA_TOKEN_ATTR_USER_DEFINED
        attributes = int(library.llama_vocab_get_attr(self._vocabulary, id))
        return not attributes & (marks | library.LLAMA_TOKEN_ATTR_UNKNOWN)

    def _tokenised(self, text: str, special: bool, opening: bool = False) -> list[int]:
        data = text.encode("utf-8", "replace")
        room = len(data) + 8
        found = (ctypes.c_int32 * room)()
        count = _library().llama_tokenize(self._vocabulary, data, len(data), found, room, opening, special)
        if count < 0:
            raise Broken(f"{self.path.name} cannot tokenise a text of {len(data)} bytes")
        return list(found[:count])

    # the context -----------------------------------------------------------------------------

    def _seat(self, passage: Passage) -> None:
        """Have `passage` in the context, and of it what it counts as done."""
        library = _library()
        if self._seated is not passage:
            self._spill()
            self._waiting.pop(passage, None)
            if passage._parked is None:
                passage._done = 0
            elif passage._done:
                self._restore(passage._parked)
            passage._parked = None
            self._seated = passage
        library.llama_memory_seq_rm(self._memory, 0, passage._done, -1)

    def _spill(self) -> None:
        """Take what lies in the context to RAM; drop what has waited longest where there is too much."""
        if self._seated is not None:
            self._seated._park()
            self._waiting[self._seated] = self._seated.parked
        self._seated = None
        while sum(self._waiting.values()) > self.spill:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest._parked = None

    def _forget(self, passage: Passage) -> None:
        self._waiting.pop(passage, None)
        if self._seated is passage:
            self._seated = None

    def _evaluate(self, ids: Sequence[int], position: int) -> None:
        batch, count = self._batch, len(ids)
        batch.n_tokens = count
        for index, id in enumerate(ids):
            batch.token[index] = id
            batch.pos[index] = position + index
            batch.n_seq_id[index] = 1
            batch.seq_id[index][0] = 0
            batch.logits[index] = index == count - 1
        status = _library().llama_decode(self._run, batch)
        self.evaluated += 1
        if status:
            self._seated = None
            raise Broken(f"llama.cpp could not evaluate a token (status {status})")

    def _logits(self) -> Float:
        row = _library().llama_get_logits_ith(self._run, -1)
        view = np.ctypeslib.as_array(row, shape=(self.size,))
        return view.view(np.float32)

    def _state(self) -> State:
        library = _library()
        size = int(library.llama_state_seq_get_size(self._run, 0))
        state: State = np.empty(size, np.uint8)
        if int(library.llama_state_seq_get_data(self._run, _bytes_of(state), size, 0)) != size:
            raise Broken("llama.cpp did not save a sentence's state")
        return state

    def _restore(self, state: State) -> None:
        if not _library().llama_state_seq_set_data(self._run, _bytes_of(state), len(state), 0):
            raise Broken("llama.cpp did not take a sentence's state back")


def _bytes_of(state: State) -> Any:
    return state.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))


def _sniff(path: Path) -> None:
    """Raises Unavailable for what is not a GGUF at all."""
    try:
        with path.open("rb") as file:
            head = file.read(len(MAGIC))
    except OSError as fault:
        raise Unavailable(f"{path.name} cannot be read ({fault.strerror}): check the model folder") from fault
    if head != MAGIC:
        raise Unavailable(f"{path.name} is not a GGUF file: put a model in that format there")


def _reason(path: Path) -> str:
    """What llama.cpp said first, in brackets."""
    said = _errors[0].partition("error loading model: ")[2] or _errors[0] if _errors else ""
    return f" ({said.replace(str(path), path.name)[:SAID]})" if said else ""


def _parameters(library: Any, context: int, threads: int) -> Any:
    made = library.llama_context_default_params()
    made.n_ctx = context
    made.n_batch = made.n_ubatch = STEP
    made.n_seq_max = 1
    made.n_threads = made.n_threads_batch = threads
    made.flash_attn_type = library.LLAMA_FLASH_ATTN_TYPE_DISABLED
    made.no_perf = True
    return made
