// What happens to a job, as it happens: by the stream of its events, or by looking where that is not to be had.

import { jobPath } from "./api.js";
import { setPulse } from "./views.js";

const ofImages = ["image.drafted", "image.delivered", "image.failed", "image.cancelled", "image.doubted"];
const ofJobs = [
  "job.started", "job.paused", "job.resumed", "job.succeeded", "job.failed", "job.cancelled", "job.retried",
  "job.prioritized", "job.grouped", "job.drafted", "drafts.kept", "drafts.dropped",
];

/**
 * Follows a job from an event's number on while a view is shown. `on` has `image`, called with an index and a kind, `job`,
 * called with a kind, `step`, called with a step, and `look`, called every few seconds while there is no stream.
 */
export function follow(mine, id, after, on) {
  let stream = null;
  let last = after;
  let poll = 0;
  let again = 0;

  function stopPolling() {
    clearInterval(poll);
    poll = 0;
  }

  function startPolling() {
    if (poll || mine.ended) return;
    setPulse("polling");
    poll = setInterval(() => document.hidden || on.look(), 3000);
  }

  function open() {
    if (mine.ended) return;
    stream = new EventSource(`${jobPath(id)}/events?after=${last}`);
    stream.onopen = () => {
      stopPolling();
      setPulse("live");
    };
    stream.onerror = () => {
      startPolling();
      // A browser comes back by itself unless it was refused.
      if (stream.readyState === EventSource.CLOSED && !mine.ended) again = setTimeout(open, 10000);
    };
    const listen = (names, action) => {
      for (const name of names) {
        stream.addEventListener(name, (message) => {
          if (message.lastEventId) last = Number(message.lastEventId);
          action(JSON.parse(message.data), name);
        });
      }
    };
    listen(ofImages, (event, name) => on.image(event.data.index, name, event.data));
    listen(ofJobs, (event, name) => on.job(name));
    listen(["step"], (step) => on.step(step));
  }

  open();
  mine.onEnd.push(() => {
    clearTimeout(again);
    stopPolling();
    stream?.close();
  });
}
