"""Piper fulfils the contract on voices with random weights; and what is particular to it, beside the library's own."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import settings as engine_settings
from adapters.base import Honour
from adapters.settings import HOME_VARIABLE, EngineSettings
from adapters.voices import piper_loaded, piper_network, piper_words
from adapters.voices.piper import RATE, Piper
from adapters.voices.piper_catalogue import installed, tag_of
from adapters.voices.piper_espeak import EspeakPhonemes
from adapters.voices.piper_graphs import split
from adapters.voices.piper_network import Delivery, Network, drawn
from adapters.voices.piper_phonemes import Reader
from adapters.voices.piper_scripts import foreign_script
from adapters.voices.piper_words import starts
from peer.core.errors import Broken, Refusal, Unavailable, Unspeakable
from peer.core.voice import Prosody, Voice
from tests.tiny.piper import make_piper, write_json

from .voice_contract import SENTENCE, Driver, Heard, VoiceContract, opened

pytest.importorskip("piper", reason="piper-tts is not installed: make engines")
pytest.importorskip("onnx", reason="onnx is not installed: make engines")
pytest.importorskip("torch", reason="torch makes the tiny voices: make engines")

ONE, TWO, LOW = "en_GB-one-medium", "en_US-two-medium", "de_DE-tief-low"
FLAT = {"noise_scale": 0.0, "noise_w": 0.0}
"""Knobs without noise: then the library repeats itself too."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model folder with one speaker, two speakers, and another language at another rate."""
    home = tmp_path_factory.mktemp("models")
    make_piper(home / "piper" / f"{ONE}.onnx")
    make_piper(home / "piper" / f"{TWO}.onnx", speakers=2, language="en_US", espeak="en-us")
    shutil.copy(home / "piper" / f"{ONE}.onnx", home / "piper" / f"{LOW}.onnx")
    write_json(home / "piper" / f"{LOW}.onnx", "low", 1, "de_DE", "de", 16_000)
    with pytest.MonkeyPatch.context() as patch:
        # Children that describe the engine find the folder by the environment.
        patch.setenv(HOME_VARIABLE, str(home))
        yield home / "piper"


@pytest.fixture(scope="module")
def voice(folder: Path) -> Iterator[Driver]:
    """The engine in its process."""
    with engine_settings.override("piper", EngineSettings(models=str(folder))):
        yield from opened("piper")


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Piper]:
    """The engine in this process, for what a process hides."""
    made = Piper()
    made.warm_up()
    yield made
    made.close()


def whole(engine: Piper, text: str = SENTENCE, voice: Voice | None = None, **other: Any) -> Heard:
    """A sentence rendered in this process; `knobs` override those of `voice`."""
    knobs = other.pop("knobs", {})
    request = Driver("piper", Piper).request(text, voice=voice or Voice(), **other)
    heard = Heard()
    heard.add(list(engine.render(replace(request, stream=f"{other}", knobs={**request.knobs, **knobs}))))
    engine._spool.close()
    return heard


class TestPiper(VoiceContract):
    """The common suite, over the voice of one speaker."""

    def steps(self, voice: Driver, text: str) -> tuple[int, int]:
        """Blocks of the vocoder until the first piece left, and in all; durations and latents are excepted."""
        engine, blocks = Piper(), 0
        engine.warm_up()
        decode = Network._decoded

        def counted(self: Network, *arguments: Any) -> Any:
            nonlocal blocks
            blocks += 1
            return decode(self, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Network, "_decoded", counted)
            pieces = engine.render(voice.request(text))
            next(pieces)
            first = blocks
            list(pieces)
        engine.close()
        return first, blocks


# --- beside the library ---


@pytest.mark.parametrize("stem", [ONE, TWO])
def test_split_equals_the_file(folder: Path, stem: str) -> None:
    """Without noise the three graphs one after the other give what the file gives in one, bit for bit."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    file = onnxruntime.InferenceSession(str(folder / f"{stem}.onnx"), options, providers=["CPUExecutionProvider"])
    network = Network(folder / f"{stem}.onnx")
    before = (folder / f"{stem}.onnx").read_bytes()
    for speaker in (0, 1)[: 1 + (stem == TWO)]:
        for ids in (list(range(1, 40)), [1, 0, 20, 0, 30, 0, 2]):
            feeds = {
                "input": np.array([ids]),
                "input_lengths": np.array([len(ids)]),
                "scales": np.array([0.0, 1.3, 0.0], np.float32),
                "sid": np.array([speaker]),
            }
            (wanted,) = file.run(None, {value.name: feeds[value.name] for value in file.get_inputs()})
            score = network.score(ids, Delivery(speaker, 1.3, 0.0, 0.0), "any")
            got = network.sound(network.latents(score), 0, score.total, speaker)
            assert got.tobytes() == wanted.reshape(-1).tobytes()
    assert (folder / f"{stem}.onnx").read_bytes() == before
    assert "input" not in network._latent._names, "the text is encoded twice"


@pytest.mark.parametrize("heavy", [False, True])
def test_blocks_equal_the_whole(folder: Path, heavy: bool) -> None:
    """Blocks with their context meet without a seam: all together differ from the whole decode by rounding."""
    network = Network(folder / f"{ONE}.onnx")
    network.heavy = heavy
    score = network.score(list(range(1, 120)), Delivery(0, 1.0, 0.667, 0.8), "5/0")
    latents = network.latents(score)
    grid = list(network.blocks(score.total))
    assert [low for low, _ in grid[1:]] == [high for _, high in grid[:-1]]
    assert (grid[0][0], grid[-1][1]) == (0, score.total)
    assert grid[0][1] == (piper_network.STEADY if heavy else piper_network.OPENING[0])
    parts = np.concatenate([network.sound(latents, low, high, 0) for low, high in grid])
    assert np.abs(parts - network.sound(latents, 0, score.total, 0)).max() <= 1e-6


@pytest.mark.parametrize("stem", [ONE, LOW])
def test_speaks_and_aligns_as_the_library(folder: Path, engine: Piper, stem: str) -> None:
    """Without noise two sentences equal the library's own, in sound and in every phoneme's length."""
    from piper import PiperVoice, SynthesisConfig

    text = "Well, it is 12 o'clock. So on the table!" if stem == ONE else "Also gut, es ist 12 Uhr. So weit!"
    plain = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, normalize_audio=False)
    library = PiperVoice.load(folder / f"{stem}.onnx", include_alignments=True)
    chunks = list(library.synthesize(text, plain, include_alignments=True))
    EspeakPhonemes.forget()
    assert len(chunks) == 2
    heard = whole(engine, text, Voice(timbre=stem), knobs=FLAT)
    at, wanted = 0, []
    for chunk in chunks:
        assert chunk.phoneme_alignments is not None
        for one in chunk.phoneme_alignments:
            if one.phoneme not in "^$":
                wanted.append((one.phoneme, at * RATE // chunk.sample_rate))
            at += one.num_samples
    assert [(m.label, m.at) for m in heard.markers if m.kind == "phoneme"] == wanted
    sound = np.concatenate([chunk.audio_float_array for chunk in chunks])
    if stem == ONE:
        assert len(heard.pcm) == len(sound)
        assert np.abs(heard.pcm - sound).max() <= 1e-6
    else:
        import soxr

        assert heard.pcm == pytest.approx(soxr.resample(sound, 16_000, RATE, quality="HQ"), abs=1e-5)


def test_reader_gives_the_librarys_ids(folder: Path) -> None:
    """Phoneme ids are those the library makes of the text, and every mark points at its phoneme's first id."""
    from piper import PiperVoice

    library = PiperVoice.load(folder / f"{ONE}.onnx")
    phonemes = library.phonemize(SENTENCE)[0]
    EspeakPhonemes.forget()
    (sentence,) = Reader(installed(str(folder))[ONE]).read(SENTENCE)
    assert list(sentence.ids) == library.phonemes_to_ids(phonemes)
    marks = [mark for mark in sentence.soundings if mark.kind == "phoneme"]
    assert [mark.label for mark in marks] == phonemes
    assert all(sentence.ids[mark.at] == library.config.phoneme_id_map[mark.label][0] for mark in marks)


# --- seeds and positions ---


def test_seeds(engine: Piper) -> None:
    """The same seed repeats itself, another one has other durations and another sound."""
    one, same, other = (whole(engine, seed=seed) for seed in (1, 1, 2))
    assert one.pcm.tobytes() == same.pcm.tobytes()
    assert [marker.at for marker in one.markers] != [marker.at for marker in other.markers]
    assert one.pcm.tobytes() != other.pcm.tobytes()


def test_noise_is_keyed_by_position() -> None:
    """A frame's noise depends on the key and its number, not on how many follow; and it stays what it was."""
    long, short = drawn("7/0/widths", 2, 50), drawn("7/0/widths", 2, 20)
    assert short.tobytes() == np.ascontiguousarray(long[..., :20]).tobytes()
    assert drawn("7/1/widths", 2, 20).tobytes() != short.tobytes()
    assert abs(float(drawn("8/0/widths", 64, 2000).std()) - 1.0) < 0.02
    assert short[0, 0, :3] == pytest.approx(FROZEN, abs=1e-6)


FROZEN = (0.5656069, 0.19886805, 0.39831898)
"""The first values of one key: a replay next year draws them again."""


def test_another_rate_is_one_stream(engine: Piper) -> None:
    """A voice of 16 kHz sounds at the declared rate, lasts as long, and any span of it is a slice."""
    voice = Voice(timbre=LOW)
    heard = whole(engine, "Also gut, so ist es.", voice)
    assert heard.pieces[0].sample_rate == RATE
    for cursor in (1, 4000, len(heard.pcm) - 3):
        span = whole(engine, "Also gut, so ist es.", voice, cursor=cursor, samples=2000)
        assert span.pcm.tobytes() == heard.pcm[cursor : cursor + 2000].tobytes()
        assert span.markers == [m for m in heard.markers if cursor <= m.at < cursor + 2000]


def test_several_sentences_in_one_request(engine: Piper) -> None:
    """Where the phonemizer ends a sentence within the text, any span is still a slice and every word has its mark."""
    text = "Dr. Smith met Mr. Jones. He left at 12!"
    heard = whole(engine, text)
    words = [text[m.start : m.end] for m in heard.markers if m.kind == "word"]
    assert words == text.split()
    for cursor in range(0, len(heard.pcm), 9001):
        span = whole(engine, text, cursor=cursor, samples=3000)
        assert span.pcm.tobytes() == heard.pcm[cursor : cursor + 3000].tobytes()


# --- words ---


def cut(alone: list[str], together: str) -> list[str]:
    begins = [*starts([list(word) for word in alone], list(together)), len(together)]
    return [together[low:high] for low, high in pairwise(begins)]


def test_words_are_found_again() -> None:
    """Joined, weakened and linked words and numbers of several words are led back to where they came from."""
    assert cut(["ˈɔn", "ðə", "kˈɪŋ"], "ɔnðə kˈɪŋ") == ["ɔn", "ðə ", "kˈɪŋ"]
    assert cut(["aɪ", "hˈæv", "tˈuː", "ɡˈoʊ"], "aɪ hæv tə ɡˌoʊ") == ["aɪ ", "hæv ", "tə ", "ɡˌoʊ"]
    assert cut(["twˈɛnti wˈʌn", "dˈɑːɡz"], "twˈɛnti wˈʌn dˈɑːɡz.") == ["twˈɛnti wˈʌn ", "dˈɑːɡz."]
    assert cut(["lˈɛɾɚ", "ˈɔːl"], "lˈɛɾɚɹ ˈɔːl") == ["lˈɛɾɚɹ ", "ˈɔːl"]
    assert cut(["aɪ", "wˈɛl"], "aɪ hwˈɛl") == ["aɪ ", "hwˈɛl"]
    assert cut(["stˈɑːp", "", "nˈaʊ"], "stˈɑːp; nˈaʊ") == ["stˈɑːp; ", "", "nˈaʊ"]
    assert cut([], "ab") == []


@given(
    alone=st.lists(st.text("abc ˈ.", max_size=6), max_size=8),
    together=st.text("abc ˈ.", max_size=30),
    most=st.sampled_from([piper_words.MOST_CELLS, 10]),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_words_always_ascend(alone: list[str], together: str, most: int) -> None:
    """Whatever was said, every word has one place, and places ascend within the sentence."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(piper_words, "MOST_CELLS", most)
        begins = starts([list(word) for word in alone], list(together))
    assert len(begins) == len(alone)
    assert begins == sorted(begins)
    assert all(0 <= at <= len(together) for at in begins)


@pytest.mark.parametrize(
    "text",
    [
        "on the table of the king, and so on and so on",
        "1,234,567 people -- or 20% more -- paid $5.00 at 5:30pm",
        "it's <b>so</b> & that's <i>all</i> 😀 there is",
        "I am going to have to go to the shop for an hour",
    ],
)
def test_every_word_has_one_mark(folder: Path, text: str) -> None:
    """Every word of the text has exactly one mark, in order, on a phoneme of its own."""
    (sentence,) = Reader(installed(str(folder))[ONE]).read(text)
    words = [mark for mark in sentence.soundings if mark.kind == "word"]
    assert [text[mark.start : mark.end] for mark in words] == [
        word for word in text.split() if word not in ("--", "&", "😀")
    ]
    assert all(low.at < high.at for low, high in pairwise(words))


# --- text ---


def in_language(folder: Path, into: Path, **row: Any) -> Reader:
    """The reader of a voice whose JSON says `row`."""
    said = json.loads((folder / f"{ONE}.onnx.json").read_text()) | row
    (into / "x.onnx").unlink(missing_ok=True)
    (into / "x.onnx").symlink_to(folder / f"{ONE}.onnx")
    (into / "x.onnx.json").write_text(json.dumps(said))
    return Reader(installed(str(into))["x"])


@pytest.mark.parametrize("language", ["fr", "ar"])
def test_reading_depends_on_the_text_alone(folder: Path, tmp_path: Path, language: str) -> None:
    """English words in another language are read the same whatever was read before; "have" makes "read" a past."""
    reader = in_language(folder, tmp_path, espeak={"voice": language}, language={"code": language})
    first = reader.read("read")
    for before in ("I have had", "the king", "to be"):
        reader.read(before)
        assert reader.read("read") == first


@pytest.mark.parametrize(
    ("espeak", "text"),
    [
        ("en-us", "Dr. Smith -- who's 42: 'well', (he) said; is it? It's 3.14 & more… 日本 😀!"),
        ("de", "Der König hat 1.234 Hunde, am 3.5. in's Haus: the End?"),
        ("ru", "Привет, мир! У меня 21 собака."),
        ("cmn", "你好，世界。我有12只狗"),
        ("fr", "Il y a 12 enfants dans l'école, n'est-ce pas ?"),
    ],
)
def test_phonemes_are_the_librarys(folder: Path, tmp_path: Path, espeak: str, text: str) -> None:
    """Sentences and phonemes are those of the library's own call, in every language and several in turns."""
    reader = in_language(folder, tmp_path, espeak={"voice": espeak})
    reader._phonemes.sentences("Another voice of the same bridge.")
    assert [one for one in reader._phonemes.sentences(text) if one] == [
        one for one in reader._voice.phonemize(text) if one
    ]
    EspeakPhonemes.forget()


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"phoneme_type": "hebrew", "language": {"code": "he_IL"}}, "שלום עולם"),
        ({"espeak": {"voice": "ar"}, "language": {"code": "ar_JO"}}, "مرحبا بالعالم 12"),
    ],
    ids=["hebrew", "arabic"],
)
def test_other_phonemizers(folder: Path, tmp_path: Path, row: dict[str, Any], text: str) -> None:
    """Where the library has a phonemizer of its own, it is used; the voice loads and every word has its mark."""
    in_language(folder, tmp_path, **row)
    with engine_settings.override("piper", EngineSettings(models=str(tmp_path))):
        engine = Piper()
        engine.warm_up()
        heard = whole(engine, text, Voice(timbre="x"))
        engine.close()
    assert [text[m.start : m.end] for m in heard.markers if m.kind == "word"] == text.split()
    assert heard.eos


def test_nothing_is_read_from_disk(engine: Piper) -> None:
    """Between a request and its sound not one file is read: no dictionary, no model."""
    counts = Path("/proc/self/io")
    if not counts.exists():
        pytest.skip("this system does not count what a process reads")

    def reads() -> int:
        return int(re.search(r"syscr: (\d+)", counts.read_text())[1])

    whole(engine, "Before.")
    own = -(reads() - reads())
    before = reads()
    whole(engine, "There it is, and nobody has read it before.")
    assert reads() - before == own


@pytest.mark.parametrize("text", ["[[hɛloʊ]] there", "a [[b]] c", "\x01 10P so \x02", "a\0b", "\ud800x"])
def test_text_is_no_instruction(folder: Path, text: str) -> None:
    """Brackets and control characters are neither phonemes nor commands: they read like spaces."""
    reader = Reader(installed(str(folder))[ONE])
    plain = "".join(" " if c in "[]" or ord(c) < 32 or 0xD800 <= ord(c) < 0xE000 else c for c in text)
    assert reader.read(text) == reader.read(plain)


@pytest.mark.parametrize(
    ("text", "language", "script"),
    [
        ("Hello there", "en-GB", ""),
        ("Привет, мир", "en-GB", "CYRILLIC"),
        ("Привет, мир", "ru-RU", ""),
        ("日本", "en-GB", "CJK"),
        ("日本へ", "ja", ""),
        ("你好", "ja", ""),
        ("こんにちは", "zh-CN", "HIRAGANA"),
        ("Say привет to everyone", "en-GB", ""),
        ("café naïve", "en-GB", ""),
        ("12 ½ — …", "ru", ""),
        ("The king", "ru", ""),
    ],
)
def test_foreign_scripts(text: str, language: str, script: str) -> None:
    """A text mostly in a script that the language is not written in is foreign; Latin never is."""
    assert foreign_script(text, language) == script


def test_what_it_cannot_say_is_said(folder: Path, tmp_path: Path) -> None:
    """A foreign script and letters without a sound are refused in a sentence; a mark without letters is silence."""
    files = installed(str(folder))
    reader = Reader(files[ONE])
    with pytest.raises(Unspeakable, match=r"en_GB-one-medium speaks en-GB.*cyrillic"):
        reader.read("Привет, мир!")
    assert reader.read("?") == reader.read("") == reader.read(" ... ") == ()
    letters = in_language(folder, tmp_path, phoneme_type="text")
    assert letters.read("abc de")[0].soundings[0].kind == "word"
    with pytest.raises(Unspeakable, match="none of its letters"):
        letters.read("ÀÞ")


# --- voices ---


def test_voices_are_listed_from_the_folder(folder: Path) -> None:
    """Files, their speakers and their languages, without loading anything."""
    descriptor = Piper.describe()
    assert descriptor.voices == (LOW, ONE, f"{TWO}#s0", f"{TWO}#s1")
    assert descriptor.languages == ("de-DE", "en-GB", "en-US")
    assert descriptor.sample_rate == RATE
    assert Piper.lacks() is None


def test_projection(folder: Path) -> None:
    """Accent and timbre choose the file, pace its length scale, range its noise; the report says how well."""
    plain = Piper.project(Voice())
    assert (plain.knobs["voice"], plain.report["accent"]) == (ONE, Honour.EXACT)
    assert plain.knobs["noise_scale"] == 0.667
    american = Piper.project(Voice(accent="en-US", pace=2.0))
    assert (american.knobs["voice"], american.knobs["length_scale"]) == (TWO, 0.5)
    near = Piper.project(Voice(accent="de-AT"))
    assert (near.knobs["voice"], near.report["accent"]) == (LOW, Honour.APPROXIMATE)
    named = Piper.project(Voice(timbre=f"{TWO}#s1"))
    assert (named.knobs["speaker"], named.report["accent"]) == (1, Honour.APPROXIMATE)
    assert Piper.project(Voice(timbres={"piper": LOW})).report["accent"] is Honour.NONE
    even, lively = (Piper.project(Voice(prosody=Prosody(range=r))).knobs["noise_scale"] for r in (0.0, 2.0))
    assert even == 0.0 < 0.667 < float(lively) <= 1.0
    assert plain.report["emotion_priors"] is Honour.NONE
    with pytest.raises(Refusal) as refused:
        Piper.project(Voice(accent="fr-FR"))
    assert refused.value.field == "voice.accent"
    assert "de-DE" in refused.value.remedy
    with pytest.raises(Refusal):
        Piper.project(Voice(timbre=f"{TWO}#nobody"))


def test_what_it_lacks_is_done_behind_it(folder: Path) -> None:
    """Pitch and more than full volume are left to the common stage, and reported."""
    raised = Piper.project(Voice(prosody=Prosody(pitch=2.0, volume=1.5)))
    assert raised.report["prosody.pitch"] is Honour.APPROXIMATE
    assert raised.knobs["post_pitch"] == 2.0
    assert raised.knobs["post_volume"] == 1.5
    assert raised.knobs["volume"] == 1.0
    quiet = Piper.project(Voice(prosody=Prosody(volume=0.5)))
    assert quiet.report["prosody.volume"] is Honour.EXACT
    assert "post_volume" not in quiet.knobs


def test_speakers_sound_different(engine: Piper) -> None:
    """Two speakers of one file differ, and the file alone is its first."""
    first, second, file = (whole(engine, voice=Voice(timbre=name)) for name in (f"{TWO}#s0", f"{TWO}#s1", TWO))
    assert first.pcm.tobytes() == file.pcm.tobytes()
    assert first.pcm.tobytes() != second.pcm.tobytes()


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("en_GB", "en-GB"),
        ("en-gb-x-rp", "en-GB"),
        ("de", "de"),
        ("cmn", "zh"),
        ("es-419", "es-419"),
        ("ZH_cn", "zh-CN"),
    ],
)
def test_tags(name: str, tag: str) -> None:
    """What files call their language becomes a BCP 47 tag."""
    assert tag_of(name) == tag


def test_listing_follows_the_files(tmp_path: Path) -> None:
    """A JSON that changed is read again; one that makes no sense is no voice."""
    (tmp_path / "a.onnx").write_bytes(b"")
    write_json(tmp_path / "a.onnx", "medium", 1, "en_GB", "en-gb", 22_050)
    assert installed(str(tmp_path))["a"].language == "en-GB"
    write_json(tmp_path / "a.onnx", "medium", 3, "fr_FR", "fr", 22_050)
    os.utime(tmp_path / "a.onnx.json", ns=(1, 1))
    assert installed(str(tmp_path))["a"].timbres == ("a#s0", "a#s1", "a#s2")
    nonsense = ("", "[]", "{}", '{"audio": {"sample_rate": NaN}}', "[" * 100_000, '{"espeak": 3, "phoneme_id_map": []}')
    for text in nonsense:
        (tmp_path / "a.onnx.json").write_text(text)
        assert installed(str(tmp_path)) == {}


# --- memory ---


def test_voices_are_put_back(engine: Piper, monkeypatch: pytest.MonkeyPatch) -> None:
    """With room for one voice only, sentences of two in turns load them again and give the same bytes."""
    wanted = {stem: whole(engine, "Yes, so it is.", Voice(timbre=stem)) for stem in (ONE, LOW)}
    monkeypatch.setattr(piper_loaded, "KEPT_BYTES", 1)
    engine._voices.close()
    driver, heard = Driver("piper", Piper), {ONE: Heard(), LOW: Heard()}
    for index in range(3):
        for stem, so_far in heard.items():
            request = driver.request("Yes, so it is.", stream=stem, voice=Voice(timbre=stem), cursor=len(so_far.pcm))
            so_far.add(list(engine.render(replace(request, samples=5000 if index < 2 else 10**7))))
            assert len(engine._voices._loaded) == 1
    for stem, so_far in heard.items():
        assert so_far.pcm.tobytes() == wanted[stem].pcm.tobytes()
        assert so_far.markers == wanted[stem].markers


def test_large_vocoders_get_large_blocks(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The grid is decided by the file's own size, so that bytes never depend on a machine's speed."""
    weights = split(folder / f"{ONE}.onnx").weights
    assert not Network(folder / f"{ONE}.onnx").heavy
    monkeypatch.setattr(piper_network, "HEAVY_WEIGHTS", weights)
    assert Network(folder / f"{ONE}.onnx").heavy


# --- bad files ---


class Touch:
    """What a pickle may do to whoever opens it."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self.path,)


def other_network(path: Path) -> None:
    """A valid ONNX file that is no voice."""
    import onnx
    from onnx import TensorProto, helper

    node = helper.make_node("Relu", ["x"], ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    onnx.save(helper.make_model(helper.make_graph([node], "relu", [x], [y])), str(path))


@pytest.mark.parametrize("kind", ["truncated", "empty", "network", "pickle", "text", "no noise"])
def test_bad_files_are_named(folder: Path, tmp_path: Path, kind: str) -> None:
    """A file that is no voice keeps the engine from starting with one sentence: the file, why, the remedy."""
    bad = tmp_path / "bad.onnx"
    good = (folder / f"{ONE}.onnx").read_bytes()
    match kind:
        case "truncated":
            bad.write_bytes(good[: len(good) // 2])
        case "empty":
            bad.write_bytes(b"")
        case "network":
            other_network(bad)
        case "pickle":
            bad.write_bytes(pickle.dumps(Touch(str(tmp_path / "touched"))))
        case "text":
            bad.write_text("<html>not found</html>")
        case "no noise":
            bad.write_bytes(good.replace(b"RandomNormalLike", b"RandomUniformLik"))
    write_json(bad, "medium", 1, "en_GB", "en-gb", 22_050)
    with engine_settings.override("piper", EngineSettings(models=str(tmp_path))), pytest.raises(Unavailable) as fault:
        Piper().warm_up()
    assert "bad.onnx" in str(fault.value)
    assert "python -m peer voices add piper" in str(fault.value)
    assert "\n" not in str(fault.value)
    assert not (tmp_path / "touched").exists()


def test_half_a_voice_is_said(tmp_path: Path) -> None:
    """A JSON without its network, a network without its JSON and an empty folder: what lacks, and the command."""
    with engine_settings.override("piper", EngineSettings(models=str(tmp_path))):
        lack = Piper.lacks()
        assert lack is not None
        assert lack.remedy.startswith("python -m peer voices add piper ")
        write_json(tmp_path / "lonely.onnx", "medium", 1, "en_GB", "en-gb", 22_050)
        (tmp_path / "mute.onnx").write_bytes(b"")
        lack = Piper.lacks()
        assert lack is not None
        assert "lonely.onnx.json has no lonely.onnx" in lack.reason
        assert "mute.onnx has no usable mute.onnx.json" in lack.reason
        assert Piper.describe().voices == ()
        with pytest.raises(Unavailable, match="voices add piper"):
            Piper().warm_up()
        with pytest.raises(Refusal):
            Piper.project(Voice())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"phoneme_type": "japanese"}, r"pip install 'piper-tts\[ja\]'"),
        ({"phoneme_type": "pinyin"}, "would download"),
        ({"phoneme_type": "nonsense"}, "bad.onnx"),
        ({"espeak": {"voice": "tlh-QQ"}}, "bad.onnx"),
        ({"num_symbols": None}, "lacks 'num_symbols'"),
    ],
)
def test_bad_configurations_are_named(folder: Path, tmp_path: Path, change: dict[str, Any], said: str) -> None:
    """A JSON that asks for a phonemizer that is not here, or says too little, is named with its remedy."""
    (tmp_path / "bad.onnx").symlink_to(folder / f"{ONE}.onnx")
    row = json.loads((folder / f"{ONE}.onnx.json").read_text()) | change
    (tmp_path / "bad.onnx.json").write_text(json.dumps({k: v for k, v in row.items() if v is not None}))
    with (
        engine_settings.override("piper", EngineSettings(models=str(tmp_path))),
        pytest.raises(Unavailable, match=said) as fault,
    ):
        Piper().warm_up()
    assert "bad.onnx" in str(fault.value)


def test_a_bad_voice_beside_good_ones(folder: Path, tmp_path: Path) -> None:
    """Asked for by name, a bad file fails its own request; the engine speaks on with the others."""
    for suffix in (".onnx", ".onnx.json"):
        (tmp_path / f"{ONE}{suffix}").symlink_to(folder / f"{ONE}{suffix}")
    (tmp_path / "zz.onnx").write_bytes(b"garbage")
    write_json(tmp_path / "zz.onnx", "medium", 1, "en_GB", "en-gb", 22_050)
    with engine_settings.override("piper", EngineSettings(models=str(tmp_path))):
        engine = Piper()
        engine.warm_up()
        with pytest.raises(Broken, match=r"zz\.onnx"):
            whole(engine, voice=Voice(timbre="zz"))
        assert whole(engine, "Well.").eos
        engine.close()


def test_an_absent_gpu_is_said(folder: Path) -> None:
    """A device that the runtime does not have makes the engine unavailable and says what to do."""
    import onnxruntime

    if piper_network.GPU in onnxruntime.get_available_providers():
        pytest.skip("this runtime has a GPU")
    for device in ("cuda", "cuda:1", "toaster"):
        row = EngineSettings(models=str(folder), device=device)
        with (
            engine_settings.override("piper", row),
            pytest.raises(Unavailable, match=rf"{device}.*set device to cpu"),
        ):
            Piper().warm_up()


def test_absurd_lengths_end_the_request(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that wants minutes for a word is refused before it takes the memory."""
    monkeypatch.setattr(piper_network, "MOST_FRAMES", 10)
    with pytest.raises(Broken, match="frames for"):
        Network(folder / f"{ONE}.onnx").score(list(range(1, 40)), Delivery(0, 1.0, 0.667, 0.8), "any")
