// One job: how far it is, its curves, what a step does, which rank holds which
// tokens and how much memory, its attempts.

import {bar, el, stack, svg} from './dom.js';
import {chart} from './chart.js';
import {ago, between, bytes, count, duration, loss, percent, shortName, whole}
  from './format.js';
import {badge, isFinished, progressText} from './job_list.js';

const MOST_ROWS = 64;

function fact(name, value, more) {
  return el('div', {class: 'tile'}, el('span', {}, name), el('b', {}, value),
      more ? el('small', {}, more) : null);
}

function heading(job) {
  return el('div', {class: 'heading'},
      el('a', {href: '#', class: 'back', 'data-focus': 'back'}, '← all jobs'),
      el('h2', {}, job.title || shortName(job.name), ' ', badge(job.state)),
      el('small', {class: 'mono'}, job.name),
      el('small', {}, `${job.kind}, ${job.ranks} ${
        job.ranks === 1 ? 'rank' : 'ranks'} on ${job.backend}` +
        (job.priority ? `, priority ${job.priority}` : '')));
}

function notices(job) {
  const found = [];
  if (job.error) {
    found.push(el('div', {class: 'notice failed', 'data-error': true},
        el('b', {}, job.state === 'FAILED' ? 'Failed' : 'Ended'),
        el('pre', {}, job.error),
        el('p', {}, 'More: ', el('code', {},
            `longspan logs ${shortName(job.name)}`))));
  }
  if (job.pending_reason) {
    found.push(el('div', {class: 'notice pending', 'data-pending': true},
        el('b', {}, job.queue_position ?
          `Waits, ${job.queue_position} ahead of it` : 'Waits'),
        el('p', {}, job.pending_reason)));
  }
  return found;
}

function progressBlock(job) {
  const {progress} = job;
  if (!progress?.unit) return null;
  const part = job.state === 'SUCCEEDED' ? 1 : progress.fraction;
  const left = progress.remaining_seconds;
  const eta = job.state === 'RUNNING' && left !== undefined ?
    `, ${duration(left)} left` : '';
  return el('div', {class: 'progress'},
      bar(part, job.state === 'FAILED' ? 'failed' :
        isFinished(job) ? 'over' : 'running', `${percent(part)} done`),
      el('p', {'data-progress': true}, el('b', {}, percent(part)), ' · ',
          progressText(progress), eta,
          progress.phase && !isFinished(job) ? ` · ${progress.phase}` : ''));
}

function times(job, now) {
  const until = job.end_time ?? now;
  const ran = between(job.start_time, until);
  return fact(isFinished(job) ? 'Ran' : 'Running for',
      Number.isFinite(ran) ? duration(ran) : '–',
      `submitted ${ago(job.create_time, now)}`);
}

// Red where the alert LongspanMemoryOverPlan rings: small models are smaller
// than the libraries that run them.
function memoryOfPlan({memory_peak_bytes: peak, memory_planned_bytes: plan}) {
  if (!plan) return null;
  const over = peak > 1.1 * plan && peak > plan + 256 * 2 ** 20;
  return [bar(peak / plan, over ? 'failed' : 'over',
      'peak beside plan'), `of ${bytes(plan)} planned`];
}

function facts(job, now) {
  const {progress, result} = job;
  const tiles = [times(job, now)];
  const value = result?.loss ?? progress?.loss;
  if (value || value === null) {
    const validation = result?.validation_loss || progress?.validation_loss;
    tiles.push(fact('Loss', loss(value), validation ?
      `validation ${loss(validation)}` : 'nats per token'));
  }
  if (result?.bits_per_byte) {
    tiles.push(fact('Bits per byte', result.bits_per_byte.toPrecision(4),
        `perplexity ${result.perplexity.toPrecision(4)}`));
  }
  const rate = result?.tokens_per_second || progress?.tokens_per_second;
  if (rate) {
    tiles.push(fact('Tokens/s', count(rate), progress?.tokens ?
      `${count(progress.tokens)} tokens in all` : ''));
  }
  if (progress?.memory_peak_bytes) {
    tiles.push(fact('Memory, largest rank', bytes(progress.memory_peak_bytes),
        memoryOfPlan(progress)));
  }
  if (progress?.checkpoint_step) {
    tiles.push(fact('Checkpoint', `step ${whole(progress.checkpoint_step)}`,
        result?.checkpoint_uri));
  }
  return el('div', {class: 'tiles'}, tiles);
}

function curves(job, width) {
  const {loss: losses, validation_loss: marks, tokens_per_second: rates} =
    job.curves ?? {};
  const found = [];
  // Two beside each other where there is room; see .charts.
  const wide = (width >= 900 ? (width - 14) / 2 : width) - 2;
  if (losses?.step.length) {
    found.push(chart(losses, {id: 'loss', title: 'Loss', width: wide, marks,
      marksName: '● validation', format: (v) => v.toPrecision(4)}));
  }
  if (rates?.step.length) {
    found.push(chart(rates, {id: 'rate', title: 'Tokens/s', width: wide,
      fromZero: true, format: count}));
  }
  return found.length ? el('div', {class: 'charts'}, found) : null;
}

function stepTimes(progress) {
  const s = progress?.step_seconds;
  if (!s?.total) return null;
  const parts = [['compute', s.compute], ['exposed communication',
    s.exposed_communication], ['input wait', s.input_wait],
  ['optimiser', s.optimizer], ['checkpoint', s.checkpoint]];
  return el('div', {class: 'panel', 'data-step-times': true},
      el('h3', {}, `A step takes ${duration(s.total)}`),
      stack(parts.map(([name, size]) => [name, size, percent(size / s.total)])));
}

// ---- ranks

// Ranks whose ranges overlap (data-parallel copies) go to different rows.
function rowsOf(ranks) {
  const rows = [];
  for (const rank of ranks) {
    const fits = (row) => row.every((other) => other.token_ranges.every(
        ([b, e]) => rank.token_ranges.every(([c, f]) => e <= c || f <= b)));
    const row = rows.find(fits);
    if (row) row.push(rank);
    else rows.push([rank]);
  }
  return rows;
}

function tokenStrip(ranks, width) {
  const end = Math.max(1, ...ranks.flatMap((r) => r.token_ranges.map(
      ([, e]) => e)));
  const rows = rowsOf(ranks);
  const x = (token) => token / end * width;
  const pieces = rows.flatMap((row, r) => row.flatMap((rank) =>
    rank.token_ranges.map(([b, e]) => svg('g', {},
        svg('title', {}, `rank ${rank.rank}: tokens ${whole(b)} to ${whole(e)}`),
        svg('rect', {class: `hue-${rank.rank % 6}`, x: x(b), y: r * 26,
          width: Math.max(1, x(e) - x(b) - 1), height: 22, rx: 3}),
        x(e) - x(b) > 56 ? svg('text', {x: (x(b) + x(e)) / 2, y: r * 26 + 15,
          'text-anchor': 'middle'}, `rank ${rank.rank}`) : null))));
  return svg('svg', {class: 'strip', width, height: rows.length * 26,
    viewBox: `0 0 ${width} ${rows.length * 26}`, role: 'img',
    'aria-label': `${whole(end)} tokens over ${ranks.length} ranks`}, pieces);
}

function rangesText(rank) {
  return rank.token_ranges.map(([b, e]) => `${whole(b)} to ${whole(e)}`)
      .join(', ');
}

function rankRow(rank, placed) {
  const place = placed.get(rank.rank);
  return el('tr', {'data-rank': rank.rank},
      el('td', {'data-label': 'Rank'}, String(rank.rank)),
      el('td', {'data-label': 'Worker'}, place ?
        `${place.worker}, slot ${place.slot}` : 'not placed'),
      el('td', {'data-label': 'Tokens'}, rangesText(rank)),
      el('td', {'data-label': 'Planned memory'},
          rank.memory ? bytes(rank.memory.total) : '–'));
}

function planParts(memory) {
  const names = {parameters: 'parameters', gradients: 'gradients',
    optimizer: 'optimiser', activations: 'activations',
    workspace: 'workspace', collective_buffers: 'collectives', data: 'data'};
  return Object.entries(names).map(
      ([key, name]) => [name, memory[key], bytes(memory[key])]);
}

function ranksBlock(job, plan, width) {
  if (!plan?.ranks.length) return null;
  const placed = new Map(job.placements.map((rank) => [rank.rank, rank]));
  const shown = plan.ranks.slice(0, MOST_ROWS);
  const left = plan.rank_count - shown.length;
  const heads = ['Rank', 'Worker', 'Tokens', 'Planned memory'];
  const memory = plan.ranks[0].memory;
  return el('div', {class: 'panel'},
      el('h3', {}, 'Which rank holds which tokens'),
      tokenStrip(plan.ranks, width - 34),
      el('table', {class: 'ranks'},
          el('thead', {}, el('tr', {}, heads.map((h) => el('th', {}, h)))),
          el('tbody', {}, shown.map((rank) => rankRow(rank, placed)))),
      left > 0 ? el('p', {class: 'muted'},
          `and ${whole(left)} ranks more: longspan plan`) : null,
      memory?.total ? [el('h3', {}, `What rank 0 is planned to hold: ${
        bytes(memory.total)}, for ${count(plan.parameter_count)} parameters`),
      stack(planParts(memory))] : null);
}

function attemptsBlock(job, now) {
  if (!job.attempts.length) return null;
  const rows = job.attempts.toReversed().map((attempt) => el('tr', {},
      el('td', {'data-label': 'Attempt'}, String(attempt.number)),
      el('td', {'data-label': 'Began'}, ago(attempt.start_time, now)),
      el('td', {'data-label': 'Lasted'}, duration(
          between(attempt.start_time, attempt.end_time ?? now))),
      el('td', {'data-label': 'From'}, attempt.resumed_step ?
        `step ${whole(attempt.resumed_step)}` : 'the beginning'),
      el('td', {'data-label': 'Ended'}, attempt.end_reason ||
        (attempt.end_time ? 'done' : 'runs'))));
  const heads = ['Attempt', 'Began', 'Lasted', 'From', 'Ended'];
  return el('div', {class: 'panel'}, el('h3', {}, 'Attempts'),
      el('table', {}, el('thead', {}, el('tr', {},
          heads.map((h) => el('th', {}, h)))), el('tbody', {}, rows)));
}

// `plan` may be undefined: not known yet.
export function jobView(job, plan, now, width) {
  return [heading(job), notices(job), progressBlock(job), facts(job, now),
    curves(job, width), stepTimes(isFinished(job) ? null : job.progress),
    ranksBlock(job, plan, width), attemptsBlock(job, now)]
      .flat().filter(Boolean);
}
