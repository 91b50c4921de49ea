/* app.js - asks the gateway and shows what it says; what is unknown is shown as a dash. */

const byId = (id) => document.getElementById(id);
const show = (id, text) => { byId(id).textContent = text; };
const states = new Map();
let serverAhead = 0; // milliseconds: the gateway's clock less ours

function row(cells, name) {
  const tr = document.createElement('tr');
  for (const cell of cells) {
    const td = document.createElement('td');
    if (cell instanceof Node) td.append(cell);
    else td.textContent = cell;
    tr.append(td);
  }
  if (name) tr.dataset.name = name;
  return tr;
}

function fill(id, rows, columns, nothing) {
  if (rows.length === 0) {
    const tr = row([nothing]);
    tr.firstChild.colSpan = columns;
    tr.firstChild.className = 'empty';
    rows = [tr];
  }
  byId(id).replaceChildren(...rows);
}

function badge(text) {
  const span = document.createElement('span');
  span.className = 'badge ' + text;
  span.textContent = text.replaceAll('_', ' ');
  return span;
}

function setBadge(id, text) {
  byId(id).className = 'badge ' + text;
  show(id, text.replaceAll('_', ' '));
}

function withNote(text, note) {
  const both = document.createDocumentFragment();
  both.append(text);
  if (note) {
    const small = document.createElement('small');
    small.textContent = note;
    both.append(small);
  }
  return both;
}

function numeric(tr, ...columns) {
  for (const column of columns) tr.children[column].className = 'number';
  return tr;
}

const megabytes = (bytes) => bytes == null ? '–' : (bytes / 1048576).toFixed(1) + ' MB';
const count = (n) => n == null ? '–' : n.toLocaleString('en');
const clock = (text) => text ? new Date(text).toLocaleTimeString([], { hour12: false }) : '–';
const moment = (text) => text ? new Date(text).toLocaleString([], { hour12: false }) : '–';

function age(text) {
  if (!text) return '–';
  const s = Math.max(0, (Date.now() + serverAhead - Date.parse(text)) / 1000);
  if (s < 60) return Math.floor(s) + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min';
  if (s < 86400) return Math.floor(s / 3600) + ' h';
  return Math.floor(s / 86400) + ' d';
}

async function ask(path) {
  const response = await fetch(path, { headers: { Accept: 'application/json' }, signal: AbortSignal.timeout(8000) });
  const body = await response.json();
  if (!response.ok) throw new Error(body.error ?? 'HTTP ' + response.status);
  return { body, response };
}

/* --- tiles and processes --- */

function showHealth(health) {
  serverAhead = Date.parse(health.timestamp) - Date.now();
  setBadge('verdict', health.status);
  show('version', 'version ' + health.version);
  const home = health.home_assistant;
  show('home', home.state.replaceAll('_', ' '));
  byId('home').className = 'big ' + home.state;
  show('home-note', home.why ?? [home.version && 'version ' + home.version, home.since && 'for ' + age(home.since)].filter(Boolean).join(', '));
  fill('actors', health.actors.map(actorRow), 5, 'No process has been heard of.');
  const sink = health.actors.find((a) => a.actor === 'sink' && a.status !== 'silent');
  show('stored-note', sink?.counters?.store_bytes != null ? megabytes(sink.counters.store_bytes) + ' on disk' : '');
}

function actorRow(a) {
  const name = a.instance === '1' ? a.actor : a.actor + ' ' + a.instance;
  const cpu = a.cpu_percent == null ? '–' : a.cpu_percent.toFixed(1) + ' %';
  return numeric(row([withNote(name, 'process ' + a.pid), withNote(badge(a.status), a.why), cpu, megabytes(a.rss_bytes),
    a.age_s.toFixed(0) + ' s ago']), 2, 3, 4);
}

function showStats(stats) {
  show('rate', stats.events_per_minute.toFixed(stats.events_per_minute < 10 ? 1 : 0));
  show('rate-note', count(stats.total_events) + ' in the last 15 minutes');
}

function showGaps({ gaps }) {
  const open = gaps.filter((g) => g.end === null).length;
  show('gap-count', count(gaps.length));
  show('gap-note', open ? open + ' still open' : gaps.length ? 'none open' : '');
  fill('gaps', gaps.slice(-50).reverse().map((g) => row([moment(g.start), g.end ? moment(g.end) : 'still open',
    g.cause.replaceAll('_', ' '), badge(g.state)])), 4, 'None recorded.');
}

/* --- states --- */

const unitOf = (e) => e.unit ? ' ' + e.unit : '';
const textOf = (e) => e.state === null ? 'removed' : e.state === '' ? '(empty)' : e.state + unitOf(e);

function stateRow(e) {
  const state = document.createElement('span');
  state.className = 'state';
  state.textContent = textOf(e);
  const name = e.attributes?.friendly_name;
  return numeric(row([withNote(e.entity_id, typeof name === 'string' ? name : ''), state, e.area ?? '–', age(e.last_updated ?? e.timestamp)], e.entity_id), 3);
}

let statesWaiting = false;
function showStates() {
  statesWaiting = false;
  const wanted = byId('search').value.trim().toLowerCase();
  const fits = (e) => [e.entity_id, e.state, e.area, e.attributes?.friendly_name].some((t) => String(t ?? '').toLowerCase().includes(wanted));
  const all = [...states.values()].filter((e) => e.state !== null).filter(fits).sort((a, b) => a.entity_id.localeCompare(b.entity_id));
  fill('states', all.slice(0, 300).map(stateRow), 4, wanted ? 'Nothing fits.' : 'No states stored yet.');
  show('states-note', all.length > 300 ? 'The first 300 of ' + count(all.length) + '; search to see others.' : count(all.length) + ' entities');
}

function showStatesSoon() {
  if (!statesWaiting) setTimeout(showStates, 500);
  statesWaiting = true;
}

async function readStates() {
  const seen = new Set();
  let path = 'api/v1/states?limit=1000';
  while (path) {
    const { body, response } = await ask(path);
    for (const e of body.states) {
      seen.add(e.entity_id);
      const known = states.get(e.entity_id);
      if (!known || known.timestamp <= e.timestamp) states.set(e.entity_id, e);
    }
    const cursor = response.headers.get('X-Next-Cursor');
    path = cursor && seen.size < 20000 ? 'api/v1/states?limit=1000&cursor=' + encodeURIComponent(cursor) : null;
  }
  showStates();
}

/* --- live --- */

let paused = false;
function showEvent(e) {
  if (e.event_type === 'state_changed' && (states.get(e.entity_id)?.timestamp ?? '') <= e.timestamp && e.provenance === 'live') {
    states.set(e.entity_id, e);
    showStatesSoon();
  }
  if (paused) return;
  const li = document.createElement('li');
  const time = document.createElement('time');
  time.textContent = clock(e.timestamp);
  time.title = e.timestamp;
  const text = document.createElement('span');
  const what = document.createElement('b');
  what.textContent = e.entity_id ?? e.event_type;
  text.append(what, e.event_type === 'state_changed' ? ' → ' + textOf(e) : e.entity_id ? ' ' + e.event_type : '');
  li.append(time, text);
  byId('events-empty').hidden = true;
  byId('events').prepend(li);
  while (byId('events').children.length > 100) byId('events').lastChild.remove();
}

function showDropped(n) {
  const li = document.createElement('li');
  li.append('', n + ' events were too fast for this page.');
  byId('events').prepend(li);
}

function listen() {
  const source = new EventSource('api/v1/events/stream');
  const names = new Set();
  // Every event type is an event name of its own; the names come from the store and the stream.
  const on = (name) => {
    if (names.has(name)) return;
    names.add(name);
    source.addEventListener(name, (message) => showEvent(JSON.parse(message.data)));
  };
  on('state_changed');
  const learn = () => ask('api/v1/events/types?limit=1000').then(({ body }) => body.forEach((t) => on(t.event_type))).catch(() => {});
  learn();
  const learning = setInterval(learn, 60000);
  source.addEventListener('gap', (message) => showDropped(JSON.parse(message.data).dropped));
  source.onopen = () => setBadge('live', 'live');
  source.onerror = () => {
    setBadge('live', 'connecting');
    if (source.readyState !== EventSource.CLOSED) return;
    clearInterval(learning);
    setTimeout(listen, 5000);
  };
}

/* --- going round --- */

function every(ms, task) {
  const run = async () => {
    if (!document.hidden) await task().catch(() => {});
    setTimeout(run, ms);
  };
  run();
}

async function readHealth() {
  try {
    showHealth((await ask('api/v1/health')).body);
    byId('offline').hidden = true;
  } catch {
    setBadge('verdict', 'unhealthy');
    byId('offline').hidden = false;
    show('offline', 'The gateway does not answer. What you see below is old.');
  }
}

async function readOr(path, then, failed) {
  try {
    then((await ask(path)).body);
  } catch {
    failed();
  }
}

every(2000, readHealth);
every(5000, () => readOr('api/v1/events/stats?period=15m', showStats, () => { show('rate', '–'); show('rate-note', 'cannot be asked'); }));
every(15000, () => readOr('api/v1/events/count', (c) => show('stored', count(c.count)), () => show('stored', '–')));
every(10000, () => readOr('api/v1/gaps', showGaps, () => { show('gap-count', '–'); show('gap-note', 'cannot be asked'); }));
every(60000, readStates);
setInterval(showStatesSoon, 10000);
byId('search').addEventListener('input', showStates);
byId('pause').addEventListener('click', () => {
  paused = !paused;
  byId('pause').setAttribute('aria-pressed', String(paused));
  show('pause', paused ? 'Go on' : 'Pause');
});
listen();
