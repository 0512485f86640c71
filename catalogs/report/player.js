"use strict";
// Another film of the same picture continues at the same time, and stays paused if it was.
function continueWith(video, url) {
  if (video.src === url) return;
  const { currentTime, paused, playbackRate } = video;
  const resume = () => {
    video.currentTime = Math.min(currentTime, video.duration);
    video.playbackRate = playbackRate;
  };
  video.addEventListener("loadedmetadata", resume, { once: true });
  video.src = url;
  if (!paused) playIfAllowed(video);
}

function playIfAllowed(video) {
  video.play().catch(() => {}); // autoplay may be blocked; the controls remain
}
