/* quarantine.js - the card of what could not be taken as an event: look at it, give it back, delete it. */
import { ask, byId, count, every, fill, moment, plural, row, show, small, tell, together } from './app.js';

const SHOWN = 20;
let busy = false;

const start = (bytes) => {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(atob(bytes ?? ''), (c) => c.charCodeAt(0)).slice(0, 160));
  } catch {
    return 'bytes that are no text';
  }
};

function button(text, task) {
  const element = document.createElement('button');
  element.type = 'button';
  element.textContent = text;
  element.addEventListener('click', () => task(element));
  return element;
}

/* The second click deletes. */
function deleteButton(id) {
  return button('Delete', async (element) => {
    if (element.textContent === 'Delete') {
      element.textContent = 'For ever?';
      return;
    }
    await attempt(async () => {
      await tell('DELETE', 'api/v1/quarantine/' + id);
      return 'One row was deleted.';
    });
  });
}

function badRow(bad) {
  const link = document.createElement('a');
  link.href = 'api/v1/quarantine/' + bad.id;
  link.textContent = plural(bad.size, 'byte');
  const why = (bad.field ? bad.field + ': ' : '') + bad.why;
  const does = together(button('Replay', () => attempt(() => replay({ ids: [bad.id] }))), deleteButton(bad.id));
  return row([together(moment(bad.received_at), small(bad.stage)), together(why, small(start(bad.bytes))), link, does]);
}

let shown = '';
async function readQuarantine() {
  const { body, response } = await ask('api/v1/quarantine?limit=' + SHOWN);
  const total = Number(response.headers.get('X-Total-Count') ?? body.quarantine.length);
  show('quarantine-note', total > SHOWN ? 'the newest ' + SHOWN + ' of ' + count(total) : '');
  byId('quarantine-replay').hidden = total === 0;
  const now = JSON.stringify(body.quarantine.map((bad) => [bad.id, bad.why]));
  if (now === shown) return; // a button half clicked stays so
  shown = now;
  fill('quarantine', body.quarantine.map(badRow), 4, 'Nothing has been refused.');
}

async function attempt(task) {
  if (busy) return;
  busy = true;
  show('quarantine-said', 'asking …');
  try {
    show('quarantine-said', await task());
  } catch (error) {
    show('quarantine-said', error.message);
  }
  busy = false;
  await readQuarantine().catch(() => {});
}

/* As often as there is more. */
async function replay(which) {
  const all = { replayed: 0, stored: 0, refused: 0 };
  for (let from = 0, reply; ; from = reply.next) {
    reply = (await tell('POST', 'api/v1/quarantine/replay', { ...which, from })).body;
    for (const key of Object.keys(all)) all[key] += reply[key];
    const facts = [count(all.replayed) + ' replayed', count(all.stored) + ' taken', count(all.refused) + ' refused again'];
    if (reply.waiting) facts.push(count(reply.waiting) + ' still on their way');
    const said = facts.join(', ') + '.' + (reply.why ? ' Ended: ' + reply.why + '.' : '');
    if (reply.next == null || reply.waiting || reply.why) return said;
    show('quarantine-said', said);
  }
}

byId('quarantine-replay').addEventListener('click', () => attempt(() => replay({ all: true })));
every(5000, async () => {
  try {
    await readQuarantine();
  } catch (error) {
    show('quarantine-note', 'cannot be asked');
    throw error;
  }
});
