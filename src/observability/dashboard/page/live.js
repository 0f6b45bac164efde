// Frames from the server, once a second.

import { element } from './model.js';

/** Without a frame for so long, what is shown is old. */
const STALE_MS = 4000;

/**
 * @param {{ init: (frames: import('./model.js').Frame[]) => void, frame: (frame: import('./model.js').Frame) => void,
 *   alerts: (active: import('./model.js').ActiveAlert[] | null) => void }} to
 */
export function startLive(to) {
  const connection = element('connection');
  const text = element('connection-text');
  const say = (/** @type {string} */ state, /** @type {string} */ words) => {
    connection.dataset['state'] = state;
    if (text.textContent !== words) text.textContent = words;
  };
  let seen = performance.now();
  const source = new EventSource('dashboard/stream');
  const heard = () => {
    seen = performance.now();
    say('live', 'live');
  };
  source.addEventListener('init', (event) => {
    to.init(JSON.parse(event.data));
    heard();
  });
  source.addEventListener('frame', (event) => {
    to.frame(JSON.parse(event.data));
    heard();
  });
  source.addEventListener('alerts', (event) => to.alerts(JSON.parse(event.data)));
  source.addEventListener('error', () => {
    // A refusal (too many pages are open) is not tried again by the browser itself.
    if (source.readyState === EventSource.CLOSED)
      say('lost', 'refused: too many dashboards are open, or the server goes down');
    else say('lost', 'no connection, trying again');
  });
  setInterval(() => {
    if (performance.now() - seen > STALE_MS && connection.dataset['state'] === 'live')
      say('lost', 'no news from the server');
  }, 1000);
}
