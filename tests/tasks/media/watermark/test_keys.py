"""The watermark key: where it comes from, and that it stays there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.media.watermark.keys import KEY, KEY_FILE, PUBLIC_KEY, WatermarkKey, load_key
from troupe.errors import SettingsError

SECRET = "a secret that is long enough"


def test_the_key_comes_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.delenv(KEY_FILE, raising=False)
    assert load_key() is PUBLIC_KEY
    monkeypatch.setenv(KEY, SECRET)
    key = load_key()
    assert key == WatermarkKey.of(SECRET.encode())
    assert SECRET not in repr(key)
    assert len(key.id) == 8
    (tmp_path / "key").write_text(SECRET + "\n")
    monkeypatch.setenv(KEY_FILE, str(tmp_path / "key"))
    with pytest.raises(SettingsError, match="both set"):
        load_key()
    monkeypatch.delenv(KEY)
    assert load_key() == key
    monkeypatch.setenv(KEY_FILE, str(tmp_path / "nothing"))
    with pytest.raises(SettingsError, match=r"cannot read .*nothing: No such file"):
        load_key()
    (tmp_path / "nothing").write_text("short")
    with pytest.raises(SettingsError, match="has 5 bytes; use 16"):
        load_key()
