// The player page: plays a stream with hls.js and shows what is happening.
//
// streams.json, beside this page, says what there is: {"note": why hls.js is
// missing, or "", "streams": [{"id", "url"}]}. Each url is a multivariant playlist,
// or an entry URL of the control plane that sends to one.

import { Pass } from './pass.js';
import { Stalls } from './stalls.js';

// How often the panel is brought up to date, how often the edge is asked, and how
// long to wait before a stream that failed is opened again. Milliseconds.
const panelInterval = 250;
const edgeInterval = 5000;
const retryDelay = 3000;

// More errors than this are forgotten, oldest first.
const maxErrors = 200;

const hlsConfig = {
  lowLatencyMode: false,
  // Three target durations behind the end: what the edge's window is made for.
  liveSyncDurationCount: 3,
  // A playlist that stands still is an error, so that another rendition is tried.
  liveMaxUnchangedPlaylistRefresh: 3,
  backBufferLength: 30,
};

const byID = (id) => document.getElementById(id);
const video = byID('video');
const stalls = new Stalls(video);

let streams = [];
let chosen = null; // the entry of streams that plays
let pass = null; // what lets it be watched
let opened = 0; // counts openings, so that one that was overtaken is dropped
let hls = null; // its player; null where the browser plays HLS itself
let fragment = null; // the segment being played
let errors = []; // {time: Date, type, details, fatal}
let fatalErrors = 0;
let edgeState = 'asking…';
let retryTimer = 0;
let pollTimer = 0;

// ---- playing ----

function choose(stream) {
  chosen = stream;
  errors = [];
  fatalErrors = 0;
  stalls.reset();
  open();
}

// Opens the chosen stream from its start: after a choice, or after all else failed.
async function open() {
  const turn = ++opened;
  clearTimeout(retryTimer);
  clearTimeout(pollTimer);
  hls?.destroy();
  hls = null;
  pass?.end();
  pass = new Pass(chosen.url);
  fragment = null;
  showChoice('streams', streams.map((s) => s.id), streams.indexOf(chosen), (i) => choose(streams[i]));
  showChoice('levels', [], -1);
  let playlist;
  try {
    playlist = await pass.get();
  } catch (error) {
    if (turn !== opened) return;
    note('entryError', withoutURLs(error.message), true);
    reopen();
    return;
  }
  if (turn !== opened) return;
  if (window.Hls?.isSupported()) {
    openWithHls(playlist);
  } else {
    video.src = playlist;
    play();
  }
}

function openWithHls(playlist) {
  const { Events } = window.Hls;
  const held = pass;
  hls = new window.Hls({ ...hlsConfig, xhrSetup: (xhr, url) => xhr.open('GET', held.renewed(url), true) });
  hls.on(Events.MANIFEST_PARSED, () => { showLevels(); play(); });
  hls.on(Events.LEVEL_SWITCHED, showLevels);
  hls.on(Events.LEVELS_UPDATED, showLevels);
  hls.on(Events.FRAG_CHANGED, (_, { frag }) => { fragment = frag; });
  hls.on(Events.LEVEL_LOADING, () => clearTimeout(pollTimer));
  hls.on(Events.ERROR, (_, error) => onHlsError(error));
  hls.loadSource(playlist);
  hls.attachMedia(video);
}

// The video is muted, so browsers allow this; a refusal leaves the play button.
function play() {
  video.play().catch(() => {});
}

function onHlsError({ type, details, fatal, response, error }) {
  const status = response?.code ? `HTTP ${response.code}` : '';
  note(type, [details, status, status ? '' : withoutURLs(error?.message)].filter(Boolean).join(', '), fatal);
  if (fatal) recover(type);
  else if (details === window.Hls.ErrorDetails.PLAYLIST_UNCHANGED_ERROR) pollSoon();
}

// Where hls.js has no other rendition to go to, it stops asking for a playlist that
// stood still. Ask on at the pace of RFC 8216bis §6.3.4: half a target duration.
function pollSoon() {
  clearTimeout(pollTimer);
  pollTimer = setTimeout(() => hls.startLoad(), (hls.latestLevelDetails?.targetduration ?? 4) * 500);
}

function recover(type) {
  if (type === window.Hls.ErrorTypes.MEDIA_ERROR && fatalErrors === 1) hls.recoverMediaError();
  else reopen();
}

// Opens the stream again in a while. The list is read anew: an edge that was
// started again has handed out new tokens.
function reopen() {
  clearTimeout(retryTimer);
  retryTimer = setTimeout(async () => {
    const id = chosen.id;
    await readStreams().catch(() => {});
    chosen = streams.find((s) => s.id === id) ?? chosen;
    open();
  }, retryDelay);
}

video.addEventListener('error', () => {
  if (hls || !video.error) return;
  note('mediaError', withoutURLs(video.error.message) || `code ${video.error.code}`, true);
  reopen();
});

function note(type, details, fatal) {
  errors.push({ time: new Date(), type, details, fatal });
  errors.splice(0, errors.length - maxErrors);
  if (fatal) fatalErrors++;
}

// Addresses hold tokens, which belong into no report.
function withoutURLs(text) {
  return (text ?? '').replace(/\S*:\/\/\S*|\/(live|play)\/\S*/g, '…');
}

// ---- measuring ----

function bufferAhead() {
  const { buffered, currentTime } = video;
  for (let i = 0; i < buffered.length; i++) {
    if (buffered.start(i) <= currentTime && currentTime <= buffered.end(i)) return buffered.end(i) - currentTime;
  }
  return 0;
}

// How old the picture is, by the PROGRAM-DATE-TIME of its segment. Seconds; null
// while it is unknown.
function latency() {
  const started = video.getStartDate?.().getTime(); // native players only
  const date = hls ? hls.playingDate?.getTime() : started + video.currentTime * 1000;
  return Number.isFinite(date) ? (Date.now() - date) / 1000 : null;
}

// A rendition's name is the folder of its media playlist.
function levelOf({ url, height, bitrate }) {
  return { name: url[0].split('/').at(-2), height, bitrate };
}

function stats() {
  const details = hls?.latestLevelDetails;
  return {
    stream: chosen?.id ?? null,
    level: hls?.currentLevel ?? -1,
    auto: hls?.autoLevelEnabled ?? true,
    levels: (hls?.levels ?? []).map(levelOf),
    height: video.videoHeight,
    buffer: bufferAhead(),
    latency: latency(),
    msn: fragment?.sn ?? null,
    playlist: details ? { first: details.startSN, last: details.endSN, targetDuration: details.targetduration } : null,
    bandwidth: hls?.bandwidthEstimate ?? null,
    stalls: stalls.events.length,
    stallEvents: stalls.events,
    errors,
    fatalErrors,
    currentTime: video.currentTime,
    droppedFrames: video.getVideoPlaybackQuality?.().droppedVideoFrames ?? 0,
    playing: !video.paused && video.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA && !stalls.lasting,
    edge: edgeState,
    renewals: pass?.renewals ?? 0,
  };
}

async function askEdge() {
  try {
    const answer = await fetch('/-/ready', { cache: 'no-store' });
    const reason = answer.ok ? '' : (await answer.text()).trim();
    edgeState = answer.ok ? 'ready' : `not ready (${reason || answer.status})`;
  } catch {
    edgeState = 'does not answer';
  }
  byID('edge').textContent = edgeState;
  byID('edge').className = `state ${edgeState === 'ready' ? 'good' : 'bad'}`;
}

// ---- showing ----

function element(name, text = '', attributes = {}) {
  const e = document.createElement(name);
  e.textContent = text;
  for (const [key, value] of Object.entries(attributes)) e.setAttribute(key, value);
  return e;
}

// Shows a row of buttons, of which one is pressed.
function showChoice(id, labels, pressed, onChoose) {
  byID(id).replaceChildren(...labels.map((label, i) => {
    const button = element('button', label, { type: 'button', 'aria-pressed': String(i === pressed) });
    button.addEventListener('click', () => onChoose(i));
    return button;
  }));
}

function showLevels() {
  const names = hls.levels.map(levelOf).map(describeLevel);
  showChoice('levels', ['auto', ...names], hls.manualLevel + 1, (i) => {
    hls.nextLevel = i - 1;
    showLevels();
  });
}

function describeLevel({ name, height, bitrate }) {
  const size = height && name !== `${height}p` ? ` ${height}p` : '';
  return `${name}${size}, ${bitRate(bitrate)}`;
}

const bitRate = (b) => (b >= 1e6 ? `${(b / 1e6).toFixed(1)} Mbit/s` : `${Math.round(b / 1e3)} kbit/s`);
const seconds = (s) => (s === null ? '–' : `${s.toFixed(1)} s`);
const clock = (date) => date.toLocaleTimeString([], { hour12: false });

function playbackState(s) {
  if (stalls.lasting) return 'stalled';
  if (s.playing) return 'playing';
  return video.paused && video.readyState > 0 ? 'paused' : 'waiting for the stream';
}

function showPanel(s) {
  const level = s.levels[s.level];
  const rows = {
    'State': playbackState(s),
    'Rendition': level ? describeLevel(level) + (s.auto ? ' (auto)' : '') : s.height ? `${s.height}p` : '–',
    'Buffer': seconds(s.buffer),
    'Latency': seconds(s.latency),
    'Segment': s.msn ?? '–',
    'Playlist': s.playlist ? `${s.playlist.first} to ${s.playlist.last}` : '–',
    'Target duration': s.playlist ? `${s.playlist.targetDuration} s` : '–',
    'Bandwidth': s.bandwidth ? bitRate(s.bandwidth) : '–',
    'Stalls': s.stalls,
    'Dropped frames': s.droppedFrames,
    'Errors': `${s.errors.length}, ${s.fatalErrors} fatal`,
  };
  const panel = byID('panel');
  // The rows are the same each time: only their values are replaced.
  if (!panel.children.length) {
    panel.append(...Object.keys(rows).flatMap((label) => [element('dt', label), element('dd')]));
  }
  Object.values(rows).forEach((value, i) => { panel.children[2 * i + 1].textContent = value; });
}

function showEvents(s) {
  const events = [
    ...s.errors.map((e) => [e.time, e.type, e.details, e.fatal ? 'yes' : 'no']),
    ...s.stallEvents.map((e) => [e.at, 'stall', e.seconds === null ? 'lasting' : seconds(e.seconds), 'no']),
  ].sort((a, b) => b[0] - a[0]);
  byID('calm').hidden = events.length > 0;
  byID('errors').hidden = events.length === 0;
  byID('errors').tBodies[0].replaceChildren(...events.map(([at, ...cells]) => {
    const row = element('tr');
    row.append(...[clock(at), ...cells].map((text) => element('td', text)));
    return row;
  }));
}

function showAddresses() {
  byID('addresses').replaceChildren(...streams.map(({ id, url }) => {
    const input = element('input', '', { id: `url-${id}`, readonly: '', value: url });
    input.addEventListener('focus', () => input.select());
    const copy = element('button', 'Copy', { type: 'button', 'aria-label': `Copy the address of ${id}` });
    copy.addEventListener('click', async () => {
      await navigator.clipboard.writeText(url);
      copy.textContent = 'Copied';
      setTimeout(() => { copy.textContent = 'Copy'; }, 1500);
    });
    const item = element('li');
    item.append(element('label', id, { for: `url-${id}` }), input, copy);
    return item;
  }));
}

function showNote(text) {
  byID('note').textContent = text;
  byID('note').hidden = !text;
}

// ---- running ----

async function readStreams() {
  const answer = await fetch('streams.json', { cache: 'no-store' });
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  const list = await answer.json();
  streams = list.streams.map(({ id, url }) => ({ id, url: new URL(url, location.href).href }));
  showAddresses();
  return list;
}

function playsAnything() {
  return window.Hls?.isSupported() || video.canPlayType('application/vnd.apple.mpegurl') !== '';
}

async function start() {
  const { note: reason } = await readStreams();
  if (!window.Hls) {
    const rest = playsAnything() ? 'This browser plays the streams by itself, with less to show.' : 'Play the addresses below in VLC, mpv or ffplay.';
    showNote(`hls.js is missing: ${reason || 'it could not be loaded'}. ${rest}`);
  } else if (!playsAnything()) {
    showNote('This browser cannot play HLS. Play the addresses below in VLC, mpv or ffplay.');
  }
  if (playsAnything()) choose(streams[0]);
}

setInterval(() => {
  stalls.look();
  const s = stats();
  showPanel(s);
  showEvents(s);
}, panelInterval);
setInterval(askEdge, edgeInterval);
askEdge();
start().catch((error) => showNote(`The list of streams could not be read: ${error.message}. Is make run still running?`));

// For tests, and for a look from the browser's console.
window.headrace = {
  get hls() { return hls; },
  video,
  stats,
};
