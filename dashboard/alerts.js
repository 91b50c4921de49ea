/* alerts.js - the card that says what is wrong, lets somebody take note of it, and shows the sum and the canary. */

const card = document.getElementById('alerts');
const part = (name) => card.querySelector('.' + name);
const COLOURS = { critical: 'unhealthy', warning: 'degraded', info: 'unknown' };
const number = (n) => n.toLocaleString('en');
const moment = new Intl.DateTimeFormat([], { dateStyle: 'short', timeStyle: 'short', hourCycle: 'h23' });

async function ask(path, body) {
  const options = body && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch('api/v1/' + path, { signal: AbortSignal.timeout(8000), ...options });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? 'HTTP ' + response.status);
  return answer;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function row(alert) {
  const line = element('li', alert.status, '');
  const note = [alert.rule.replaceAll('_', ' '), 'since ' + moment.format(new Date(alert.since)), alert.acknowledged_by && 'noted by ' + alert.acknowledged_by];
  const words = element('span', '', alert.message);
  words.append(element('small', '', note.filter(Boolean).join(' · ')));
  const what = alert.status === 'active' ? 'acknowledge' : 'resolve';
  const button = element('button', '', what === 'resolve' ? 'Resolve' : 'Take note');
  button.addEventListener('click', () => ask(`alerts/${alert.id}/${what}`, { by: 'page' }).then(look, fail));
  line.append(element('span', 'badge ' + COLOURS[alert.severity], alert.severity), words, button);
  return line;
}

function fail(error) {
  part('error').textContent = error.message;
}

function sumText({ sources }) {
  const s = sources.find((source) => source.source === 'ingest');
  if (s?.received == null) return s?.why ?? '';
  const settled = ['stored', 'duplicate', 'filtered', 'thinned', 'quarantined', 'in_flight', 'given_up'].filter((term) => s[term]);
  const terms = settled.map((term) => number(s[term]) + ' ' + term.replaceAll('_', ' ')).join(' + ');
  return number(s.received) + ' received = ' + (terms || '0') + (s.missing ? ' + ' + number(s.missing) + ' missing' : '') +
    (s.excess ? ' − ' + number(s.excess) + ' that the capture log no longer counts' : '') + (s.why ? ' (' + s.why + ')' : '');
}

function canaryText({ actors }) {
  const counters = actors.find((actor) => actor.actor === 'monitor' && actor.status !== 'silent')?.counters;
  if (!counters) return 'monitor is not heard';
  return counters.canary_last_us == null ? '' : ' · canary ' + (counters.canary_last_us / 1000).toFixed(0) + ' ms';
}

let timer;
async function look() {
  clearTimeout(timer);
  if (!document.hidden)
    await Promise.all([ask('alerts/active'), ask('conservation'), ask('health')]).then(([alerts, sum, health]) => {
      part('list').replaceChildren(...alerts.map(row));
      part('none').hidden = alerts.length > 0;
      part('sum').textContent = sumText(sum) + canaryText(health);
      part('sum').className = 'sum note' + (sum.sources[0]?.missing ? ' unhealthy' : '');
      part('error').textContent = '';
    }, fail);
  timer = setTimeout(look, 5000);
}

document.addEventListener('visibilitychange', look);
look();
