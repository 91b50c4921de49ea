/* app.js - asks the gateway and shows what it says; what is unknown is shown as a dash. */
import { gapsCard, gapsLedger } from './gaps.js';

const byId = (id) => document.getElementById(id);
const show = (id, text) => setText(byId(id), text);
const states = new Map();
let serverAhead = 0; // milliseconds: the gateway's clock less ours

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text; // what is selected stays so
}

function row(cells) {
  const tr = document.createElement('tr');
  for (const cell of cells) {
    const td = document.createElement('td');
    td.append(cell);
    tr.append(td);
  }
  return tr;
}

function fill(id, rows, columns, nothing) {
  if (rows.length === 0) {
    const tr = row([nothing]);
    tr.firstChild.colSpan = columns;
    tr.firstChild.className = 'empty';
    rows = [tr];
  }
  const body = byId(id);
  if (rows.length !== body.rows.length || rows.some((tr, i) => tr !== body.rows[i])) body.replaceChildren(...rows);
}

const words = (text) => text.replaceAll('_', ' ');

function badge(text) {
  const span = document.createElement('span');
  span.className = 'badge ' + text;
  span.textContent = words(text);
  return span;
}

function setBadge(id, text) {
  byId(id).className = 'badge ' + text;
  show(id, words(text));
}

function small(text) {
  const element = document.createElement('small');
  element.textContent = text;
  return element;
}

function together(...parts) {
  const all = document.createDocumentFragment();
  all.append(...parts);
  return all;
}

const withNote = (text, note) => note ? together(text, small(note)) : text;

/* An id that may break where its words end. */
const breakable = (id) => together(...id.split(/(?<=[._])/).flatMap((part, i) => i ? [document.createElement('wbr'), part] : [part]));

function numeric(tr, ...columns) {
  for (const column of columns) tr.children[column].className = 'number';
  return tr;
}

const megabytes = (bytes) => bytes == null ? '–' : (bytes / 1048576).toFixed(1) + ' MB';
const count = (n) => n == null ? '–' : n.toLocaleString('en');
const plural = (n, noun) => count(n) + ' ' + noun + (n === 1 ? '' : 's');
const timeFormat = (options) => { // making a format is slow, using it is not
  const format = new Intl.DateTimeFormat([], { hourCycle: 'h23', ...options });
  return (time) => format.format(new Date(time));
};
const clock = timeFormat({ timeStyle: 'medium' });
const moment = timeFormat({ dateStyle: 'medium', timeStyle: 'medium' });
const day = timeFormat({ dateStyle: 'medium' });
const now = () => Date.now() + serverAhead;

function span(ms) {
  const s = Math.max(0, ms / 1000);
  if (s < 60) return Math.floor(s) + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min';
  if (s < 86400) return Math.floor(s / 3600) + ' h';
  return Math.floor(s / 86400) + ' d';
}

const age = (text) => text ? span(now() - Date.parse(text)) : '–';

async function ask(path, ms = 8000) {
  const response = await fetch(path, { headers: { Accept: 'application/json' }, signal: AbortSignal.timeout(ms) });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error ?? 'HTTP ' + response.status);
  return { body, response };
}

/* Change something. */
async function tell(method, path, message, ms = 8000) {
  const response = await fetch(path, { method, body: message && JSON.stringify(message), signal: AbortSignal.timeout(ms),
    headers: { Accept: 'application/json', ...(message && { 'Content-Type': 'application/json' }) } });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error ?? 'HTTP ' + response.status);
  return { body, response };
}

/* --- tiles and processes --- */

function showNotice(text, status) {
  show('notice', text);
  byId('notice').className = 'notice ' + status;
  byId('notice').hidden = !text;
}

/* What is wrong, in the actors' own words; ingest speaks of Home Assistant when that is away. */
function troubles(health) {
  const away = !['live', 'unknown'].includes(health.home_assistant.state);
  const name = (d) => d.name === 'ingest' && away ? 'Home Assistant' : d.name;
  return health.dependencies.filter((d) => d.message).map((d) => name(d) + ': ' + d.message).join(' · ');
}

function showHealth(health) {
  const heard = (actor) => health.actors.find((a) => a.actor === actor && !['silent', 'stopped'].includes(a.status));
  serverAhead = Date.parse(health.timestamp) - Date.now();
  setBadge('verdict', health.status);
  show('version', 'version ' + health.version);
  showNotice(troubles(health), health.status);
  showHome(health.home_assistant);
  showRate(heard('ingest'), health.timestamp);
  showStore(heard('sink')?.counters);
  const several = new Set(health.actors.filter((a) => a.instance !== '1').map((a) => a.actor));
  fill('actors', health.actors.map((a) => actorRow(a, several)), 5, 'No process has been heard of.');
}

function showHome(home) {
  const known = home.state !== 'unknown';
  show('home', known ? words(home.state) : '–');
  byId('home').className = 'big ' + home.state;
  const facts = [home.version && 'version ' + home.version, home.since && 'for ' + age(home.since)];
  show('home-note', known ? home.why ?? facts.filter(Boolean).join(', ') : 'ingest has not said');
}

/* What ingest has counted in the last minute, from its heartbeats. */
const beats = [];
function showRate(ingest, timestamp) {
  const events = ingest?.counters?.received;
  if (events == null || (beats.length && beats[0].pid !== ingest.pid)) beats.length = 0;
  if (events != null) {
    const at = Date.parse(timestamp) - ingest.age_s * 1000;
    if (!beats.length || at - beats.at(-1).at > 200) beats.push({ at, events, pid: ingest.pid });
    while (beats.at(-1).at - beats[0].at > 62000) beats.shift();
  }
  const known = beats.length > 1;
  const ms = known ? beats.at(-1).at - beats[0].at : 0;
  const rate = known ? (beats.at(-1).events - beats[0].events) * 60000 / ms : null;
  show('rate', known ? count(Math.round(rate)) : '–');
  show('rate-note', known ? 'over the last ' + Math.round(ms / 1000) + ' s' : '');
}

function showStore(counters) {
  const p99 = counters?.latency_p99_us;
  const facts = [counters?.store_bytes != null && megabytes(counters.store_bytes) + ' on disk',
    p99 != null && '99 in 100 within ' + (p99 < 1e7 ? Math.ceil(p99 / 1000) + ' ms' : span(p99 / 1000))];
  show('stored-note', facts.filter(Boolean).join(', '));
}

function actorRow(a, several) {
  const name = several.has(a.actor) || a.instance !== '1' ? a.actor + ' ' + a.instance : a.actor;
  const cpu = a.cpu_percent == null ? '–' : a.cpu_percent.toFixed(1) + ' %';
  return numeric(row([withNote(name, 'pid ' + a.pid), withNote(badge(a.status), a.why), cpu, megabytes(a.rss_bytes),
    span(a.age_s * 1000) + ' ago']), 2, 3, 4);
}

/* --- states --- */

const unitOf = (e) => e.unit ? ' ' + e.unit : '';
const textOf = (e) => e.state === null ? 'removed' : e.state === '' ? '(empty)' : e.state + unitOf(e);
const nameOf = (e) => typeof e.attributes?.friendly_name === 'string' ? e.attributes.friendly_name : '';

/* A row stays the same element as long as its entity is shown. */
const rows = new Map();
function stateRow(e) {
  let tr = rows.get(e.entity_id);
  if (!tr) {
    tr = numeric(row([together(breakable(e.entity_id), small('')), '', '', '']), 3);
    rows.set(e.entity_id, tr);
  }
  const [entity, state, area, updated] = tr.children;
  setText(entity.lastChild, nameOf(e));
  setText(state, textOf(e));
  setText(area, e.area ?? '–');
  setText(updated, age(e.last_updated ?? e.timestamp));
  return tr;
}

let statesKnown = false;
let statesWaiting = false;
function showStates() {
  statesWaiting = false;
  if (!statesKnown) return;
  const wanted = byId('search').value.trim().toLowerCase();
  const fits = (e) => [e.entity_id, e.state, e.area, nameOf(e)].some((t) => String(t ?? '').toLowerCase().includes(wanted));
  const present = [...states.values()].filter((e) => e.state !== null);
  const order = (e) => e.entity_id.replace(/^_/, '~'); // the house first, then what is outside
  const all = present.filter(fits).sort((a, b) => order(a) < order(b) ? -1 : 1);
  const shown = all.slice(0, 300);
  fill('states', shown.map(stateRow), 4, wanted ? 'Nothing fits.' : 'No states stored yet.');
  const keep = new Set(shown.map((e) => e.entity_id));
  for (const id of rows.keys()) if (!keep.has(id)) rows.delete(id);
  show('states-note', (shown.length < all.length ? 'the first ' + shown.length + ' of ' : '')
    + (wanted ? count(all.length) + ' of ' : '') + count(present.length) + (present.length === 1 ? ' entity' : ' entities'));
}

function showStatesSoon() {
  if (!statesWaiting) setTimeout(showStates, 500);
  statesWaiting = true;
}

async function readStates() {
  const seen = new Set();
  const settled = now() - 10000; // what is younger may not be stored yet
  const { body } = await ask('api/v1/states');
  for (const e of body.states) {
    seen.add(e.entity_id);
    const known = states.get(e.entity_id);
    if (!known || known.timestamp <= e.timestamp) states.set(e.entity_id, e);
  }
  for (const [id, e] of states) if (!seen.has(id) && Date.parse(e.timestamp) < settled) states.delete(id);
  statesKnown = true;
  showStates();
}

/* --- live --- */

const LINES_MAX = 100;
let lines = []; // to be shown at the next drawing, oldest first: [timestamp, what, note]
let paused = false;
let missed = 0; // while paused

function lineOf([timestamp, what, note]) {
  const li = document.createElement('li');
  const time = document.createElement('time');
  const text = document.createElement('span');
  time.textContent = timestamp ? clock(timestamp) : '';
  time.title = timestamp;
  if (what) {
    const name = document.createElement('b');
    name.append(breakable(what));
    text.append(name, note);
  } else {
    text.append(small(note));
  }
  li.append(time, text);
  return li;
}

/* Four times a second at most, however many events come. */
function draw() {
  if (!lines.length) return;
  const fresh = lines.slice(-LINES_MAX).reverse().map(lineOf);
  const list = byId('events');
  lines = [];
  byId('events-empty').hidden = true;
  list.prepend(...fresh);
  while (list.children.length > LINES_MAX) list.lastChild.remove();
}

function addLine(timestamp, what, note) {
  if (!lines.length) setTimeout(draw, 250);
  lines.push([timestamp, what, note]);
  if (lines.length > 10 * LINES_MAX) lines.splice(0, 9 * LINES_MAX);
}

function showEvent(e) {
  if (e.event_type === 'state_changed' && (states.get(e.entity_id)?.timestamp ?? '') <= e.timestamp && e.provenance === 'live') {
    states.set(e.entity_id, e);
    showStatesSoon();
  }
  if (paused) {
    missed++;
    show('pause', 'Resume (' + count(missed) + ')');
    return;
  }
  addLine(e.timestamp, e.entity_id ?? e.event_type, e.event_type === 'state_changed' ? ' → ' + textOf(e) : e.entity_id ? ' ' + e.event_type : '');
}

function turnPause() {
  draw();
  paused = !paused;
  show('pause', paused ? 'Resume' : 'Pause');
  if (!paused && missed) addLine('', null, plural(missed, 'event') + ' came while paused.');
  missed = 0;
}

let lastId = null; // of the last event heard
function hear(block) {
  const fields = Object.fromEntries(block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]));
  if (!fields.data) return;
  lastId = fields.id ?? lastId;
  const said = JSON.parse(fields.data);
  if (fields.id) {
    showEvent(said);
  } else if (said.dropped) {
    addLine('', null, plural(said.dropped, 'event') + ' came too fast for this page.');
  }
}

/* The gateway says something every 15 s; a stream that is silent for longer is dead. Its event types are the
 * names of the server-sent events and any name may come, which EventSource cannot listen to. */
const SILENCE_MS = 40000;
const RESUME_MS = 60000; // after a longer break the list begins anew
let lost = null; // when the stream broke
async function listen() {
  const stop = new AbortController();
  let watch = setTimeout(() => stop.abort(), SILENCE_MS);
  try {
    const resumed = lastId && lost && Date.now() - lost < RESUME_MS;
    const path = 'api/v1/events/stream' + (resumed ? '?last_event_id=' + encodeURIComponent(lastId) : '');
    const response = await fetch(path, { headers: { Accept: 'text/event-stream' }, signal: stop.signal });
    if (!response.ok) throw new Error('HTTP ' + response.status);
    if (lost && lastId && !resumed) addLine('', null, 'What came while the page was not connected is not shown.');
    if (lost) readStates().catch(() => {});
    lost = null;
    setBadge('live', 'live');
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = '', part; !(part = await reader.read()).done;) {
      clearTimeout(watch);
      watch = setTimeout(() => stop.abort(), SILENCE_MS);
      const blocks = (text + part.value).split('\n\n');
      text = blocks.pop();
      blocks.forEach(hear);
    }
  } catch { /* the badge says it */ }
  clearTimeout(watch);
  lost ??= Date.now();
  setBadge('live', 'connecting');
  readHealth();
  setTimeout(listen, 1000);
}

/* --- going round --- */

/* Again and again while somebody looks; a task that takes long is asked for less often. */
function every(ms, task) {
  let timer, running = false;
  const run = async () => {
    if (running || document.hidden) return;
    running = true;
    clearTimeout(timer);
    const began = Date.now();
    const well = await task().then(() => true, () => false);
    running = false;
    timer = setTimeout(run, well ? Math.max(ms, 10 * (Date.now() - began)) : ms);
  };
  document.addEventListener('visibilitychange', run);
  run();
}

let heardOf = null; // when the gateway last answered
async function readHealth() {
  try {
    const { body } = await ask('api/v1/health');
    heardOf = Date.now();
    document.body.classList.remove('old');
    showHealth(body);
  } catch {
    setBadge('verdict', 'no_answer');
    document.body.classList.add('old');
    showNotice('The gateway does not answer.' + (heardOf ? ' What you see is of ' + clock(heardOf) + '.' : ''), 'no_answer');
  }
}

async function readOr(read, then, failed) {
  try {
    then(await read());
  } catch (error) {
    failed();
    throw error;
  }
}

const readGaps = gapsLedger(ask);
const showGaps = gapsCard({ show, fill, row, withNote, badge, words, count, plural, moment, clock, day, span, now });

every(2000, readHealth);
every(5000, () => readOr(async () => (await ask('api/v1/events/count', 30000)).body, (c) => show('stored', count(c.count)), () => show('stored', '–')));
every(5000, () => readOr(readGaps, showGaps, () => { show('gap-count', '–'); show('gap-note', 'cannot be asked'); }));
every(60000, readStates);
setInterval(showStatesSoon, 10000);
byId('search').addEventListener('input', showStates);
byId('pause').addEventListener('click', turnPause);
listen();

export { ask, byId, clock, count, every, fill, moment, numeric, plural, row, show, small, tell, together }; // for the cards in files of their own
