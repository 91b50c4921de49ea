/* import.js - the card about a recorder database: asks for its import, and shows how it goes. */

const card = document.getElementById('import');
const part = (name) => card.querySelector('.' + name);
const BUSY = ['requested', 'running', 'stopped'];

function show({ state, text, path, states_all: states, states: done, ...rest }) {
  const sum = (end) => ['events', 'statistics', 'short_term'].reduce((n, kind) => n + (rest[kind + end] ?? 0), 0);
  const all = (states ?? 0) + sum('_all');
  part('state').textContent = state;
  part('state').className = 'state badge ' + ({ done: 'healthy', failed: 'unhealthy', none: 'unknown' }[state] ?? 'waiting');
  part('text').textContent = path && state !== 'failed' ? path + ': ' + text : text;
  part('bar').hidden = state !== 'running';
  part('bar').value = all ? ((done ?? 0) + sum('')) / all : 0;
  part('start').disabled = BUSY.includes(state);
}

async function ask(body) {
  const options = body && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch('api/v1/import', { signal: AbortSignal.timeout(8000), ...options });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? 'HTTP ' + response.status);
  show(answer);
  return answer.state;
}

let timer;
async function look() {
  clearTimeout(timer);
  let state = '';
  if (!document.hidden) state = await ask().catch(() => (part('text').textContent = 'cannot be asked'));
  timer = setTimeout(look, BUSY.includes(state) ? 1000 : 10000);
}

card.querySelector('form').addEventListener('submit', async (event) => {
  event.preventDefault();
  part('error').textContent = '';
  await ask({ path: part('path').value }).then(look, (error) => { part('error').textContent = error.message; });
});
document.addEventListener('visibilitychange', look);
look();
