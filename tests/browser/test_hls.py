"""An HLS package in a browser: switching languages changes what is heard, and subtitles are shown."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.support.ui import WebDriverWait

from tasks.media.languages import language_name
from tasks.media.packages import PackageTrack, write_package
from tasks.media.provenance import VideoMetadata
from tests.browser.conftest import Browser
from tests.films import TONES, write_film, write_picture

pytestmark = pytest.mark.long

HLS = Path(__file__).parents[2] / "build/hls/node_modules/hls.js/dist/hls.min.js"
"""Installed by `.ci/run`."""
PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><video id="video"></video>
<script src="hls.min.js"></script><script>
const video = document.getElementById("video"), errors = [];
const hls = new Hls();
hls.on(Hls.Events.ERROR, (_, error) => errors.push(`${error.details} ${error.fatal}`));
hls.loadSource("package/master.m3u8");
hls.attachMedia(video);
const audio = new AudioContext(), analyser = audio.createAnalyser();
analyser.fftSize = 8192;
audio.createMediaElementSource(video).connect(analyser);
analyser.connect(audio.destination);
// The strongest frequency that is heard now, hertz; 0 for silence.
function pitch() {
  const bins = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(bins);
  const loudest = bins.reduce((best, level, n) => level > bins[best] ? n : best, 0);
  return bins[loudest] > -60 ? loudest * audio.sampleRate / analyser.fftSize : 0;
}
function shown() {
  const tracks = [...video.textTracks].filter(track => track.mode === "showing");
  return tracks.flatMap(track => [...track.activeCues || []].map(cue => cue.text));
}
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a package of three languages, 30 s long, and a page that plays it; yield the page's URL."""
    folder = tmp_path_factory.mktemp("hls")
    picture = write_picture(folder / "picture.mp4", 750, keyframes=50)
    tracks = []
    for tag, pitch in TONES.items():
        texts = folder / f"{tag}.vtt"
        texts.write_text(f"WEBVTT\n\n00:00:00.000 --> 00:00:29.900\n<i>Spoken</i> in {tag}\n")
        film = write_film(folder / f"{tag}.mp4", picture, pitch)
        tracks.append(PackageTrack(film, tag, language_name(tag), tag == "fr", texts))
    package = write_package("hls", folder, tracks, VideoMetadata("r1", "welcome"))
    for name, path in package.files.items():
        place = folder / "site/package" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)
    (folder / "site/index.html").write_text(PAGE)
    (folder / "site/hls.min.js").write_bytes(HLS.read_bytes())

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None: ...

    served = functools.partial(Quiet, directory=str(folder / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), served) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()


def wait(browser: Browser, condition: str) -> None:
    WebDriverWait(browser, 20, 0.05).until(lambda _: browser.execute_script(f"return {condition}"))


@pytest.mark.skipif(not HLS.exists(), reason="hls.js not found: npm install --prefix build/hls hls.js")
def test_languages_and_subtitles_in_a_browser(browser: Browser, page: str) -> None:
    browser.set_screen()
    browser.get(page)
    wait(browser, "hls.audioTracks.length === 3 && hls.subtitleTracks.length === 3")
    tracks = browser.execute_script("return hls.audioTracks.map(track => [track.name, track.lang, track.default])")
    assert tracks == [
        ["English", "en", False],
        ["French", "fr", True],
        ["Portuguese (Brazil)", "pt-BR", False],
    ]
    browser.execute_async_script(
        "const done = arguments[0]; audio.resume().then(() => video.play()).then(() => done())"
    )
    wait(browser, "video.currentTime > 0.3")
    # Without a choice, the default language is heard, and no subtitles are shown.
    wait(browser, f"Math.abs(pitch() - {TONES['fr']}) < 20")
    assert browser.execute_script("return shown()") == []
    for number, (tag, pitch) in enumerate(TONES.items()):
        browser.execute_script(f"hls.audioTrack = {number}; hls.subtitleTrack = {number}; hls.subtitleDisplay = true")
        wait(browser, f"Math.abs(pitch() - {pitch}) < 20")
        wait(browser, f"shown().length === 1 && shown()[0] === '<i>Spoken</i> in {tag}'")
    wait(browser, "video.currentTime > 2")
    state = browser.execute_script("return [video.videoWidth, video.error, video.duration, errors]")
    assert state[:2] == [64, None]
    assert state[2] == pytest.approx(30, abs=0.1)
    assert state[3] == []
    # The segments follow each other without a gap.
    browser.execute_script("video.currentTime = 28")
    wait(browser, "video.ended")
    assert browser.execute_script("return [video.buffered.length, video.buffered.start(0)]") == [1, 0]
    assert browser.console_messages() == []
