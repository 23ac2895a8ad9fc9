// Workers, when they were last heard, and what computes on their slots.

import {el} from './dom.js';
import {ago, between, bytes, shortName} from './format.js';
import {badge, jobLink} from './job_list.js';

function slotTitle(slot) {
  return [slot.model || slot.kind, slot.threads ? `${slot.threads} threads` : '',
    slot.memory_bytes ? bytes(slot.memory_bytes) : ''].filter(Boolean)
      .join(', ');
}

function slotItem(slot) {
  return el('li', {class: slot.job ? 'used' : 'free', title: slotTitle(slot)},
      `${slot.kind} ${slot.slot}: `, slot.job ?
        [jobLink(slot.job, shortName(slot.job)), ` rank ${slot.rank}`] :
        'free');
}

function row(worker, now, lease) {
  const silent = between(worker.last_heartbeat, now) > lease;
  return el('tr', {'data-worker': worker.name},
      el('td', {class: 'what'}, el('b', {}, worker.name),
          el('small', {}, [worker.hostname, worker.build].filter(Boolean)
              .join(' · '))),
      el('td', {'data-label': 'State'}, badge(worker.state)),
      el('td', {'data-label': 'Last heartbeat', class: silent ? 'late' : null},
          ago(worker.last_heartbeat, now)),
      el('td', {'data-label': 'Slots'},
          el('ul', {class: 'slots'}, worker.slots.map(slotItem))));
}

function emptyState() {
  return el('div', {class: 'empty'},
      el('p', {}, 'No worker is registered, so jobs wait. Start one on each ' +
        'machine, or all on this one:'),
      el('pre', {}, 'longspan-worker --coordinator HOST:7600 --name NAME ' +
        '--root corpus=/data\nlongspan up --workers 2 --root corpus=/data'));
}

export function workerTable(workers, now, lease) {
  if (!workers.length) return emptyState();
  const heads = ['Worker', 'State', 'Last heartbeat', 'Slots'];
  return el('table', {class: 'workers'},
      el('thead', {}, el('tr', {}, heads.map((h) => el('th', {}, h)))),
      el('tbody', {}, workers.map((worker) => row(worker, now, lease))));
}
