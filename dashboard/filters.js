/* filters.js - the card of what is kept: the rules in force, a candidate, and what it would have done. */
import { ask, byId, clock, count, every, fill, moment, numeric, plural, row, show, tell, together, small } from './app.js';

const EXAMPLE = [{ action: 'exclude', glob: 'sensor.*_signal_strength' }, { action: 'thin', glob: 'sensor.*_power', interval_s: 60 }];
const NUMBERS = ['filtered', 'thinned'];
const OTHERS = ['action', 'interval_s', 'deadband', 'note', ...NUMBERS];
let offered = ''; // what was put into the editor last: if it is something else, somebody is writing

const selector = (rule) => Object.keys(rule).find((key) => !OTHERS.includes(key));
const plain = (rule) => Object.fromEntries(Object.entries(rule).filter(([key]) => !NUMBERS.includes(key)));
const asText = (rules) => '[' + rules.map((rule) => '\n  ' + JSON.stringify(plain(rule))).join(',') + '\n]';

function ruleRow(rule) {
  const amounts = [rule.interval_s && 'every ' + rule.interval_s + ' s', rule.deadband && 'within ' + rule.deadband].filter(Boolean);
  const key = selector(rule);
  const names = together([rule[key]].flat().join(', '), small([key.replaceAll('_', ' '), rule.note].filter(Boolean).join(' · ')));
  return numeric(row([[rule.action, ...amounts].join(', '), names, count(rule.filtered), count(rule.thinned)]), 2, 3);
}

function showFilters(view) {
  fill('filters', view.rules.map(ruleRow), 4, 'Everything is kept.');
  const facts = [view.set_at && 'since ' + moment(view.set_at), view.unmatched && plural(view.unmatched, 'event') + ' left out because no rule includes them'];
  show('filters-note', view.why ?? facts.filter(Boolean).join(', '));
  const editor = byId('filters-text');
  if (editor.value === offered) editor.value = offered = view.rules.length ? asText(view.rules) : '';
}

/* The candidate, or null: it is no JSON, which is said. */
function candidate() {
  try {
    return JSON.parse(byId('filters-text').value.trim() || '[]');
  } catch (error) {
    show('filters-said', 'This is no JSON: ' + error.message);
    return null;
  }
}

async function attempt(button, task) {
  button.disabled = true;
  show('filters-said', 'asking …');
  try {
    show('filters-said', await task());
  } catch (error) {
    show('filters-said', error.message);
  }
  button.disabled = false;
}

function sayPreview(p) {
  const left = p.filtered + p.thinned;
  const most = p.top_entities.slice(0, 3).map((e) => (e.entity_id ?? e.event_type) + ' ' + count(e.count)).join(', ');
  return 'Of ' + plural(p.events, 'event') + ' stored since ' + clock(p.from) + (p.complete ? ' yesterday' : ' (there was no time for the whole day)') + ', '
    + count(p.filtered) + ' would not be there and ' + count(p.thinned) + ' would have been taken back'
    + (p.events ? ': ' + (100 * left / p.events).toFixed(left === p.events || left === 0 ? 0 : 1) + ' %.' : '.') + (most ? ' Most of them: ' + most + '.' : '');
}

byId('filters-preview').addEventListener('click', (event) => {
  const rules = candidate();
  if (rules) attempt(event.target, async () => sayPreview((await tell('POST', 'api/v1/filters/preview', { rules })).body));
});

byId('filters-save').addEventListener('click', (event) => {
  const rules = candidate();
  if (!rules) return;
  attempt(event.target, async () => {
    const { body } = await tell('PUT', 'api/v1/filters', { rules });
    offered = byId('filters-text').value;
    showFilters(body);
    return body.rules.length ? plural(body.rules.length, 'rule') + ' in force from now on.' : 'Everything is kept from now on.';
  });
});

byId('filters-text').placeholder = asText(EXAMPLE);
every(5000, async () => {
  try {
    showFilters((await ask('api/v1/filters')).body);
  } catch (error) {
    show('filters-note', 'cannot be asked');
    throw error;
  }
});
