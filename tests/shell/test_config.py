"""The configuration: what is safe to serve with, and that every other value is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from peer.config import Config, load
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
