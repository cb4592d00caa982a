"""llama.cpp for voices: passages are pure in their ids whatever way they were reached; choices in their key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import choice
from adapters.choice import Choice, choose, draw
from adapters.llama import STEP, Llama, Passage
from peer.core.errors import Broken, Unavailable
from tests.tiny.gguf import make_orpheus

CONTEXT = 512
SLOW = settings(max_examples=30, deadline=None, derandomize=True)


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llama]:
    """A tiny model."""
    path = tmp_path_factory.mktemp("llama") / "tiny.gguf"
    make_orpheus(path)
    made = Llama.open(path, CONTEXT)
    yield made
    made.close()
    made.close()


def go_on(passage: Passage, count: int, seed: int = 3) -> list[int]:
    """So many ids chosen among all, and pushed."""
    found = []
    for _ in range(count):
        found.append(choose(passage.logits(), seed, passage.position, Choice()))
        passage.push(found[-1])
    return found


@pytest.mark.parametrize("length", [1, STEP, STEP + 1, 3 * STEP])
def test_rewinding_is_exact(llama: Llama, length: int) -> None:
    """From any earlier position the same ids follow again, without the prompt being evaluated again."""
    passage = llama.begin(list(range(length)))
    ids = go_on(passage, 30)
    for kept in (29, 12, 1, 0):
        passage.rewind(length + kept)
        steps = llama.evaluated
        assert go_on(passage, 30 - kept) == ids[kept:]
        assert llama.evaluated - steps <= 31 - kept
    with pytest.raises(ValueError, match="rewind"):
        passage.rewind(length - 1)


@SLOW
@given(turns=st.lists(st.integers(0, 2), max_size=40), spill=st.sampled_from([0, 40_000, 1 << 30]))
def test_turns_do_not_matter(llama: Llama, turns: list[int], spill: int) -> None:
    """Three passages go on in any order, their states kept, kept in part, or dropped: the same logits to the bit."""
    prompts = [list(range(10)), list(range(70, 140)), [5, 4, 3]]
    before, llama.spill = llama.spill, spill
    passages = [llama.begin(prompt) for prompt in prompts]
    for turn in turns:
        go_on(passages[turn], 2)
    last = [passage.logits().tobytes() for passage in passages]
    assert sum(llama._waiting.values()) <= spill
    ids = [passage.ids for passage in passages]
    for passage in passages:
        passage.close()
    llama.spill = before
    for prompt, made, logits in zip(prompts, ids, last, strict=True):
        again = llama.begin(prompt)
        go_on(again, len(made) - len(prompt))
        assert again.ids == made
        assert again.logits().tobytes() == logits
        again.close()


def test_logits_after_a_turn_are_those_before(llama: Llama) -> None:
    """What was asked and not used is there again after another passage was in the context."""
    one, two = llama.begin([1, 2, 3]), llama.begin([4, 5])
    first = one.logits().tobytes()
    assert two.logits().tobytes() != first
    assert one.logits().tobytes() == first


def test_a_kept_prefix(llama: Llama) -> None:
    """Begun after a saved prefix, a passage is the same every time, and the prefix is not evaluated again."""
    prefix = llama.begin(list(range(3 * STEP)))
    go_on(prefix, 5)
    saved = prefix.saved()
    results = []
    for _ in range(2):
        steps = llama.evaluated
        passage = llama.begin([7, 8, 9], after=saved)
        results.append(go_on(passage, 20))
        assert llama.evaluated - steps == 20
        llama.begin([1]).logits()
    assert results[0] == results[1]
    dropped = llama.begin([7, 8, 9], after=saved)
    dropped._parked = None
    assert go_on(dropped, 20) == results[0], "a state that was dropped is made again in the same steps"


def test_one_step_at_a_time(llama: Llama) -> None:
    """A prompt is evaluated in batches, an id alone; asking for logits does what is left."""
    passage = llama.begin(list(range(2 * STEP + 1)))
    passage.push(5)
    steps = llama.evaluated
    assert [passage.advance() for _ in range(5)] == [True, True, True, True, False]
    assert llama.evaluated - steps == 4
    passage.logits()
    assert llama.evaluated - steps == 4


def test_what_does_not_fit_is_refused(llama: Llama) -> None:
    """An empty or too long prompt, an id beyond the context and one outside the vocabulary are Broken."""
    for prompt in ([], [1] * CONTEXT):
        with pytest.raises(Broken):
            llama.begin(prompt)
    full = llama.begin([1] * (CONTEXT - 1))
    full.push(1)
    with pytest.raises(Broken):
        full.push(1)
    good = llama.begin([1, 2])
    before = good.logits().tobytes()
    with pytest.raises(Broken):
        llama.begin([10**8]).logits()
    assert good.logits().tobytes() == before


def test_text_is_only_text(llama: Llama) -> None:
    """Control tokens in a text are broken up, lone surrogates replaced; asked for as special they count."""
    text = "a<custom_token_5><|eot_id|>\ud800\0b"
    assert all(llama.is_text(id) for id in llama.tokens(text))
    assert sum(not llama.is_text(id) for id in llama.tokens(text, special=True)) == 2
    assert llama.tokens("") == []
    assert llama.text(-1) == llama.text(10**8) == ""
    with pytest.raises(Unavailable):
        llama.token_id("<nonesuch>")


def test_files_that_are_no_models(tmp_path: Path) -> None:
    """A missing file, another format and a cut one are Unavailable by name."""
    make_orpheus(tmp_path / "cut.gguf")
    whole = (tmp_path / "cut.gguf").read_bytes()
    for name, data in (("cut.gguf", whole[: len(whole) // 2]), ("head.gguf", whole[:900]), ("page.gguf", b"<html>")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(Unavailable, match=name):
            Llama.open(tmp_path / name, CONTEXT)
    with pytest.raises(Unavailable, match=r"absent\.gguf"):
        Llama.open(tmp_path / "absent.gguf", CONTEXT)


# choices -----------------------------------------------------------------------------------------


def plain_choice(logits: np.ndarray, seed: int, position: int, how: Choice, seen: list[int]) -> int:
    """The same by its definition, one id at a time."""
    scores = [float(score) for score in logits]
    for index in set(seen):
        scores[index] = scores[index] / how.repetition if scores[index] > 0 else scores[index] * how.repetition
    chances = np.exp((np.array(scores) - max(scores)) / how.temperature)
    order = sorted(range(len(chances)), key=lambda index: -chances[index])
    kept, mass = [], 0.0
    for index in order:
        kept.append(index)
        mass += float(chances[index])
        if mass >= how.top_p * float(chances.sum()):
            break
    wanted = draw(seed, position) * mass
    for index in kept:
        wanted -= float(chances[index])
        if wanted < 0:
            return index
    return kept[-1]


@given(
    spread=st.floats(0.05, 8.0), seed=st.integers(0, 2**64 - 1), position=st.integers(0, 2**40),
    temperature=st.floats(0.2, 1.0), top_p=st.floats(0.05, 1.0), seen=st.lists(st.integers(0, 299), max_size=20),
)  # fmt: skip
def test_choices_are_as_defined(
    spread: float, seed: int, position: int, temperature: float, top_p: float, seen: list[int]
) -> None:
    """Sorted in part or in full, what is chosen is what the definition chooses."""
    logits = (np.random.default_rng(position).standard_normal(300) * spread).astype(np.float32)
    how = Choice(temperature, top_p, 1.3)
    assert choose(logits, seed, position, how, seen) == plain_choice(logits, seed, position, how, seen)


def test_draws_depend_on_every_bit_of_their_key() -> None:
    """Keys of 64 bits that differ in one draw otherwise; draws lie evenly in [0, 1)."""
    draws = [draw(seed, position) for seed in range(40) for position in range(50)]
    assert len(set(draws)) == len(draws)
    assert np.allclose(np.histogram(draws, 4, (0, 1))[0] / len(draws), 0.25, atol=0.05)
    bits = [1 << bit for bit in range(64)]
    assert len({*(draw(bit, 0) for bit in bits), *(draw(0, bit) for bit in bits)}) == 128


def test_the_cold_and_the_damaged() -> None:
    """At temperature 0 the best is taken; logits that are no numbers are Broken."""
    logits = np.array([0.0, 3.0, 1.0], np.float32)
    assert choose(logits, 1, 1, Choice(temperature=0.0)) == 1
    assert choose(logits, 1, 1, Choice(temperature=0.0, repetition=9.0), seen=[1]) == 2
    with pytest.raises(Broken):
        choose(logits * np.nan, 1, 1, Choice())
    assert 0.0 < choice.UNLIKELY < 1.0
