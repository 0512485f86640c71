"""A video of a store on S3 plays in a browser, and seeking asks for the part that is needed only."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catalogs.store.store import open_store
from tasks.media.ffmpeg_process import ffmpeg_binary
from tests.browser.conftest import Browser
from tests.browser.test_review_queue import PLAYING, Reviewer, serving
from tests.catalogs.conftest import record
from tests.flows.review.conftest import review_of
from tests.flows.review.stores import film
from tests.s3 import BUCKET, s3, s3_endpoint

__all__ = ["s3", "s3_endpoint"]

SECONDS = 60
VIDEO = "document.querySelector('#result video')"


@pytest.mark.slow
@pytest.mark.usefixtures("s3")
def test_a_video_on_s3(browser: Browser, tmp_path: Path) -> None:
    store, row = open_store(f"s3://{BUCKET}/review-video"), film(0, frames=SECONDS * 25)
    record(store, "r1", [row])
    size = _write_video(tmp_path / "full.mp4")
    store.put(tmp_path / "full.mp4", f"renders/{row['render_key']}/full.mp4")
    answers: list[tuple[int, str]] = []

    def watched(app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            async def watch(message: Message) -> None:
                if message["type"] == "http.response.start" and scope["path"].endswith("full.mp4"):
                    headers = {name.decode().lower(): value.decode() for name, value in message["headers"]}
                    answers.append((message["status"], headers.get("content-range", "")))
                await send(message)

            await app(scope, receive, watch)

        return answer

    with serving(review_of(store), watched) as address:
        reviewer = Reviewer(browser, address)
        reviewer.wait(PLAYING)
        before = browser.execute_script(f"return {VIDEO}.currentTime")
        reviewer.until(lambda: browser.execute_script(f"return {VIDEO}.currentTime") > before + 0.5)
        early = _spans(answers)
        browser.execute_script(f"{VIDEO}.currentTime = {SECONDS - 8}")
        reviewer.wait(f"return !{VIDEO}.seeking && {VIDEO}.currentTime > {SECONDS - 7.5} && !{VIDEO}.error")
        # The store has no pictures of the inputs.
        assert [message for message in browser.console_messages() if "thumbnail.jpg" not in message] == []
    assert {status for status, _ in answers} == {206}
    late = _spans(answers)[len(early) :]
    print(f"{size} bytes; ranges before the seek {early}, after it {late}")
    assert any(start > size * 0.6 for start, _ in late), "the end is asked for"


def _spans(answers: list[tuple[int, str]]) -> list[tuple[int, int]]:
    """Return the bytes [start, stop) that were sent."""
    found = [re.fullmatch(r"bytes (\d+)-(\d+)/\d+", span) for _, span in answers]
    return [(int(match[1]), int(match[2]) + 1) for match in found if match]


def _write_video(path: Path) -> int:
    """Write a video that is much larger than what browsers read ahead, and return its size in bytes."""
    noise = f"testsrc2=size=640x480:rate=25:duration={SECONDS},noise=alls=40:allf=t"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-b:v", "10M", "-pix_fmt", "yuv420p"]
    command = [ffmpeg_binary(), "-v", "error", "-f", "lavfi", "-i", noise, *coding, "-movflags", "+faststart", path]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return path.stat().st_size
