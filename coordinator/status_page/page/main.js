// Asks every two seconds, draws, and says when nobody answers. The address
// names what is shown: "#" the lists, "#job=NAME" one job.

import {byId, el, redraw} from './dom.js';
import {count, whole} from './format.js';
import {FILTERS, countOf, jobTable} from './job_list.js';
import {jobView} from './job_view.js';
import {Refused, ask} from './server.js';
import {workerTable} from './worker_list.js';

const PERIOD_MS = 2000;
const LONGEST_RETRY_MS = 16000;

const view = {
  filter: 0,
  jobPages: [''],     // tokens of the pages up to the one shown
  workerPages: [''],
  plan: {key: null, value: undefined},
  failures: 0,
  lastAnswer: null,
  timer: 0,
  round: 0,
};

function chosenJob() {
  return new URLSearchParams(location.hash.slice(1)).get('job');
}

// ---- summary

function tile(name, value, more, kind) {
  return el('div', {class: `tile ${kind ?? ''}`}, el('span', {}, name),
      el('b', {}, value), more ? el('small', {}, more) : null);
}

function drawSummary(summary) {
  const {jobs, workers, slots} = summary;
  const held = jobs.STARTING + jobs.RECOVERING + jobs.CANCELLING;
  byId('build').textContent = summary.build;
  document.title = `Longspan: ${jobs.RUNNING} running`;
  byId('tiles').replaceChildren(
      tile('Running', whole(jobs.RUNNING), held ? `${held} starting, ` +
        'recovering or stopping' : ''),
      tile('Pending', whole(jobs.PENDING), '',
          jobs.PENDING ? 'pending' : ''),
      tile('Failed', whole(jobs.FAILED), '', jobs.FAILED ? 'failed' : ''),
      tile('Tokens/s', count(summary.tokens_per_second), 'of all jobs'),
      tile('Slots used', `${whole(slots.used)} of ${whole(slots.total)}`),
      tile('Workers', whole(workers.READY), [
        workers.LOST ? `${workers.LOST} lost` : '',
        workers.DRAINING ? `${workers.DRAINING} draining` : '']
          .filter(Boolean).join(', '), workers.LOST ? 'failed' : ''));
}

// ---- lists

function drawFilters(counts) {
  byId('filters').replaceChildren(...FILTERS.map(([name, states], i) =>
    el('button', {'data-focus': `filter ${name}`,
      'aria-pressed': String(i === view.filter), click: () => {
        view.filter = i;
        view.jobPages = [''];
        refresh();
      }}, name, el('span', {}, whole(countOf(states, counts))))));
}

// pages: the tokens of the pages up to the one shown; changed in place.
function pager(id, pages, next) {
  if (pages.length === 1 && !next) return null;
  const turn = (change) => () => {
    change();
    refresh();
  };
  return el('nav', {class: 'pager', 'aria-label': `Pages of ${id}`},
      el('button', {'data-focus': `${id} back`, disabled: pages.length === 1,
        click: turn(() => pages.pop())}, '← back'),
      el('span', {}, `page ${pages.length}`),
      el('button', {'data-focus': `${id} on`, disabled: !next,
        click: turn(() => pages.push(next))}, 'more →'));
}

function withPager(table, turner) {
  return turner ? [table, turner] : [table];
}

async function lists() {
  const [jobs, workers] = await Promise.all([
    ask('jobs', {state: FILTERS[view.filter][1],
      page_token: view.jobPages.at(-1)}),
    ask('workers', {page_token: view.workerPages.at(-1)})]);
  return (summary) => {
    drawFilters(summary.jobs);
    byId('job-list').replaceChildren(...withPager(
        jobTable(jobs.jobs, jobs.now, view.filter > 0),
        pager('jobs', view.jobPages, jobs.next_page_token)));
    byId('worker-list').replaceChildren(...withPager(
        workerTable(workers.workers, workers.now, summary.lease_seconds),
        pager('workers', view.workerPages, workers.next_page_token)));
  };
}

// ---- one job

// A plan is that of an attempt: asked for once.
async function planOf(job) {
  const key = `${job.name} ${job.attempts.at(-1)?.number ?? 0}`;
  if (view.plan.key !== key) {
    view.plan = {key, value: await ask('plan', {name: job.name})};
  }
  return view.plan.value;
}

async function oneJob(name) {
  try {
    const job = await ask('job', {name});
    const plan = await planOf(job);
    return () => byId('job').replaceChildren(
        ...jobView(job, plan, job.now, byId('job').clientWidth));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return () => byId('job').replaceChildren(
        el('a', {href: '#', class: 'back'}, '← all jobs'),
        el('p', {class: 'notice failed'}, error.message));
  }
}

// ---- the loop

function sayConnected() {
  view.failures = 0;
  view.lastAnswer = new Date();
  byId('link').textContent = 'live';
  byId('link').className = 'link live';
  byId('lost').hidden = true;
  document.body.classList.remove('stale');
}

function sayLost(error) {
  view.failures += 1;
  byId('link').textContent = 'connection lost';
  byId('link').className = 'link lost';
  byId('lost').hidden = false;
  byId('lost').textContent = error instanceof Refused ?
    `The coordinator refuses: ${error.message}` :
    'The coordinator does not answer. Running jobs go on without it. ' +
    (view.lastAnswer ? `What is below is from ${
      view.lastAnswer.toLocaleTimeString()}. ` : '') + 'Trying again.';
  document.body.classList.add('stale');
}

function pause() {
  if (!view.failures) return PERIOD_MS;
  return Math.min(LONGEST_RETRY_MS, 1000 * 2 ** (view.failures - 1));
}

// A newer round makes an older one, whose answers come late, draw nothing.
async function refresh() {
  clearTimeout(view.timer);
  view.round += 1;
  const {round} = view;
  const name = chosenJob();
  try {
    const [summary, draw] = await Promise.all(
        [ask('summary'), name ? oneJob(name) : lists()]);
    if (round !== view.round) return;
    byId('job').hidden = !name;
    for (const id of ['tiles', 'jobs', 'workers']) byId(id).hidden = Boolean(name);
    redraw(() => {
      drawSummary(summary);
      draw(summary);
    });
    sayConnected();
  } catch (error) {
    if (round !== view.round) return;
    sayLost(error);
  }
  if (!document.hidden) view.timer = setTimeout(refresh, pause());
}

addEventListener('hashchange', () => {
  scrollTo(0, 0);
  refresh();
});
addEventListener('resize', () => chosenJob() && refresh());
document.addEventListener('visibilitychange', refresh);
refresh();
