"""Models on disk: what is fit is copied whole, recorded and hashed again; what is not leaves nothing behind.

The files are those that the engines' own libraries write and load, with random weights, and the same ones broken.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import wave
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from adapters import registry, settings, shelf, shelf_check, shelf_folder, shelf_gguf, shelf_rows
from adapters.settings import EngineSettings
from adapters.shelf import State, Wish
from peer.__main__ import main
from peer.core.errors import Refusal
from tests.missing import needed

pytestmark = pytest.mark.timeout(180)
"""The first test of an engine makes its models: seconds alone, a minute on a machine that is full."""

ROOT = Path(__file__).resolve().parents[2]
ENGINES = ("piper", "snac_llamacpp", "xtts", "outetts")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A folder of tiny models of one engine, made once when first asked for."""

    @cache
    def folder(engine: str) -> Path:
        found = tmp_path_factory.mktemp(engine)
        _MAKERS[engine](found)
        return found

    return folder


def _make_piper(folder: Path) -> None:
    needed("piper", "torch", "onnx")
    from tests.tiny.piper import make_piper

    make_piper(folder / "en_GB-tiny-low.onnx")


def _make_snac(folder: Path) -> None:
    needed("gguf", "snac", "torch")
    from tests.tiny.gguf import make_orpheus
    from tests.tiny.snac import make_snac

    make_orpheus(folder / "tiny.gguf")
    make_snac(folder / "snac")


def _make_xtts(folder: Path) -> None:
    needed("TTS", "torch", "torchaudio")
    from tests.tiny.xtts import make_xtts

    make_xtts(folder)
    (folder / "voices").mkdir()
    make_clip(folder / "voices" / "ada.wav")


def _make_oute(folder: Path) -> None:
    needed("gguf", "torch")
    from tests.tiny.oute import make_folder

    make_folder(folder)


_MAKERS = {"piper": _make_piper, "snac_llamacpp": _make_snac, "xtts": _make_xtts, "outetts": _make_oute}


def make_clip(path: Path) -> Path:
    """A second of noise, 22,050 Hz, 16 bit."""
    with wave.open(str(path), "wb") as clip:
        clip.setparams((1, 2, 22_050, 0, "NONE", ""))
        clip.writeframes(os.urandom(44_100))
    return path


def make_safetensors(path: Path, values: int = 4) -> Path:
    """One tensor of zeros, as its library writes it."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4 * values))
    return path


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """An empty folder of models that every engine here uses."""
    found = tmp_path / "models"
    settings.use({name: EngineSettings(models=str(found / name)) for name in registry.names()})
    yield found
    settings.use({})


def left(home: Path) -> list[str]:
    """Every file below, hidden ones too."""
    return sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file())


# --- whole models ---


@pytest.mark.parametrize("engine", ENGINES)
def test_a_folder_is_added_recorded_and_found_by_its_engine(
    engine: str, made: Callable[[str], Path], home: Path
) -> None:
    """Every bundle of a folder arrives with size and digest, and then the engine lacks nothing."""
    added = shelf.add(engine, made(engine), Wish())
    assert added and all(model.state is State.RECORDED for model in added)
    table = json.loads((home / engine / shelf_folder.MANIFEST).read_text())["models"]
    for model in added:
        for path, size in model.files.items():
            data = (home / engine / path).read_bytes()
            assert table[model.name]["files"][path] == {"sha256": sha256(data).hexdigest(), "size": size}
    assert not [path for path in left(home) if shelf_folder.INCOMING in path]
    assert [fault for model in added for fault in shelf.faults(engine, model)] == []
    assert registry.availability(engine).available, registry.availability(engine).reason


def test_one_file_brings_what_belongs_to_it(made: Callable[[str], Path], home: Path) -> None:
    """A voice is named by its .onnx; the JSON beside it comes along, both under the wanted name."""
    source = made("piper") / "en_GB-tiny-low.onnx"
    (model,) = shelf.add("piper", source, Wish(name="alan", sha256=sha256(source.read_bytes()).hexdigest()))
    assert set(model.files) == {"alan.onnx", "alan.onnx.json"}
    assert model.record["source"] == str(source)


def test_weights_called_otherwise_take_the_fixed_name(made: Callable[[str], Path], home: Path, tmp_path: Path) -> None:
    """Where there can be one only, the suffix is enough, for a file and in a folder."""
    shutil.copy(made("outetts") / "dac.pth", tmp_path / "weights_24khz.pth")
    (model,) = shelf.add("outetts", tmp_path / "weights_24khz.pth", Wish())
    assert (model.name, list(model.files)) == ("dac", ["dac.pth"])
    shelf.remove("outetts", "dac")
    assert [found.name for found in shelf.add("outetts", tmp_path, Wish())] == ["dac"]


def test_a_stand_in_replaces_the_other(made: Callable[[str], Path], home: Path, tmp_path: Path) -> None:
    """A decoder is either of two files: adding one over the other leaves one."""
    shelf.add("snac_llamacpp", made("snac_llamacpp") / "snac", Wish())
    shutil.copy(made("snac_llamacpp") / "snac" / "config.json", tmp_path)
    make_safetensors(tmp_path / "model.safetensors")
    (model,) = shelf.add("snac_llamacpp", tmp_path, Wish(replace=True))
    assert set(model.files) == {"snac/model.safetensors", "snac/config.json"}
    assert not (home / "snac_llamacpp" / "snac" / "pytorch_model.bin").exists()


def test_a_clip_needs_no_library(home: Path, tmp_path: Path) -> None:
    """A reference clip is a bundle of its own; two of one name are refused unless --replace."""
    clip = make_clip(tmp_path / "ada.wav")
    (model,) = shelf.add("xtts", clip, Wish())
    assert (model.word, list(model.files)) == ("reference clip", ["voices/ada.wav"])
    with pytest.raises(Refusal, match="--replace"):
        shelf.add("xtts", make_clip(clip), Wish())
    (again,) = shelf.add("xtts", clip, Wish(replace=True))
    assert again.record["files"] != model.record["files"]
    assert shelf.faults("xtts", again) == []


def test_a_clip_may_be_flac(home: Path, tmp_path: Path) -> None:
    """As libav writes it; in place of the same clip as WAV it is the only one."""
    shelf.add("xtts", make_clip(tmp_path / "ada.wav"), Wish())
    clip = tmp_path / "ada.flac"
    with av.open(str(clip), "w") as file:
        stream = file.add_stream("flac", rate=22_050, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.ones((1, 22_050), np.int16), format="s16", layout="mono")
        frame.rate = 22_050
        file.mux([*stream.encode(frame), *stream.encode()])
    assert "ada.wav: it is there already" in refused("xtts", clip, home)
    (model,) = shelf.add("xtts", clip, Wish(replace=True))
    assert list(model.files) == ["voices/ada.flac"]
    clip.write_bytes(clip.read_bytes()[:40])
    assert "no FLAC" in refused("xtts", clip, home, Wish(name="bert"))


def test_what_lies_there_already_is_recorded_in_place(home: Path) -> None:
    """A file that was put there by hand is seen, and `add` of itself records it."""
    clip = home / "xtts" / "voices" / "ada.wav"
    clip.parent.mkdir(parents=True)
    make_clip(clip)
    assert [model.state for model in shelf.models("xtts")] == [State.UNRECORDED]
    (model,) = shelf.add("xtts", clip, Wish())
    assert model.state is State.RECORDED


def test_changed_and_missing_files_are_found(home: Path, tmp_path: Path) -> None:
    """Another size is seen at once, another byte when it is read again; half a bundle is incomplete."""
    shelf.add("xtts", make_clip(tmp_path / "ada.wav"), Wish())
    clip = home / "xtts" / "voices" / "ada.wav"
    data = clip.read_bytes()
    clip.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (model,) = shelf.models("xtts")
    assert model.state is State.RECORDED
    assert "--replace" in shelf.faults("xtts", model)[0]
    clip.write_bytes(data + b"\0")
    assert shelf.models("xtts")[0].state is State.CHANGED
    (home / "piper").mkdir()
    (home / "piper" / "x.onnx").write_bytes(b"x")
    (half,) = shelf.models("piper")
    assert (half.state, half.lacking) == (State.INCOMPLETE, ("x.onnx.json",))


def test_remove_takes_the_files_and_the_record(home: Path, tmp_path: Path) -> None:
    """What was removed is gone from disk and manifest; another model stays; an unknown name says what there is."""
    for name in ("ada", "bert"):
        shelf.add("xtts", make_clip(tmp_path / f"{name}.wav"), Wish())
    shelf.remove("xtts", "ada")
    assert [model.name for model in shelf.models("xtts")] == ["bert"]
    assert left(home) == ["xtts/manifest.json", "xtts/voices/bert.wav"]
    with pytest.raises(Refusal, match="it has bert"):
        shelf.remove("xtts", "ada")


# --- what is not fit ---


def refused(engine: str, source: Path, home: Path, wish: Wish | None = None) -> str:
    """The one sentence that `add` refuses with; nothing may be left of the attempt."""
    before = left(home)
    with pytest.raises(Refusal) as refusal:
        shelf.add(engine, source, wish or Wish())
    assert left(home) == before
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.9, 0.999])
@pytest.mark.parametrize(
    ("engine", "file"),
    [
        ("piper", "en_GB-tiny-low.onnx"), ("snac_llamacpp", "tiny.gguf"), ("snac_llamacpp", "snac/pytorch_model.bin"),
        ("xtts", "model.pth"), ("xtts", "voices/ada.wav"), ("outetts", "dac.pth"), ("outetts", "speakers/ada.json"),
    ],
)  # fmt: skip
def test_a_truncated_file_is_refused_by_name(
    engine: str, file: str, share: float, made: Callable[[str], Path], home: Path, tmp_path: Path
) -> None:
    """However much of it is missing, and whatever its kind."""
    source = tmp_path / "source"
    shutil.copytree(
        made(engine) / Path(file).parent, source, ignore=shutil.ignore_patterns("speakers", "voices", "snac")
    )
    broken = source / Path(file).name
    os.truncate(broken, int(broken.stat().st_size * share))
    assert broken.name in refused(engine, broken, home)


def test_another_kind_of_model_is_refused(made: Callable[[str], Path], home: Path, tmp_path: Path) -> None:
    """A language model without the codec's tokens, text with a model's suffix, a file for another engine."""
    assert "<|word_start|>" in refused("outetts", made("snac_llamacpp") / "tiny.gguf", home)
    assert "<custom_token_0>" in refused("snac_llamacpp", made("outetts") / "oute.gguf", home)
    (tmp_path / "text.gguf").write_text("<html>not found</html>")
    assert "does not begin" in refused("snac_llamacpp", tmp_path / "text.gguf", home)
    assert "it takes *.onnx" in refused("piper", made("snac_llamacpp") / "tiny.gguf", home)
    assert "speakers_xtts.pth" in refused("xtts", made("xtts") / "speakers_xtts.pth", home)


def test_half_a_voice_is_refused(made: Callable[[str], Path], home: Path, tmp_path: Path) -> None:
    """An .onnx without its JSON, or with one of something else, cannot speak."""
    shutil.copy(made("piper") / "en_GB-tiny-low.onnx", tmp_path / "x.onnx")
    assert "*.onnx.json" in refused("piper", tmp_path / "x.onnx", home)
    (tmp_path / "x.onnx.json").write_text('{"audio": {}}')
    assert "x.onnx.json lacks the key 'phoneme_id_map'" in refused("piper", tmp_path, home)


def test_weights_in_another_file_are_refused(made: Callable[[str], Path], home: Path, tmp_path: Path) -> None:
    """An ONNX file may name any path for its weights: only whole ones are taken. Nor one with other inputs."""
    needed("onnx")
    import onnx

    source = made("piper") / "en_GB-tiny-low.onnx"
    shutil.copy(f"{source}.json", tmp_path / "x.onnx.json")
    model = onnx.load(str(source))
    onnx.save_model(model, str(tmp_path / "x.onnx"), save_as_external_data=True, location="other", size_threshold=0)
    assert "another file" in refused("piper", tmp_path / "x.onnx", home)
    model = onnx.load(str(source))
    model.graph.input[0].name = "words"
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    assert "lacks the input 'input'" in refused("piper", tmp_path / "x.onnx", home)
    model = onnx.load(str(source))
    next(tensor for tensor in model.graph.initializer if len(tensor.raw_data) > 8).raw_data = b"1234"
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    assert "damaged" in refused("piper", tmp_path / "x.onnx", home)


class Bomb:
    """Its pickle runs a command when it is read."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("packed", [True, False])
def test_a_pickle_that_would_run_is_refused_and_does_not(
    protocol: int, packed: bool, home: Path, tmp_path: Path
) -> None:
    """In torch's zip format or bare, by either way of naming what it would call."""
    trace = tmp_path / "ran"
    data = pickle.dumps({"state_dict": Bomb(trace), "metadata": {}}, protocol)
    source = tmp_path / "dac.pth"
    if packed:
        with zipfile.ZipFile(source, "w") as archive:
            archive.writestr("archive/data.pkl", data)
    else:
        source.write_bytes(data)
    assert "may run code" in refused("outetts", source, home)
    assert not trace.exists()
    pickle.loads(data)
    assert trace.exists()


def test_only_the_classes_that_a_row_allows_are_taken(tmp_path: Path) -> None:
    """The original XTTS checkpoint names its configuration's class: allowed there and nowhere else."""
    source = tmp_path / "model.pth"
    (weights,) = shelf_rows.of("xtts").bundles[0].weights
    data = b"\x80\x02}q\x00X\x05\x00\x00\x00modelcTTS.tts.configs.xtts_config\nXttsConfig\n)\x81s."
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    assert shelf_check.check(source, "torch", weights.holds, weights.allows) == {}
    with pytest.raises(shelf_check.Unfit, match=r"XttsConfig"):
        shelf_check.check(source, "torch", weights.holds, ())


def test_safetensors_are_taken_whole_only(tmp_path: Path) -> None:
    """Every length of the file but the right one is refused, and so are holes between tensors."""
    source = make_safetensors(tmp_path / "m.safetensors")
    whole = source.read_bytes()
    assert shelf_check.check(source, "safetensors", ("w",), ()) == {}
    for size in range(len(whole)):
        source.write_bytes(whole[:size])
        with pytest.raises(shelf_check.Unfit):
            shelf_check.check(source, "safetensors", (), ())
    source.write_bytes(whole.replace(b"[0, 16]", b"[4, 16]"))
    with pytest.raises(shelf_check.Unfit, match="follow"):
        shelf_check.check(source, "safetensors", (), ())


@pytest.fixture(scope="module")
def small_gguf(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A GGUF file of every kind of value and three kinds of tensor, written by the library."""
    needed("gguf")
    import gguf
    import numpy as np

    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_token_list(["a", "b", "<custom_token_0>"])
    writer.add_token_scores([0.5, 1.0, 2.0])
    writer.add_float32("f", 1.5)
    writer.add_bool("t", True)
    writer.add_string("general.license", "mit")
    writer.add_tensor("one", np.zeros((3, 5), np.float32))
    writer.add_tensor("two", np.zeros(7, np.float16))
    writer.add_tensor("three", np.zeros((2, 18), np.uint8), raw_dtype=gguf.GGMLQuantizationType.Q4_0)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    return path.read_bytes()


def test_the_header_of_a_gguf_file(small_gguf: bytes, tmp_path: Path) -> None:
    """Facts, tokens and tensors are the library's; a file short of its last tensor is refused, at every length."""
    source = tmp_path / "small.gguf"
    source.write_bytes(small_gguf)
    header = shelf_gguf.read(source, ["<custom_token_0>", "absent"])
    assert header.facts["general.architecture"] == "llama"
    assert (header.facts["f"], header.facts["t"], header.tensors) == (1.5, True, 3)
    assert header.tokens == {"<custom_token_0>"}
    assert shelf_check.check(source, "gguf", (), ()) == {"licence": "mit", "architecture": "llama"}
    for size in range(len(small_gguf) - 32):
        source.write_bytes(small_gguf[:size])
        with pytest.raises(shelf_gguf.NotGgufError):
            shelf_gguf.read(source)


@trials(deadline=None)
@given(data=st.data())
def test_a_damaged_gguf_header_is_an_answer(
    small_gguf: bytes, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Any bytes anywhere: a header or a refusal, nothing else, and no length is believed."""
    at = data.draw(st.integers(4, len(small_gguf) - 1))
    noise = data.draw(st.binary(min_size=1, max_size=12))
    source = tmp_path_factory.getbasetemp() / "noise.gguf"
    source.write_bytes(small_gguf[:at] + noise + small_gguf[at + len(noise) :])
    try:
        shelf_gguf.read(source, ["a"])
    except shelf_gguf.NotGgufError:
        pass


def test_another_digest_is_refused(home: Path, tmp_path: Path) -> None:
    """Before anything of the file is parsed; the right one passes in capitals too."""
    clip = make_clip(tmp_path / "ada.wav")
    digest = sha256(clip.read_bytes()).hexdigest()
    assert digest in refused("xtts", clip, home, Wish(sha256="0" * 64))
    assert shelf.add("xtts", clip, Wish(sha256=digest.upper()))


def test_an_interrupted_copy_leaves_nothing(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of a copy; and what a killed process left is swept by the next."""
    whole = shelf._copy

    def interrupted(path: Path, target: Path) -> str:
        whole(path, target)
        assert left(home) and not shelf.models("xtts")
        raise KeyboardInterrupt

    clip = make_clip(tmp_path / "ada.wav")
    monkeypatch.setattr(shelf, "_copy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shelf.add("xtts", clip, Wish())
    assert left(home) == []
    monkeypatch.setattr(shelf, "_copy", whole)
    dead = home / "xtts" / f"{shelf_folder.INCOMING}dead"
    dead.mkdir()
    (dead / "model.pth").write_bytes(b"half")
    shelf.add("xtts", clip, Wish())
    assert left(home) == ["xtts/manifest.json", "xtts/voices/ada.wav"]


def test_two_commands_do_not_meet(home: Path, tmp_path: Path) -> None:
    """While one works in a folder, another is refused."""
    with shelf_folder.locked(home / "xtts"):
        assert "another command" in refused("xtts", make_clip(tmp_path / "ada.wav"), home)


def test_a_full_disk_is_refused_before_it_is_full(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is not begun."""
    clip = make_clip(tmp_path / "ada.wav")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=shelf_folder.RESERVE))
    assert "no room" in refused("xtts", clip, home)


def test_a_manifest_that_cannot_be_read_is_not_written_over(home: Path, tmp_path: Path) -> None:
    """The list goes on without it; `add` says what to do."""
    manifest = home / "xtts" / shelf_folder.MANIFEST
    manifest.parent.mkdir(parents=True)
    for text in ("{", "[]", '{"schema": 9, "models": {}}', '{"schema": 1, "models": {"x": 1}}'):
        manifest.write_text(text)
        assert shelf.models("xtts") == []
        assert manifest.name in refused("xtts", make_clip(tmp_path / "ada.wav"), home)


@pytest.mark.parametrize("name", ["../up", ".hidden", "a/b", "x" * 65, "a\nb"])
def test_a_name_stays_in_its_folder(name: str, home: Path, tmp_path: Path) -> None:
    """What would leave the folder, hide there or not be a timbre is no name."""
    assert "cannot be its name" in refused("xtts", make_clip(tmp_path / "ada.wav"), home, Wish(name=name)).replace(
        "\n", ""
    )


def test_names_that_clash(made: Callable[[str], Path], home: Path, tmp_path: Path) -> None:
    """A fixed bundle takes no other name, a free one not that of the fixed, several models not one name."""
    assert "one decoder only" in refused("outetts", made("outetts") / "dac.pth", home, Wish(name="x"))
    assert "is a decoder here" in refused("outetts", made("outetts") / "oute.gguf", home, Wish(name="dac"))
    assert "give one file" in refused("outetts", made("outetts") / "speakers", home, Wish(name="x"))
    assert "give one file" in refused("outetts", made("outetts") / "speakers", home, Wish(sha256="0" * 64))


def test_an_engine_without_files_says_what_it_needs(home: Path, tmp_path: Path) -> None:
    """A service, and an engine with everything built in."""
    assert "SYNCHRONY_SPEECH_URL" in refused("openai_speech", make_clip(tmp_path / "x.wav"), home)
    assert "keeps no files" in refused("tone", tmp_path, home)


# --- fetching by name ---


def test_names_and_licences(home: Path) -> None:
    """An unknown name says which are known; a licence is accepted by flag or not at all."""
    for engine, word in (("snac_llamacpp", "orpheus-3b-q4"), ("piper", "other names"), ("espeak", "nothing by name")):
        with pytest.raises(Refusal, match=word):
            shelf.fetch(engine, "nobody", Wish())
    with pytest.raises(Refusal, match=r"non-commercial.*--accept-licence"):
        shelf.fetch("xtts", "xtts_v2", Wish())
    with pytest.raises(Refusal, match="keeps it"):
        shelf.fetch("piper", "en_GB-alan-medium", Wish(name="alan"))
    assert not home.exists()


@pytest.mark.parametrize(("engine", "name"), [("piper", "de_DE-nobody-low"), ("snac_llamacpp", "orpheus-3b-q4")])
def test_without_network_it_says_so_in_a_sentence(engine: str, name: str, home: Path) -> None:
    """The engine's own downloader in a process that cannot reach anything: no traceback, nothing left."""
    needed("piper", "huggingface_hub")
    code = (
        "import sys\nfrom adapters import sandbox\nsandbox.enter()\n"
        "from peer.__main__ import main\nsys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "voices", "add", engine, name, "--models", str(home)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "http_proxy": "", "https_proxy": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"{name} could not be fetched" in done.stderr and "copy its files here" in done.stderr
    assert left(home) == []


class Hub(BaseHTTPRequestHandler):
    """As much of the model hub as its library asks of it: the head of a file with its digest, and the file."""

    root: Path
    asked: list[str]
    damage = b""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        type(self).asked.append(self.path)
        path = self.root / self.path.split("/resolve/main/")[-1]
        data = path.read_bytes() if path.is_file() else b""
        self.send_response(200 if path.is_file() else 404)
        if not path.is_file():
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("ETag", f'"{sha256(data + self.damage).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    needed("huggingface_hub")
    served = type("Served", (Hub,), {"root": tmp_path / "hub", "asked": []})
    served.root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), served)
    thread = Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_hub_library_fetches_what_is_offered(
    hub: type[Hub], made: Callable[[str], Path], home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One command for the model and its decoder, from a hub on loopback; checked and recorded as any other."""
    offer = shelf_rows.of("snac_llamacpp").offers[0]
    shutil.copy(made("snac_llamacpp") / "tiny.gguf", hub.root / offer.origins[0].files[0])
    for file in offer.origins[1].files:
        shutil.copy(made("snac_llamacpp") / "snac" / file, hub.root)
    added = shelf.fetch("snac_llamacpp", offer.name, Wish())
    assert [model.state for model in added] == [State.RECORDED] * 2
    assert {model.record["licence"] for model in added} == {offer.licence}
    assert any(offer.origins[0].repo in path for path in hub.asked)
    assert not [path for path in left(home) if "cache" in path or shelf_folder.INCOMING in path]
    with pytest.raises(Refusal, match="--replace"):
        shelf.fetch("snac_llamacpp", offer.name, Wish())


def test_what_the_hub_does_not_have_is_said(hub: type[Hub], home: Path) -> None:
    """A file that is not there: one sentence, nothing left."""
    with pytest.raises(Refusal, match=r"could not be fetched .*(404|not found|Not Found)"):
        shelf.fetch("outetts", "outetts-1.0-0.6b-q4", Wish())
    assert left(home) == []


def test_the_hubs_wrong_file_is_refused(hub: type[Hub], home: Path) -> None:
    """HTML in place of a model is found out before it lies where the engine looks."""
    for origin in shelf_rows.of("snac_llamacpp").offers[0].origins:
        for file in origin.files:
            (hub.root / file).write_text("<html></html>")
    with pytest.raises(Refusal, match="does not begin as a GGUF"):
        shelf.fetch("snac_llamacpp", "orpheus-3b-q4", Wish())
    assert left(home) == []


def test_what_arrives_is_what_the_hub_announced(hub: type[Hub], made: Callable[[str], Path], home: Path) -> None:
    """The hub names the sha256 of a file: another is refused, whatever the file looks like."""
    shutil.copy(made("snac_llamacpp") / "tiny.gguf", hub.root / "orpheus-3b-0.1-ft-q4_k_m.gguf")
    hub.damage = b"x"
    with pytest.raises(Refusal, match="the hub announced"):
        shelf.fetch("snac_llamacpp", "orpheus-3b-q4", Wish())
    assert left(home) == []


# --- data and commands ---


def test_the_catalogue_is_about_engines_that_exist() -> None:
    """Names are registered, kinds can be checked, weights come first, places stay inside the folder."""
    assert set(shelf_rows.rows()) <= set(registry.names())
    for row in shelf_rows.rows().values():
        for bundle in row.bundles:
            assert bundle.weights and bundle.parts[0].need
            assert bool(bundle.name) != any(part.named for part in bundle.parts)
            for part in bundle.parts:
                assert part.kind in shelf_check.CHECKS
                assert not Path(part.path).is_absolute() and ".." not in part.path
        for offer in row.offers:
            assert offer.licence and offer.size_mb and (offer.origins or row.downloader)


def test_commands(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """add, list, verify, remove: 0 where it went well, 1 where a file changed, 2 where it was refused."""
    clip = make_clip(tmp_path / "ada.wav")
    folder = ["--models", str(home)]
    assert main(["voices", "add", "xtts", str(clip), *folder]) == 0
    out = capsys.readouterr().out
    assert sha256(clip.read_bytes()).hexdigest() in out
    assert main(["voices", "--json", *folder]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert [model["name"] for model in rows["xtts"]["models"]] == ["ada"]
    assert rows["xtts"]["offers"][0]["command"].endswith("xtts_v2 --accept-licence")
    assert main(["voices", *folder]) == 0
    assert "has        reference clip ada: 44 kB, recorded" in capsys.readouterr().out
    assert main(["voices", "verify", *folder]) == 0
    (home / "xtts" / "voices" / "ada.wav").write_bytes(b"x")
    assert main(["voices", "verify", "coqui", *folder]) == 1
    assert "BAD xtts ada: ada.wav: it is not what was added" in capsys.readouterr().out
    assert main(["voices", "remove", "xtts", "ada", *folder]) == 0
    assert main(["voices", "remove", "xtts", "ada", *folder]) == 2
    assert main(["voices", "add", "xtts", str(tmp_path / "none.wav"), *folder]) == 2
    assert "there is no such file" in capsys.readouterr().err
    assert main(["voices", "add", "nobody", str(clip), *folder]) == 2


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file in the way: refused with the option that helps."""
    (tmp_path / "x").write_text("")
    clip = make_clip(tmp_path / "ada.wav")
    assert main(["voices", "add", "xtts", str(clip), "--models", str(tmp_path / "x" / "y")]) == 2
    assert "--models" in capsys.readouterr().err
