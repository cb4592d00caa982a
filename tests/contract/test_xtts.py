"""XTTS fulfils the contract, and what is particular to it: equal to its library, safe to load, led by known codes."""

from __future__ import annotations

import gc
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st

from adapters import settings
from adapters.base import Honour
from adapters.settings import EngineSettings
from adapters.voices import xtts_codes, xtts_folder, xtts_load, xtts_sentence, xtts_speakers, xtts_speech, xtts_text
from adapters.voices.xtts import KEPT, Xtts
from adapters.voices.xtts_codes import Decoding
from peer.core.chunk import AudioChunk, Request, Ticket
from peer.core.errors import Refusal, Unavailable, Unspeakable
from peer.core.voice import Voice
from tests.tiny.xtts import STUDIO, make_xtts

from .voice_contract import EVERYTHING, ROOT, SENTENCE, Driver, VoiceContract, opened

BRIEF = {"letter_ms": 7.5, "spare_ms": 0}
"""Random weights never stop: the bound makes SENTENCE as long as the largest rung, so that the vocoder (of full size,
whatever the model) has little to do."""

FOX = "Yes, it is so."
CLOSE = 2e-6
"""Between the library's whole decode and ours, of samples in [-1, 1]: float32 rounding."""


def recording(path: Path, seconds: float, rate: int = 16_000) -> Path:
    """A clip with something like a voice in it: a buzz whose pitch moves."""
    path.parent.mkdir(exist_ok=True)
    at = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, 0.3 * np.sign(np.sin(2 * np.pi * (120 * at + 8 * np.sin(3 * at)))), rate)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint in a folder of its own, with reference clips beside it."""
    folder = make_xtts(tmp_path_factory.mktemp("models") / "tiny").parent
    recording(folder / "voices" / "Anna.wav", 1.5)
    recording(folder / "voices" / "Brief.flac", 0.4)
    return folder


@pytest.fixture(scope="module")
def row(models: Path) -> Iterator[EngineSettings]:
    """The operator's word on it."""
    row = EngineSettings(models=str(models), options=BRIEF)
    with settings.override("xtts", row):
        yield row


@pytest.fixture(scope="module")
def voice(row: EngineSettings) -> Iterator[Driver]:
    """The engine in its process."""
    yield from opened("xtts")


@dataclass
class Engine:
    """The engine in this process, so that its steps can be counted and its model looked at."""

    xtts: Xtts
    forwards: int = 0
    draws: int = 0

    @property
    def model(self) -> Any:
        return self.xtts._model

    def request(self, text: str = FOX, cursor: int = 0, samples: int = EVERYTHING, **other: Any) -> Request:
        knobs = {**Xtts.project(other.pop("voice", Voice())).knobs, **other.pop("knobs", {})}
        stream = f"{len(text)} {os.urandom(8).hex()}"
        return Request(Ticket(0, 1), "xtts", stream, text, cursor, samples, 8, knobs, 7, other.pop("state", b""))

    def pieces(self, *given: Any, **other: Any) -> list[AudioChunk]:
        self.forwards = self.draws = 0
        return list(self.xtts.render(self.request(*given, **other)))

    def pcm(self, *given: Any, **other: Any) -> np.ndarray:
        return np.concatenate([piece.pcm for piece in self.pieces(*given, **other)])


@pytest.fixture(scope="module")
def engine(row: EngineSettings) -> Iterator[Engine]:
    """Warmed up once; every forward pass and every draw is counted."""
    found = Engine(Xtts())
    found.xtts.warm_up()
    forward, draw = Decoding._forward, Decoding._draw

    def counted_forward(self: Decoding, *given: Any) -> Any:
        found.forwards += 1
        return forward(self, *given)

    def counted_draw(self: Decoding, *given: Any) -> Any:
        found.draws += 1
        return draw(self, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Decoding, "_forward", counted_forward)
        patch.setattr(Decoding, "_draw", counted_draw)
        yield found
    found.xtts.close()
    found.xtts.close()


class TestXtts(VoiceContract):
    """The common suite."""

    kills = 2

    @pytest.fixture(autouse=True)
    def _counting(self, engine: Engine) -> None:
        self.engine = engine

    def steps(self, voice: Driver, text: str) -> tuple[int, int]:
        """Codes until the first sound left, and in all."""
        self.engine.forwards, first = 0, 0
        for piece in self.engine.xtts.render(self.engine.request(text)):
            if len(piece.pcm) and not first:
                first = self.engine.forwards
        return first, self.engine.forwards


# equal to the library ------------------------------------------------------------------------------


def led(codes: list[int], chances: list[torch.Tensor] | None = None) -> Callable[..., torch.Tensor]:
    """Stands in for torch's draw: the library takes these codes, whatever it thinks of them."""
    left = iter(codes)

    def multinomial(probabilities: torch.Tensor, num_samples: int) -> torch.Tensor:
        if chances is not None:
            chances.append(probabilities.clone())
        return torch.full((1, num_samples), next(left))

    return multinomial


@pytest.mark.parametrize("pace", [1.0, 0.8, 1.37, 2.0])
def test_sound_equals_the_librarys(engine: Engine, monkeypatch: pytest.MonkeyPatch, pace: float) -> None:
    """Led through the same codes, the library's own call decodes the same samples in one go, at every speed."""
    pieces = engine.pieces(SENTENCE, voice=Voice(pace=pace))
    codes = xtts_sentence.codes_of(pieces[-1].state, 10_000)
    speaker = engine.xtts._speakers.speaker("")
    monkeypatch.setattr(torch, "multinomial", led(codes))
    whole = torch.cat(list(engine.model.inference_stream(
        SENTENCE, "en", speaker.latents, speaker.embedding, stream_chunk_size=0, speed=pace, max_new_tokens=len(codes),
    ))).numpy()  # fmt: skip
    ours = np.concatenate([piece.pcm for piece in pieces])
    assert len(ours) == len(whole) > 0
    assert float(np.abs(ours - whole).max()) <= CLOSE


def test_codes_equal_the_librarys(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Latents are the library's bit for bit, and the chances we draw from are those it draws from."""
    speaker = engine.xtts._speakers.speaker(STUDIO[0])
    sampling = {"temperature": 0.75, "top_k": 20.0, "top_p": 0.85, "repetition_penalty": 5.0}
    ids = engine.model.tokenizer.encode("hello there", lang="en")
    seen: list[torch.Tensor] = []
    drawn = xtts_codes.drawn

    def noted(scores: torch.Tensor, at: float) -> int:
        seen.append(torch.softmax(scores, -1))
        return drawn(scores, at)

    monkeypatch.setattr(xtts_codes, "drawn", noted)
    steps = list(Decoding(engine.model.gpt, speaker.latents, ids, 40, sampling).steps(7, 0))
    theirs: list[torch.Tensor] = []
    monkeypatch.setattr(torch, "multinomial", led([step.code for step in steps], theirs))
    gpt = engine.model.gpt
    tokens = gpt.get_generator(
        fake_inputs=gpt.compute_embeddings(speaker.latents, torch.tensor([ids])), do_sample=True, num_beams=1,
        num_return_sequences=1, length_penalty=1.0, output_attentions=False, output_hidden_states=True,
        return_dict_in_generate=True, max_new_tokens=40, **{**sampling, "top_k": 20},
    )  # fmt: skip
    latents = [latent for _, latent in tokens]
    assert len(latents) == len(steps) == 40
    assert all(torch.equal(ours.latent, latent) for ours, latent in zip(steps, latents, strict=True))
    assert all(torch.equal(ours > 0, library > 0) for ours, library in zip(seen, theirs, strict=True))
    assert max(float((a - b).abs().max()) for a, b in zip(seen, theirs, strict=True)) < 1e-6


def test_a_code_is_drawn_as_likely_as_it_is() -> None:
    """A draw takes the code whose share of [0, 1) it falls in, and never one that was ruled out."""
    scores = torch.log(torch.tensor([[0.0, 0.25, 0.0, 0.5, 0.25, 0.0]]))
    assert [xtts_codes.drawn(scores, at) for at in (0.0, 0.24, 0.26, 0.74, 0.76, 1.0 - 2**-53)] == [1, 1, 3, 3, 4, 4]


def test_the_vocoder_reaches_as_far_as_it_says(engine: Engine) -> None:
    """What it holds back is exactly how far the library's vocoder lets a frame be heard: nearly 13 frames."""
    generator, speaker = engine.model.hifigan_decoder.waveform_decoder, engine.xtts._speakers.speaker("")
    vocoder = xtts_speech.Speech(engine.model.hifigan_decoder, speaker.embedding, 1.0)._vocoder
    frames = torch.randn(1, generator.conv_pre.in_channels, 40)
    frames[..., 20] = float("nan")
    with torch.inference_mode():
        marked = torch.isnan(generator(frames, g=speaker.embedding).reshape(-1)).nonzero()
    assert (vocoder.hop, vocoder.lag) == (256, 3258)
    assert 20 * vocoder.hop - int(marked.min()) == int(marked.max()) + 1 - 21 * vocoder.hop == vocoder.lag


def test_speech_begins_anywhere(engine: Engine) -> None:
    """What is decoded from a later cursor on is a slice of the whole, at or before the cursor, with nothing else."""
    decoder, speaker = engine.model.hifigan_decoder, engine.xtts._speakers.speaker("")
    latents = torch.randn(12, decoder.waveform_decoder.conv_pre.in_channels)

    def heard(cursor: int) -> tuple[int, bytes]:
        speech = xtts_speech.Speech(decoder, speaker.embedding, 1.0, cursor)
        sounds = [sound for latent in (*latents.split(1), None) for sound in speech.push(latent)]
        assert all(a.at + len(a.pcm) == b.at for a, b in pairwise(sounds))
        return sounds[0].at, b"".join(sound.pcm.numpy().tobytes() for sound in sounds)

    start, whole = heard(0)
    assert start == 0
    for cursor in (3300, 6400, 9402, 12_900):
        at, rest = heard(cursor)
        assert at <= cursor
        assert at > 0 or cursor < 9402
        assert rest == whole[4 * at :]


# a function of the request -------------------------------------------------------------------------


def test_foreign_draws_change_nothing(engine: Engine) -> None:
    """The global generators may be drawn from and seeded while a sentence is rendered."""
    plain = engine.pcm()
    heard = []
    for piece in engine.xtts.render(engine.request()):
        torch.manual_seed(len(heard))
        torch.randn(3)
        np.random.rand(3)
        heard.append(piece.pcm)
    assert np.concatenate(heard).tobytes() == plain.tobytes()
    other = replace(engine.request(), seed=8)
    assert np.concatenate([piece.pcm for piece in engine.xtts.render(other)]).tobytes() != plain.tobytes()


def test_sentences_in_turns(engine: Engine) -> None:
    """Sentences that are rendered in turns, chunk by chunk, do not touch each other."""
    alone = [engine.pcm(text, knobs={"letter_ms": 16.0}) for text in (FOX, FOX.upper(), FOX[5:])]
    requests = [engine.request(text, samples=1500, knobs={"letter_ms": 16.0}) for text in (FOX, FOX.upper(), FOX[5:])]
    heard = [np.zeros(0, np.float32)] * len(alone)
    for _ in range(1 + max(len(pcm) for pcm in alone) // 1500):
        for index, request in enumerate(requests):
            now = replace(request, cursor=len(heard[index]))
            heard[index] = np.concatenate([heard[index], *(piece.pcm for piece in engine.xtts.render(now))])
    assert [pcm.tobytes() for pcm in heard] == [pcm.tobytes() for pcm in alone]


def test_state_saves_the_draws(engine: Engine) -> None:
    """Codes that are known are followed, not drawn; a span is the same bytes with or without them, or with nonsense."""
    whole = engine.pieces(SENTENCE)
    pcm, state = np.concatenate([piece.pcm for piece in whole]), whole[-1].state
    all_draws = engine.draws
    for cursor in (0, 7000):
        assert engine.pcm(SENTENCE, cursor, state=state).tobytes() == pcm[cursor:].tobytes()
        assert engine.draws == 0
    half = state[: len(state) // 4 * 2]
    assert engine.pcm(SENTENCE, 7000, state=half).tobytes() == pcm[7000:].tobytes()
    assert engine.draws == all_draws - len(half) // 2
    for nonsense in (state[:-1], b"\xff\xff" * 4):
        assert engine.pcm(SENTENCE, 8000, state=nonsense).tobytes() == pcm[8000:].tobytes()


def test_state_passes_over_prompts_that_are_done(engine: Engine) -> None:
    """A text of two prompts is taken up in the second without running the first again."""
    text = "so it is, " * 30
    knobs = {"letter_ms": 2.0}
    whole = engine.pieces(text, knobs=knobs)
    pcm, all_steps = np.concatenate([piece.pcm for piece in whole]), engine.forwards
    late = len(pcm) - 2000
    assert engine.pcm(text, late, knobs=knobs).tobytes() == pcm[late:].tobytes()
    assert engine.forwards == all_steps
    assert engine.pcm(text, late, knobs=knobs, state=whole[-1].state).tobytes() == pcm[late:].tobytes()
    assert engine.forwards < all_steps / 2


def test_prompts_share_no_draw(engine: Engine) -> None:
    """The same words in two prompts are not said with the same luck."""
    text = ("so it is " * 25 + "so. ") * 2
    codes = xtts_sentence.codes_of(engine.pieces(text, knobs={"letter_ms": 1.0})[-1].state, 10_000)
    half = len(codes) // 2
    assert codes[:half] != codes[half:]
    assert list(xtts_text.parts(text, 250)) == [(0, 228), (228, 458)]


def test_left_at_a_code(engine: Engine) -> None:
    """A render may be left after any code: no further one is computed, and the next render is whole."""
    plain = engine.pcm()
    for steps in (1, 2, 4):
        engine.forwards = 0
        render = engine.xtts.render(engine.request(SENTENCE))
        for _ in range(steps):
            assert not len(next(render).pcm)
        render.close()
        assert engine.forwards == steps
    assert engine.pcm().tobytes() == plain.tobytes()


def test_the_stop_code_ends_the_sentence(engine: Engine) -> None:
    """A model that finds its end is not led on to the bound."""
    bias, stop = engine.model.gpt.mel_head.bias, engine.model.gpt.stop_audio_token
    long = len(engine.pcm(knobs={"letter_ms": 30.0}))
    before = bias[stop].item()
    with torch.no_grad():
        bias[stop] = 2.0
    try:
        pieces = engine.pieces(knobs={"letter_ms": 30.0})
    finally:
        with torch.no_grad():
            bias[stop] = before
    assert xtts_sentence.codes_of(pieces[-1].state, 10_000)[-1] == stop
    assert pieces[-1].eos
    assert 0 < pieces[-1].cursor < long


def test_memory_does_not_grow(engine: Engine) -> None:
    """Sentence after sentence, all left in the middle: what is held is what a few of them need, and stays."""

    def held() -> int:
        gc.collect()
        found = [thing.untyped_storage() for thing in gc.get_objects() if type(thing) is torch.Tensor]
        return sum({storage.data_ptr(): storage.nbytes() for storage in found}.values())

    def some(count: int) -> None:
        for index in range(count):
            assert len(engine.pcm(f"Number {index}.", samples=200)) == 200

    assert engine.xtts._spool is not None
    engine.xtts._spool.close()
    nothing = held()
    some(KEPT + 1)
    before = held()
    assert before - nothing < KEPT * 3_000_000
    some(KEPT + 1)
    assert abs(held() - before) < 100_000
    assert len(engine.xtts._spool._reels) == KEPT


# what is in the folder -----------------------------------------------------------------------------


class Evil:
    """Runs when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.proof,))


def copy_of(models: Path, folder: Path) -> Path:
    """The tiny model again; its weights as a link."""
    shutil.copytree(models / "tiny", folder, copy_function=os.link)
    return folder


def changed(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    changed(folder / "config.json", json.dumps(config).encode())


BAD: dict[str, tuple[str, Callable[[Path], object]]] = {
    "cut": ("model.pth", lambda f: changed(f / "model.pth", (f / "model.pth").read_bytes()[:1_000_000])),
    "empty": ("model.pth", lambda f: changed(f / "model.pth", b"")),
    "other tensors": ("model.pth", lambda f: ((f / "model.pth").unlink(), torch.save({"model": {}}, f / "model.pth"))),
    "no tensors": ("model.pth", lambda f: ((f / "model.pth").unlink(), torch.save([1], f / "model.pth"))),
    "another size": ("model.pth", lambda f: rewritten(f, lambda c: c["model_args"].update(gpt_layers=1))),
    "endless size": ("config.json", lambda f: rewritten(f, lambda c: c["model_args"].update(gpt_layers=10**7))),
    "senseless size": ("config.json", lambda f: rewritten(f, lambda c: c["model_args"].update(gpt_layers="many"))),
    "another rate": ("config.json", lambda f: rewritten(f, lambda c: c["model_args"].update(output_sample_rate=16000))),
    "another engine": ("config.json", lambda f: rewritten(f, lambda c: c.update(model="vits"))),
    "no JSON": ("config.json", lambda f: changed(f / "config.json", b"<html>")),
    "no vocabulary": ("vocab.json", lambda f: changed(f / "vocab.json", b"{}")),
    "no speakers": ("speakers", lambda f: changed(f / "speakers_xtts.pth", b"PK\x03\x04")),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_models_are_a_sentence(models: Path, tmp_path: Path, kind: str) -> None:
    """What is no model of XTTS is refused with the file's name and a remedy; describing it goes on."""
    named, spoil = BAD[kind]
    spoil(copy_of(models, tmp_path / "bad"))
    with settings.override("xtts", EngineSettings(models=str(tmp_path))):
        Xtts.describe()
        Xtts.project(Voice())
        with pytest.raises(Unavailable) as refused:
            Xtts().warm_up()
    assert named in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["model.pth", "speakers_xtts.pth"])
@pytest.mark.parametrize("plain", [True, False], ids=["pickle", "archive"])
def test_a_pickle_does_not_run(models: Path, tmp_path: Path, name: str, plain: bool) -> None:
    """Code in a checkpoint is refused in a sentence, as a bare pickle and inside an archive; nothing of it runs."""
    folder, proof = copy_of(models, tmp_path / "evil"), tmp_path / "proof"
    (folder / name).unlink()
    if plain:
        (folder / name).write_bytes(pickle.dumps({"model": Evil(proof)}))
    else:
        torch.save({"model": Evil(proof), "Some One": {}}, folder / name)
    with settings.override("xtts", EngineSettings(models=str(tmp_path))):
        Xtts.describe()
        with pytest.raises(Unavailable, match=name) as refused:
            Xtts().warm_up()
    assert "run code" in str(refused.value)
    assert not proof.exists()


@pytest.mark.parametrize("then", [True, False], ids=["first release", "this release"])
def test_published_checkpoints_load_and_stay_as_they_are(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: bool
) -> None:
    """A checkpoint that carries the library's configuration is read, and not written back as the library would."""
    from TTS.tts.configs.xtts_config import XttsArgs, XttsAudioConfig, XttsConfig

    folder = copy_of(models, tmp_path / "published")
    weights = torch.load(folder / "model.pth", weights_only=True)
    (folder / "model.pth").unlink()
    with monkeypatch.context() as patch:
        for part in (XttsArgs, XttsAudioConfig) if then else ():
            patch.setattr(part, "__module__", xtts_load.LIBRARY)
        torch.save({"config": XttsConfig(), **weights}, folder / "model.pth")
    before = (folder / "model.pth").read_bytes()
    assert xtts_load.loaded(folder, 24_000).gpt.layers == 2
    assert (folder / "model.pth").read_bytes() == before


def test_a_configuration_opens_nothing(models: Path) -> None:
    """Of a configuration only sizes and defaults are taken: paths and addresses in it are dropped."""
    wanted = xtts_folder.configuration(models / "tiny")
    trap = "https://example.invalid/x.pth"
    wanted |= {"use_d_vector_file": True, "d_vector_file": trap, "speakers_file": trap, "use_speaker_embedding": True}
    wanted["model_args"] |= {"gpt_checkpoint": trap, "tokenizer_file": trap, "speaker_encoder_model_path": trap}
    wanted["datasets"] = [{"path": trap}]
    taken = xtts_load._config(wanted)
    assert "invalid" not in json.dumps(taken.to_dict())
    assert taken.model_args.gpt_layers == 2


def test_studio_names_are_read_without_unpickling(models: Path) -> None:
    """The names that torch finds in the file, found in the opcodes of its pickle."""
    found = xtts_folder.look(models)
    assert found is not None
    assert found.studio == STUDIO
    assert found.voices == ("Anna", "Brief", *STUDIO)
    assert tuple(torch.load(found.folder / "speakers_xtts.pth", weights_only=True)) == STUDIO


def test_lacking_a_model_or_a_voice(models: Path, tmp_path: Path) -> None:
    """Without a checkpoint, or with nobody to speak as, the one command that helps is said."""
    with settings.override("xtts", EngineSettings(models=str(tmp_path))):
        lack = Xtts.lacks()
        assert lack is not None
        assert str(tmp_path) in lack.reason
        assert lack.remedy.startswith("python -m peer voices add xtts xtts_v2")
        assert Xtts.describe().voices == Xtts.describe().languages == ()
        with pytest.raises(Unavailable, match="voices add"):
            Xtts().warm_up()
        (copy_of(models, tmp_path / "mute") / "speakers_xtts.pth").unlink()
        lack = Xtts.lacks()
        assert lack is not None
        assert "reference clip" in lack.reason
        with pytest.raises(Unavailable, match="reference clip"):
            Xtts().warm_up()


def test_no_gpu_is_a_sentence(models: Path) -> None:
    """A GPU that is asked for and not there, or no device at all, is said before anything is loaded."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    for device in ("cuda", "cuda:3", "abacus"):
        row = EngineSettings(models=str(models), device=device)
        with settings.override("xtts", row), pytest.raises(Unavailable, match="cpu"):
            Xtts().warm_up()


def test_a_gpu_that_goes_is_unavailable(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the device throws in the middle of a sentence becomes Unavailable, in one line."""

    def gone(*_: Any) -> Any:
        raise RuntimeError("CUDA error: device lost\nmore")

    monkeypatch.setattr(Decoding, "_forward", gone)
    with pytest.raises(RuntimeError):
        engine.pieces()
    monkeypatch.setattr(engine.xtts, "_model", SimpleNamespace(device=SimpleNamespace(type="cuda")))
    monkeypatch.setattr(engine.xtts, "_spool", SimpleNamespace(render=gone))
    with pytest.raises(Unavailable, match="device lost") as refused:
        list(engine.xtts.render(replace(engine.request(), text="x")))
    assert "\n" not in str(refused.value)


# who speaks ----------------------------------------------------------------------------------------


def test_a_clip_gives_the_librarys_latents(engine: Engine, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Latents of a reference clip equal those of the library's own call on the file."""
    path = models / "voices" / "Anna.wav"

    def read(name: str, rate: int) -> torch.Tensor:
        from torchaudio.functional import resample

        pcm, native = soundfile.read(name, dtype="float32")
        return resample(torch.from_numpy(pcm)[None], native, rate).clip_(-1, 1)

    config = engine.model.config
    monkeypatch.setattr(sys.modules[xtts_load.LIBRARY], "load_audio", read)
    latents, embedding = engine.model.get_conditioning_latents(
        str(path), max_ref_length=config.max_ref_len, gpt_cond_len=config.gpt_cond_len,
        gpt_cond_chunk_len=config.gpt_cond_chunk_len,
    )  # fmt: skip
    speaker = engine.xtts._speakers.speaker("Anna")
    assert torch.equal(speaker.latents, latents)
    assert torch.equal(speaker.embedding, embedding)


def test_every_voice_sounds_different(engine: Engine) -> None:
    """The clip is the default; a studio voice is another sound; names are found whatever their case."""
    sounds = {name: engine.pcm(voice=Voice(timbre=name)).tobytes() for name in ("Anna", *STUDIO)}
    assert len(set(sounds.values())) == 3
    assert engine.pcm().tobytes() == sounds["Anna"]
    assert engine.pcm(voice=Voice(timbre="random b")).tobytes() == sounds["Random B"]
    assert engine.pcm(voice=Voice(timbres={"xtts": "Random B"})).tobytes() == sounds["Random B"]
    with pytest.raises(Refusal, match="Random A"):
        Xtts.project(Voice(timbre="Random C"))


def test_bad_clips_are_a_sentence(engine: Engine, tmp_path: Path) -> None:
    """A clip that is too short, silent or no recording names itself when it is spoken with; others speak on."""
    with pytest.raises(Unspeakable, match=r"Brief\.flac lasts 0\.40 s"):
        engine.pcm(voice=Voice(timbre="Brief"))
    soundfile.write(tmp_path / "still.wav", np.zeros(40_000), 16_000)
    (tmp_path / "fake.wav").write_bytes(b"RIFF" + b"\0" * 100)
    (tmp_path / "text.wav").write_bytes(b"hello")
    (tmp_path / "note.txt").write_bytes(b"RIFF")
    assert "silent" in xtts_speakers.read_clip(tmp_path / "still.wav", 30).fault
    assert "no recording" in xtts_speakers.read_clip(tmp_path / "fake.wav", 30).fault
    assert set(xtts_folder._clips(tmp_path)) == {"still", "fake"}
    assert len(xtts_speakers.read_clip(recording(tmp_path / "long.wav", 3.0), 2.0).pcm) == 32_000
    assert len(engine.pcm())


def test_clips_are_not_read_again(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between a request and its sound no file is opened."""
    opened_files: list[str] = []
    monkeypatch.setattr(xtts_speakers, "read_clip", lambda *_: opened_files.append("clip"))
    request = engine.request()

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if active and event == "open" and not str(given[0]).startswith(("/proc", "/sys")):
            opened_files.append(str(given[0]))

    active = True
    sys.addaudithook(hook)
    list(engine.xtts.render(request))
    active = False
    assert opened_files == []


# languages and length ------------------------------------------------------------------------------


def test_accents_are_languages(row: EngineSettings) -> None:
    """A tag is its language, nearly where only the language fits; others are refused with what there is."""
    assert Xtts.project(Voice(accent="en-GB")).knobs["language"] == "en"
    assert Xtts.project(Voice(accent="en-GB")).report["accent"] is Honour.APPROXIMATE
    assert Xtts.project(Voice(accent="pl")).report["accent"] is Honour.EXACT
    with pytest.raises(Refusal, match="choose one of en, es"):
        Xtts.project(Voice(accent="el-GR"))


def test_languages_that_need_a_package(row: EngineSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chinese and Japanese are offered where the package that reads them is installed; else it is named."""
    monkeypatch.setattr(xtts_folder, "find_spec", lambda name: object() if name == "cutlet" else None)
    languages = Xtts.describe().languages
    assert "ja" in languages
    assert "zh-cn" not in languages
    assert xtts_text.reader("日本", "en", xtts_folder.LANGUAGES) == "ja"
    with pytest.raises(Refusal, match="pypinyin"):
        Xtts.project(Voice(accent="zh-CN"))
    monkeypatch.setattr(xtts_folder, "find_spec", lambda name: None)
    with pytest.raises(Unspeakable, match="pypinyin"):
        xtts_text.reader("日本", "en", xtts_folder.LANGUAGES)


@pytest.mark.parametrize(
    ("text", "wanted", "language"),
    [
        ("Hello", "en", "en"),
        ("Привет, мир", "en", "ru"),
        ("Say привет to everyone", "en", "en"),
        ("안녕하세요", "de", "ko"),
        ("नमस्ते", "hi", "hi"),
        ("مرحبا", "en", "ar"),
        ("Hello", "ru", "ru"),
        ("12 + 3 = 15", "en", "en"),
    ],
)
def test_scripts_choose_the_language(text: str, wanted: str, language: str) -> None:
    """A sentence mostly in letters that the wanted language does not have is read by one of its script."""
    assert xtts_text.reader(text, wanted, xtts_folder.LANGUAGES) == language


def test_what_no_language_reads_is_said(engine: Engine) -> None:
    """Scripts that XTTS lacks, letters that the vocabulary lacks and numbers without end are refused, not babbled."""
    for text in ("Καλημέρα σε όλους", "שלום", "नमस्ते दुनिया", "9" * 400):
        with pytest.raises(Unspeakable) as refused:
            engine.pcm(text)
        assert "\n" not in str(refused.value)
    with pytest.raises(Unspeakable, match="devanagari"):
        xtts_text.reader("नमस्ते", "en", ("en", "ru"))


def test_a_language_changes_the_sound(engine: Engine) -> None:
    """The language's mark leads the prompt; a text is not spoken alike in two of them."""
    assert engine.pcm(voice=Voice(accent="es")).tobytes() != engine.pcm(voice=Voice(accent="en")).tobytes()


def test_marks_in_the_text_are_text(engine: Engine) -> None:
    """What looks like one of the tokenizer's own marks is read as words."""
    bounds = xtts_text.Bounds(10.0, 0.0, 46.4, 402, 602)
    (prompt,) = xtts_text.prompts("ab [STOP] cd [de]", "en", engine.model.tokenizer, bounds)
    marks = [engine.model.tokenizer.tokenizer.token_to_id(name) for name in ("[STOP]", "[de]", "[START]")]
    assert not set(marks) & set(prompt.ids)


@given(text=st.text("ab1 .,!?;ж日\n", max_size=700), limit=st.integers(20, 250))
def test_parts_hold_every_word(text: str, limit: int) -> None:
    """However a text is cut, parts keep their order and limit, and what lies between them is nothing to say."""
    end = 0
    for low, high in xtts_text.parts(text, limit):
        assert end <= low < high <= low + limit
        assert not xtts_text.sounded(text[end:low])
        assert xtts_text.sounded(text[low:high])
        end = high
    assert not xtts_text.sounded(text[end:])


def test_long_texts_are_cut_where_one_pauses() -> None:
    """The end of a sentence is better than a comma, a comma better than a space; figures stay whole."""
    text = "One two three, four 3.141 five. Six seven eight nine ten"
    first = next(iter(xtts_text.parts(text, 40)))
    assert text[slice(*first)] == "One two three, four 3.141 five."
    first = next(iter(xtts_text.parts("a" * 10 + ", " + "b" * 4 + " " + "c" * 30, 20)))
    assert first == (0, 11)
    assert next(iter(xtts_text.parts("日" * 100, 82))) == (0, 82)


def test_markers_of_long_texts(engine: Engine) -> None:
    """Words of every prompt are marked in order, inside the sound that the prompt made."""
    text = "so it is, and " * 25
    pieces = engine.pieces(text, knobs={"letter_ms": 2.0})
    markers = [marker for piece in pieces for marker in piece.markers]
    total = sum(len(piece.pcm) for piece in pieces)
    assert [marker.at for marker in markers] == sorted(marker.at for marker in markers)
    assert all(0 <= marker.at < total for marker in markers)
    assert "".join(text[marker.start : marker.end] for marker in markers) == text.replace(" ", "")


def test_length_is_bounded_by_the_text(engine: Engine) -> None:
    """The bound grows with what there is to say, figures written out, and ends at the model's own."""
    tokenizer, bounds = engine.model.tokenizer, xtts_text.Bounds(150.0, 1500.0, 46.4, 402, 602)
    short, digits, long = (
        xtts_text.prompts(text, "en", tokenizer, bounds)[0].most for text in ("Hi.", "17,000", "so it is. " * 24)
    )
    assert short == 43
    assert short < digits < long == 602


def test_options_have_a_range(models: Path) -> None:
    """The operator's word on sampling reaches the knobs; a senseless one is named when the engine starts."""
    with settings.override("xtts", EngineSettings(models=str(models), options={"temperature": 0.2, "letter_ms": 90})):
        knobs = Xtts.project(Voice()).knobs
    assert (knobs["temperature"], knobs["letter_ms"], knobs["top_k"]) == (0.2, 90.0, 50)
    for bad in ({"top_p": 7}, {"temperature": "warm"}, {"letter_ms": True}):
        (name,) = bad
        with settings.override("xtts", EngineSettings(models=str(models), options=bad)):
            assert Xtts.project(Voice()).knobs[name] in (0.85, 150.0)
            with pytest.raises(Unavailable, match=name):
                Xtts().warm_up()


def test_torchaudio_without_its_extension() -> None:
    """Where the compiled part does not load, the rest is there all the same."""
    code = (
        "import sys; sys.path.insert(0, '.'); import importlib; real = importlib.import_module\n"
        "from adapters.voices import xtts_load\n"
        "def first(name, tries=[]):\n"
        "    tries.append(name)\n"
        "    if len(tries) == 1: raise OSError('libc10_cuda.so')\n"
        "    return real(name)\n"
        "xtts_load.import_module = first; xtts_load.ready_torchaudio()\n"
        "import torch, torchaudio\n"
        "print(tuple(torchaudio.functional.resample(torch.zeros(1, 800), 16000, 24000).shape))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "(1, 1200)"
