"""The configuration: what is safe to serve with, and that every other value is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters import registry
from adapters.settings import EngineSettings
from peer.config import Config, engine_table, load
from peer.core.errors import Refusal
from peer.core.messages import Mode


def test_defaults_are_loopback() -> None:
    """Without options: loopback, no token, no STUN, a journal."""
    found = load([], {})
    assert (found.host, found.token, found.ice_servers, found.journal) == ("127.0.0.1", "", (), "journal")
    assert found.loopback


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org"])
def test_beyond_loopback_needs_tls_and_a_token(host: str) -> None:
    """Any other bind is refused without TLS or a proxy, and gets a token of 256 bits."""
    with pytest.raises(Refusal, match="--tls-cert"):
        load(["--host", host], {})
    found = load(["--host", host, "--behind-proxy"], {})
    assert len(found.token) >= 43
    assert found.token != load(["--host", host, "--behind-proxy"], {}).token
    assert load(["--host", host, "--behind-proxy", "--token", "own"], {}).token == "own"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.9", "::1", "localhost"])
def test_loopback_needs_nothing(host: str) -> None:
    """Every loopback address is one."""
    assert load(["--host", host], {}).token == ""


def test_layers(tmp_path: Path) -> None:
    """The command line wins over the environment, that over the file, that over the defaults."""
    file = tmp_path / "peer.toml"
    file.write_text(
        'port = 1\nmode = "steady"\nseed = 3\nice_servers = ["stun:a"]\nbehind_proxy = true\nsessions = 5\n'
    )
    env = {"SYNCHRONY_PORT": "2", "SYNCHRONY_SEED": "4", "SYNCHRONY_ICE_SERVERS": "stun:b,stun:c"}
    found = load(["--config", str(file), "--port", "3"], env)
    assert (found.port, found.seed, found.mode, found.behind_proxy) == (3, 4, Mode.STEADY, True)
    assert found.ice_servers == ("stun:b", "stun:c")
    assert found.limits.sessions == 5
    assert load([], {"SYNCHRONY_SESSIONS": "6"}).limits.sessions == 6
    assert load([], {"SYNCHRONY_DITHER": "off"}).dither is False


@pytest.mark.parametrize(
    ("argv", "env", "field"),
    [
        (["--port", "70000"], {}, "port"),
        ([], {"SYNCHRONY_PORT": "many"}, "port"),
        (["--resume-after", "-1"], {}, "resume-after"),
        (["--resume-after", "nan"], {}, "resume_after_s"),
        (["--sessions", "0"], {}, "sessions"),
        (["--tls-cert", "x"], {}, "tls-cert"),
        (["--tls-cert", "/nowhere", "--tls-key", "/nowhere"], {}, "tls-cert"),
        (["--config", "/nowhere"], {}, "config"),
        ([], {"SYNCHRONY_MODE": "fast"}, "mode"),
        ([], {"SYNCHRONY_DITHER": "perhaps"}, "dither"),
    ],
)
def test_bad_values_are_refused_by_name(argv: list[str], env: dict[str, str], field: str) -> None:
    """A bad value names its option."""
    with pytest.raises(Refusal) as refused:
        load(argv, env)
    assert refused.value.field == field


@pytest.mark.parametrize("text", [b"port = ", b"\xff\xfe", b"colour = 1\n"])
def test_bad_file(tmp_path: Path, text: bytes) -> None:
    """A file that is no TOML, no text, or has an unknown key is refused in a sentence."""
    (tmp_path / "x.toml").write_bytes(text)
    with pytest.raises(Refusal):
        load(["--config", str(tmp_path / "x.toml")], {})


def test_secrets_are_not_shown() -> None:
    """Neither the token nor the TURN credential is in what a log may print."""
    assert "hidden" not in repr(Config(token="hidden", turn_credential="hidden"))


def test_engines_are_described_in_the_file(tmp_path: Path) -> None:
    """Tables [engines.<name>] become rows; an alias is its engine; folders are absolute."""
    file = tmp_path / "peer.toml"
    file.write_text(
        f'models = "{tmp_path / "all"}"\n[engines.piper]\nthreads = 2\ncpus = [0]\n[engines.ouletts]\n'
        'device = "cuda"\nmodels = "elsewhere"\n[engines.openai_speech.options]\nurl = "http://127.0.0.1:1/v1"\n'
    )
    found = load(["--config", str(file)], {})
    assert found.engines["piper"] == EngineSettings(threads=2, cpus=(0,))
    table = engine_table(found)
    assert set(table) == set(registry.names())
    assert table["piper"].models == str(tmp_path / "all" / "piper")
    assert table["outetts"].models == str(Path("elsewhere").absolute())
    assert table["outetts"].device == "cuda"
    assert table["openai_speech"].options == {"url": "http://127.0.0.1:1/v1"}


def test_models_folder_by_layers(tmp_path: Path) -> None:
    """--models wins over SYNCHRONY_MODELS, that over the file; a personas folder likewise."""
    file = tmp_path / "peer.toml"
    file.write_text('models = "a"\npersonas = "p"\n')
    assert load(["--config", str(file)], {}).models == "a"
    assert load(["--config", str(file)], {"SYNCHRONY_MODELS": "b"}).models == "b"
    assert (
        load(["--models", "c", "--personas", "q"], {"SYNCHRONY_MODELS": "b", "SYNCHRONY_CONFIG": str(file)}).models
        == "c"
    )
    assert load([], {"SYNCHRONY_PERSONAS": "q"}).personas == "q"


def test_the_speech_service_by_environment(tmp_path: Path) -> None:
    """The shorthands set options, over those of the file, and leave the others."""
    file = tmp_path / "peer.toml"
    file.write_text('[engines.openai_speech.options]\nurl = "http://a"\nmodel = "m"\n')
    env = {"SYNCHRONY_SPEECH_URL": "http://b", "SYNCHRONY_SPEECH_VOICES": "x,y"}
    found = load(["--config", str(file)], env)
    assert found.engines["openai_speech"].options == {"url": "http://b", "model": "m", "voices": "x,y"}


@pytest.mark.parametrize(
    ("text", "field", "word"),
    [
        ("engines = 1", "engines", "table"),
        ("[engines]\npiper = 1", "engines.piper", "table"),
        ("[engines.nobody]", "engines.nobody", "choose one of"),
        ("[engines.piper]\nthreads = 0", "engines.piper.threads", "whole number"),
        ("[engines.piper]\nspeed = 1", "engines.piper.speed", "known are"),
        ("[engines.piper]\noptions = [1]", "engines.piper.options", "names"),
        ("[engines.outetts]\n[engines.ouletts]", "engines.ouletts", "another of its names"),
        ('[engines.piper]\ninterpreter = "/nowhere/python"', "engines.piper.interpreter", "no program"),
        (
            '[engines.openai_speech.options]\napi_key = "hidden"',
            "engines.openai_speech.options.api_key",
            "OPENAI_API_KEY",
        ),
    ],
)
def test_bad_engine_tables_are_refused_by_name(tmp_path: Path, text: str, field: str, word: str) -> None:
    """The refusal names engine and field, and shows no value."""
    file = tmp_path / "peer.toml"
    file.write_text(text)
    with pytest.raises(Refusal, match=word) as refused:
        load(["--config", str(file)], {})
    assert refused.value.field == field
    assert "hidden" not in str(refused.value)


def test_a_file_is_no_models_folder(tmp_path: Path) -> None:
    """A file in the place of a folder is refused; one that is not there yet is fine."""
    (tmp_path / "x").write_text("")
    with pytest.raises(Refusal, match="folder"):
        load(["--models", str(tmp_path / "x")], {})
    assert load(["--models", str(tmp_path / "y")], {}).models


def test_options_of_services_are_not_shown() -> None:
    """What a log may print of the configuration does not hold what was said about engines."""
    found = load([], {"SYNCHRONY_SPEECH_URL": "http://name:hidden@host"})
    assert "hidden" not in repr(found)
