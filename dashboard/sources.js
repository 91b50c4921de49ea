/* sources.js - the card of what goes on outside: each source's reading, how old it is and whose, and what is to come of prices and carbon. */
import { ask, byId, clock, every, small, together } from './app.js';

const HOURS = 2; // of the window that is looked for
const COLOURS = { ok: 'healthy', starting: 'starting', waiting: 'waiting', failing: 'degraded', over_quota: 'degraded', refused: 'unhealthy', silent: 'silent', off: 'unknown' };
const path = (row, what) => 'api/v1/sources/' + row.source + '/' + what;
const get = async (where) => (await ask(where)).body;

const price = (p, currency) => p.toFixed(Math.abs(p) < 10 ? 4 : 2) + ' ' + (currency ?? '') + '/kWh';
const grams = (g) => Math.round(g) + ' g/kWh';

/* What a reading says in a few words. */
const TOLD = {
  weather: (r) => [r.temperature_c.toFixed(1) + ' °C', r.sky?.replaceAll('_', ' '), r.wind_ms != null && 'wind ' + r.wind_ms.toFixed(1) + ' m/s'],
  airquality: (r) => ['AQI ' + r.aqi, r.category],
  carbon: (r) => [grams(r.intensity_g_kwh), r.index, r.renewable_percent != null && Math.round(r.renewable_percent) + ' % renewable'],
  electricity: (r) => [price(r.price, r.currency), r.rank && r.rank + '. of ' + r.rank_of + ' today'],
};
/* A reading of a source that is not named above: its numbers, up to three. */
const numbers = (r) => Object.entries(r).filter(([, value]) => typeof value === 'number').slice(0, 3).map(([name, value]) => name.replaceAll('_', ' ') + ' ' + value);

/* What has a curve: the slots' member, the answer with the best window, and how to tell it. */
const CURVES = {
  electricity: { title: 'Price', value: (slot) => slot.price, unit: (slot) => (value) => price(value, slot.currency), best: 'cheapest-hours', word: 'cheapest',
    window: (b) => b.from && { from: b.from, to: b.to, mean: b.mean_price } },
  carbon: { title: 'Carbon of the grid', value: (slot) => slot.intensity_g_kwh, unit: () => grams, best: 'cleanest', word: 'cleanest',
    window: (b) => ({ from: b.from, to: b.to, mean: b.intensity_g_kwh }) },
};

function svg(tag, attributes, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function element(tag, className, ...children) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...children);
  return made;
}

/* Steps: a slot's value holds from its beginning to its end; where none is known the line breaks. */
function steps(slots, x, y) {
  let line = '', end = null;
  for (const slot of slots) {
    line += (slot.from === end ? 'V' : 'M' + x(slot.from) + ' ') + y(slot.value) + 'H' + x(slot.to);
    end = slot.to;
  }
  return line;
}

function draw(slots, window) {
  const begin = Date.parse(slots[0].from), ms = Date.parse(slots.at(-1).to) - begin;
  const values = slots.map((slot) => slot.value), low = Math.min(0, ...values), high = Math.max(...values, low + 1e-9);
  const x = (time) => ((Date.parse(time) - begin) / ms * 1000).toFixed(1);
  const y = (value) => (98 - (value - low) / (high - low) * 94).toFixed(1);
  const shown = window && Date.parse(window.from) >= begin;
  return svg('svg', { class: 'curve', viewBox: '0 0 1000 100', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    ...(shown ? [svg('rect', { class: 'window', x: x(window.from), y: 0, width: x(window.to) - x(window.from), height: 100 })] : []),
    svg('path', { class: 'zero', d: 'M0 ' + y(0) + 'H1000' }), svg('path', { d: steps(slots, x, y) }));
}

async function curve(row) {
  const { title, value, unit, best, word, window } = CURVES[row.source];
  const { forecast } = await get(path(row, 'forecast'));
  const slots = forecast.map((slot) => ({ from: slot.from, to: slot.to, value: value(slot) }));
  if (!slots.length) return null;
  const found = await get(path(row, best) + '?hours=' + HOURS).then(window, () => null); // fewer hours may be known
  const say = unit(forecast[0]), values = slots.map((slot) => slot.value);
  const when = (time) => clock(time).slice(0, 5) + (Date.parse(time) - Date.parse(slots[0].from) >= 864e5 ? ' +1' : '');
  const text = title + ', ' + when(slots[0].from) + ' to ' + when(slots.at(-1).to) + ': ' + say(Math.min(...values)) + ' to ' + say(Math.max(...values)) +
    (found ? ' · ' + word + ' ' + HOURS + ' h: ' + when(found.from) + ' to ' + when(found.to) + ', ' + say(found.mean) : '');
  return element('figure', '', draw(slots, found), element('figcaption', 'note', text));
}

/* Licences ask for the link as well. */
function credit(text) {
  const note = small('');
  for (const piece of (text ?? '').split(/(https:\/\/[^\s)]+)/)) {
    const link = piece.startsWith('https://') && element('a', '', new URL(piece).host);
    if (link) Object.assign(link, { href: piece, rel: 'noopener noreferrer' });
    note.append(link || piece);
  }
  return note;
}

async function reading(row) {
  if (['off', 'silent'].includes(row.status) || !row.as_of) return null;
  return get(path(row, 'current')).catch(() => null);
}

function line(row, now) {
  const told = now ? (TOLD[row.source] ?? numbers)(now).filter(Boolean).join(', ') : '–';
  const cells = [row.source, together(told, credit(now?.attribution)),
    together(element('span', 'badge ' + (row.stale && row.status === 'ok' ? 'degraded' : COLOURS[row.status] ?? 'unknown'), row.status.replaceAll('_', ' ')), small(row.why ?? '')),
    together(row.as_of ? clock(row.as_of) : '–', small(row.stale ? 'stale' : ''))];
  return element('tr', row.stale ? 'stale' : '', ...cells.map((cell, i) => element('td', i === 3 ? 'number' : '', cell)));
}

async function look() {
  const rows = (await get('api/v1/sources')).sources.sort((a, b) => (a.status === 'off') - (b.status === 'off') || (a.source < b.source ? -1 : 1));
  const readings = await Promise.all(rows.map(reading));
  const curves = await Promise.all(rows.map((row, i) => readings[i] && CURVES[row.source] ? curve(row).catch(() => null) : null));
  byId('outside').replaceChildren(...rows.map((row, i) => line(row, readings[i])));
  byId('curves').replaceChildren(...curves.filter(Boolean));
  byId('outside-none').hidden = rows.length > 0;
}

every(30000, look);
