/* gaps.js - the card of gaps: since when something is missing, why, and what came back of it. */

const classNames = { contexts: 'their contexts', events: 'other events', removals: 'removals of entities', states: 'some states' };

/* What is lost for good, in words. */
function lost(unrecoverable) {
  const excluded = unrecoverable?.excluded_entities?.length;
  const parts = Object.keys(classNames).filter((name) => unrecoverable?.[name]).map((name) => classNames[name]);
  if (excluded) parts.push(excluded === 1 ? '1 entity that is not recorded' : excluded + ' entities that are not recorded');
  return parts.join(', ');
}

const WHOLE_MS = 300000;

/* The ledger: read whole now and then, and in between only from the oldest gap on that may still change. */
export function gapsLedger(ask) {
  const known = new Map();
  let wholeAt = -Infinity;
  return async () => {
    const all = [...known.values()];
    const since = (all.find((g) => g.end === null || g.state === 'filling') ?? all.at(-1))?.start;
    const whole = !since || performance.now() - wholeAt > WHOLE_MS;
    const { gaps } = (await ask('api/v1/gaps' + (whole ? '' : '?start_time=' + encodeURIComponent(since)))).body;
    if (whole) {
      known.clear();
      wholeAt = performance.now();
    }
    for (const g of gaps) known.set(g.id, g);
    return { gaps: [...known.values()] };
  };
}

export function gapsCard({ show, fill, row, withNote, badge, words, count, plural, moment, clock, day, span, now }) {
  function became(g) {
    const facts = [];
    if (g.percent >= 100) facts.push('waiting for Home Assistant to write the last ones');
    else if (g.percent != null) facts.push(Math.floor(g.percent) + ' %');
    if (g.remaining_s != null) facts.push('about ' + span(g.remaining_s * 1000) + ' to go');
    if (g.recovered?.states) facts.push(plural(g.recovered.states, 'state') + ' back');
    const missing = g.end && g.state !== 'filling' && lost(g.unrecoverable);
    if (missing) facts.push('lost: ' + missing);
    return withNote(badge(g.state), facts.join('; '));
  }

  function gapRow(g) {
    const end = g.end && (day(g.end) === day(g.start) ? clock(g.end) : moment(g.end));
    const lasted = span((g.end ? Date.parse(g.end) : now()) - Date.parse(g.start));
    if (g.cause === 'first_start') return row([moment(g.start), '–', 'recording began', '']);
    return row([withNote(moment(g.start), end ? 'to ' + end : 'still open'), lasted,
      g.entity_id ? withNote(words(g.cause), g.entity_id.replaceAll(',', ', ')) : words(g.cause), became(g)]);
  }

  return ({ gaps }) => {
    const began = gaps.find((g) => g.cause === 'first_start');
    const real = gaps.filter((g) => g.cause !== 'first_start' && g.cause !== 'requested');
    const open = real.filter((g) => g.end === null).length, filling = gaps.filter((g) => g.state === 'filling').length;
    show('gap-count', count(real.length));
    show('gap-note', open ? open + ' still open' : filling ? filling + ' being filled' : began ? 'recording since ' + day(began.start) : '');
    fill('gaps', gaps.slice(-50).reverse().map(gapRow), 4, 'None recorded.');
  };
}
