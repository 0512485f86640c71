"""SRT and WebVTT files as they are found are read, and broken ones are refused with line and reason."""

# ruff: noqa: RUF001  (letters of many languages)
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.media.subtitles import Cue, Subtitles, read_subtitles, write_srt, write_vtt
from troupe.errors import InputError, MissingInput, TooLarge

FIRST, SECOND = Cue(1000, 2500, "Good morning."), Cue(61_000, 62_000, "Two\nlines")
SRT = "1\n00:00:01,000 --> 00:00:02,500\nGood morning.\n\n2\n00:01:01,000 --> 00:01:02,000\nTwo\nlines\n"
VTT = "WEBVTT\n\n00:01.000 --> 00:02.500\nGood morning.\n\n00:01:01.000 --> 00:01:02.000\nTwo\nlines\n"


def read(folder: Path, text: str | bytes, name: str = "a.srt", language: str = "") -> tuple[Subtitles, list[str]]:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_subtitles(path, language)


@pytest.mark.parametrize(
    "text",
    [
        SRT,
        SRT.replace("\n", "\r\n"),
        SRT.replace("\n", "\r"),
        "\ufeff" + SRT,
        "\n\n" + SRT.rstrip(),
        SRT.replace(",", "."),
        SRT.replace("1\n00:00", "00:00").replace("2\n00:01", "00:01"),
        SRT.replace("\n\n2", "\n2"),
        SRT.replace("1\n00:00", "7\n00:00"),
        SRT.replace("Two\nlines", "Two\n\nlines"),
        SRT.replace("00:00:01,000 --> 00:00:02,500", "0:00:01,000  -->0:00:02,500 "),
        "2\n00:01:01,000 --> 00:01:02,000\nTwo\nlines\n\n1\n00:00:01,000 --> 00:00:02,500\nGood morning.\n",
        SRT + "\n3\n00:02:00,000 --> 00:02:01,000\n\n",
        VTT,
        VTT.replace("\n", "\r\n"),
        VTT.replace("WEBVTT", "\ufeffWEBVTT - Kind: captions"),
        VTT.replace("00:01.000", "welcome\n00:01.000"),
        VTT.replace("\n00:01.000", "\nNOTE\nby Ada\n\n00:01.000"),
    ],
)
def test_variants_of_the_formats(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == (Subtitles((FIRST, SECOND)), [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no subtitle in it"),
        ("WEBVTT\n", "there is no subtitle in it"),
        ("12\n13\n", "there is no subtitle in it"),
        ("[Script Info]\nTitle: x\n", r"line 1: text before the first time line, '\[Script Info\]'"),
        (SRT.replace("00:00:02,500", "00:00:02,5"), "line 2: '00:00:01,000 --> 00:00:02,5' is not of the form 00:00"),
        (SRT.replace("-->", "->", 1), "line 2: '00:00:01,000 -> 00:00:02,500' is not of the form"),
        (SRT.replace("00:00:02,500", "", 1), "line 2: '00:00:01,000 --> ' is not of the form"),
        (SRT.replace("00:01:02,000", "00:01:62,000"), "line 6: .* is not of the form"),
        (SRT.replace("00:01:02,000", "00:01:00,000"), "line 6: .* does not end after its start"),
        ("Hello\n" + SRT, "line 1: text before the first time line, 'Hello'"),
        (SRT.replace("-->", "to"), "line 2: .*; line 6: "),
        ("00:00:01,000 --> 00:00:02,000\nWord\n" * 21, "21 are shown at the same time; the limit is 20"),
        (VTT.replace("00:02.500", "00:00.500"), "line 3: .* does not end after its start"),
        (VTT.replace("00:02.500", "later"), "line 3: .* is not of the form"),
        (VTT.replace("Two\nlines", "Two\n\nlines"), "line 9: text without a time line, 'lines'; in WebVTT a blank"),
        (VTT.replace("\nGood", "\n\nGood"), "line 5: text without a time line, 'Good morning.'"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(InputError, match=rf"subtitles a\.srt cannot be used: {problem}"):
        read(tmp_path, text)


def test_problems_are_reported_together_and_counted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1: .*; line 3: .*; line 9: .*; and 3 more$") as caught:
        read(tmp_path, "00:00:01,000 --> soon\nWord\n" * 8)
    assert str(caught.value).count("; line") == 4


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match="cannot be read"):
        read_subtitles(tmp_path / "none.srt")
    with pytest.raises(TooLarge, match="2000001 bytes"):
        read(tmp_path, b" " * 2_000_001)
    with pytest.raises(InputError, match="line 1: a WebVTT file starts with WEBVTT"):
        read(tmp_path, VTT.removeprefix("WEBVTT"), "a.vtt")
    with pytest.raises(InputError, match="damaged"):
        read(tmp_path, b"\xff\xfe" + SRT.encode("utf-16-le") + b"\x00\xd8\x41\x00")
    for size in (5120, 5121):
        with pytest.raises(InputError, match="is not a text; name a file of subtitles, SRT or WebVTT"):
            read(tmp_path, (b"RIFF" + bytes(range(256)) * 21)[:size])


def test_text_of_srt_is_text(tmp_path: Path) -> None:
    text = SRT.replace("Good morning.", '{\\an8}<I>Me</I> & <font color="red">you</font> <3 -> {laughs} <v Ada>')
    subtitles, notes = read(tmp_path, text)
    assert subtitles.cues[0].text == ('<i>Me</i> &amp; <font color="red">you</font> &lt;3 -&gt; {laughs} &lt;v Ada&gt;')
    assert notes == ["subtitles: positions and effects in SRT were left out"]


def test_positions_and_styles_of_webvtt_are_kept(tmp_path: Path) -> None:
    text = (
        "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:900000\n\nSTYLE\n::cue(.loud) {\n  color: red;\n}\n\n"
        "REGION\nid:top\nwidth:40%\n\n"
        "00:01.000 --> 00:02.500 region:top align:start\n<v Ada><c.loud>Hey</c> &amp; <00:00:02.000>hello\n"
    )
    subtitles, notes = read(tmp_path, text)
    assert subtitles.cues == (
        Cue(1000, 2500, "<v Ada><c.loud>Hey</c> &amp; <00:00:02.000>hello", "region:top align:start"),
    )
    assert (subtitles.styles, subtitles.regions) == (("::cue(.loud) {\n  color: red;\n}",), ("id:top width:40%",))
    assert ["X-TIMESTAMP-MAP" in note for note in notes] == [True]
    write_vtt(subtitles, tmp_path / "b.vtt")
    assert read_subtitles(tmp_path / "b.vtt") == (subtitles, [])
    write_srt(subtitles, tmp_path / "b.srt")
    assert '<font color="red">Hey</font> & hello' in (tmp_path / "b.srt").read_text()


@pytest.mark.parametrize(
    ("language", "encoding", "text"),
    [
        ("fr", "cp1252", "Voilà l'été où ça se gâte."),
        ("pt-BR", "cp1252", "Não há razão, coração."),
        ("pl", "cp1250", "Zażółć gęślą jaźń."),
        ("ru", "cp1251", "Здравствуйте, друзья!"),
        ("el", "cp1253", "Καλημέρα σας."),
        ("tr", "cp1254", "Günaydın, nasılsınız?"),
        ("he", "cp1255", "שלום לכולם"),
        ("ar", "cp1256", "مرحبا بكم"),
        ("lt", "cp1257", "Ačiū, gražu."),
        ("th", "cp874", "สวัสดีครับ"),
        ("ja", "cp932", "こんにちは。"),
        ("ko", "cp949", "안녕하세요"),
        ("zh-Hans", "gb18030", "大家好，今天天气很好，我们出去走走吧。"),
        ("zh-TW", "big5", "大家好，今天天氣很好，我們出去走走吧。"),
        ("sr-Cyrl", "cp1251", "Добар дан, како сте? Хвала лепо."),
        ("de", "utf-8-sig", "Schöne Grüße"),
        ("", "utf-16", "Schöne Grüße"),
        ("", "utf-16-le", "Schöne Grüße"),
        ("", "utf-16-be", "Привет"),
        ("", "utf-32", "Schöne Grüße"),
    ],
)
def test_encodings(tmp_path: Path, language: str, encoding: str, text: str) -> None:
    subtitles, notes = read(tmp_path, SRT.replace("Good morning.", text).encode(encoding), language=language)
    assert subtitles.cues[0].text == text
    assert [("was read as" in note) for note in notes] == [True] * (not encoding.startswith("utf"))


def test_an_encoding_without_a_language_is_a_guess(tmp_path: Path) -> None:
    text = SRT.replace("Good morning.", "Здравствуйте, дорогие друзья! Как дела?")
    subtitles, notes = read(tmp_path, text.encode("cp1251"))
    assert subtitles.cues[0].text.startswith("Здравствуйте")
    assert notes == [
        "subtitles: a.srt is not in UTF-8; it was read as windows-1251, a guess by its letters; "
        "save it as UTF-8 if they are wrong"
    ]


def is_plain(word: str) -> bool:
    return bool(word) and "-->" not in word and "{\\" not in word and not word.isdecimal()


WORDS = st.text(st.sampled_from("ac é皆0123:,.&<>{}/\\'\"-;#"), min_size=1, max_size=12).map(str.strip)
LINES = st.lists(WORDS.filter(is_plain), min_size=1, max_size=3)
TIMES = st.tuples(st.integers(0, 5_000_000), st.integers(1, 10_000))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(TIMES, LINES), min_size=1, max_size=4))
def test_what_is_written_is_read_again(tmp_path: Path, cues: list[tuple[tuple[int, int], list[str]]]) -> None:
    def escaped(line: str) -> str:
        return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

    subtitles = Subtitles(()).with_cues(
        Cue(start, start + length, "\n".join(escaped(line) for line in lines)) for (start, length), lines in cues
    )
    for name, write in (("a.srt", write_srt), ("a.vtt", write_vtt)):
        write(subtitles, tmp_path / name)
        assert read_subtitles(tmp_path / name)[0] == subtitles
