// The list of jobs: a row each, with why it waits or failed beneath.

import {bar, el} from './dom.js';
import {ago, between, bytes, count, duration, loss, percent, shortName, tenant,
  whole} from './format.js';

const FINISHED = ['SUCCEEDED', 'FAILED', 'CANCELLED'];

// Buttons above the list: their name, and the states they choose.
export const FILTERS = [
  ['All', []],
  ['Running', ['STARTING', 'RUNNING', 'RECOVERING', 'CANCELLING']],
  ['Pending', ['PENDING']],
  ['Failed', ['FAILED']],
  ['Succeeded', ['SUCCEEDED']],
  ['Cancelled', ['CANCELLED']],
];

export function countOf(states, counts) {
  const chosen = states.length ? states : Object.keys(counts);
  return chosen.reduce((sum, state) => sum + (counts[state] ?? 0), 0);
}

export function jobLink(name, text) {
  return el('a', {href: `#job=${encodeURIComponent(name)}`,
    'data-focus': `job ${name}`}, text);
}

export function badge(state) {
  return el('span', {class: `badge ${state.toLowerCase()}`},
      state.toLowerCase());
}

export function isFinished(job) {
  return FINISHED.includes(job.state);
}

export function progressText(progress) {
  const done = `${whole(progress.done)} ${
    progress.total ? `of ${whole(progress.total)} ` : ''}${progress.unit}`;
  return progress.unit ? done : progress.phase;
}

export function progressBar(job) {
  const {progress} = job;
  if (!progress || !progress.unit) return null;
  const kind = job.state === 'FAILED' ? 'failed' :
    isFinished(job) ? 'over' : 'running';
  const part = job.state === 'SUCCEEDED' ? 1 : progress.fraction;
  return [bar(part, kind, `${percent(part)} done`),
    el('small', {}, progressText(progress))];
}

export function timeText(job, now) {
  if (isFinished(job)) return ago(job.end_time, now);
  const left = job.progress?.remaining_seconds;
  if (job.state === 'RUNNING' && left !== undefined) {
    return `${duration(left)} left`;
  }
  return job.state === 'PENDING' ?
    `for ${duration(between(job.create_time, now))}` : null;
}

function memoryText(progress) {
  if (!progress?.memory_peak_bytes) return null;
  const plan = progress.memory_planned_bytes;
  return [bytes(progress.memory_peak_bytes),
    plan ? el('small', {}, `of ${bytes(plan)}`) : null];
}

function note(job) {
  if (job.error) {
    return el('p', {class: `note ${job.state.toLowerCase()}`}, job.error);
  }
  if (!job.pending_reason) return null;
  return el('p', {class: 'note pending'}, el('b', {}, 'Waits: '),
      job.pending_reason);
}

function row(job, now) {
  const {progress} = job;
  const running = job.state === 'RUNNING';
  const cell = (label, content) => el('td', {'data-label': label,
    class: content ? null : 'none'}, content || '–');
  return el('tr', {'data-job': job.name},
      el('td', {class: 'what'}, jobLink(job.name, job.title ||
        shortName(job.name)),
      el('small', {}, [tenant(job.name), shortName(job.name), job.kind,
        `${job.ranks} ${job.ranks === 1 ? 'rank' : 'ranks'}`]
          .filter(Boolean).join(' · ')), note(job)),
      cell('State', badge(job.state)),
      cell('Progress', progressBar(job)),
      cell('Time', timeText(job, now)),
      cell('Loss', progress && (progress.loss || progress.loss === null) ?
        loss(progress.loss) : null),
      cell('Tokens/s', running && progress ?
        count(progress.tokens_per_second) : null),
      cell('Memory of plan', memoryText(progress)));
}

// What a newcomer reads instead of an empty table.
function emptyState(filtered) {
  if (filtered) return el('p', {class: 'empty'}, 'No job is in this state.');
  return el('div', {class: 'empty'},
      el('p', {}, 'No jobs yet. Submit one:'),
      el('pre', {}, 'longspan validate job.yaml\n' +
        'longspan submit job.yaml --watch'),
      el('p', {}, 'There is a small one in ',
          el('code', {}, 'deploy/quickstart.d/train.yaml'), '.'));
}

export function jobTable(jobs, now, filtered) {
  if (!jobs.length) return emptyState(filtered);
  const heads = ['Job', 'State', 'Progress', 'Time', 'Loss', 'Tokens/s',
    'Memory of plan'];
  return el('table', {class: 'jobs'},
      el('thead', {}, el('tr', {}, heads.map((h) => el('th', {}, h)))),
      el('tbody', {}, jobs.map((job) => row(job, now))));
}
