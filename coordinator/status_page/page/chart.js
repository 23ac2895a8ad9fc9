// A curve over steps as SVG: the mean of each thinned point as a line, its
// least and most as a band, marks for single values, and a readout of the step
// under the pointer.

import {el, svg} from './dom.js';
import {count, whole} from './format.js';

const HEIGHT = 220;
const MARGIN = {left: 52, right: 14, top: 12, bottom: 24};

// Round numbers that span [low, high].
export function ticks(low, high, most) {
  const rough = (high - low) / most || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high * (1 + 1e-12); ++i) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found;
}

function extent(values) {
  const finite = values.filter(Number.isFinite);
  return finite.length ? [Math.min(...finite), Math.max(...finite)] : [0, 1];
}

function scales(curve, marks, width, fromZero) {
  let [low, high] = extent([...curve.least, ...curve.most, ...marks.mean]);
  if (fromZero) low = 0;
  const room = (high - low || Math.abs(high) || 1) * 0.06;
  low = fromZero ? 0 : low - room;
  high += room;
  const [first, last] = extent([...curve.step, ...marks.step]);
  const inner = {
    width: width - MARGIN.left - MARGIN.right,
    height: HEIGHT - MARGIN.top - MARGIN.bottom,
  };
  return {
    low, high, first, last,
    x: (step) => MARGIN.left + inner.width *
        (last > first ? (step - first) / (last - first) : 0.5),
    y: (value) => MARGIN.top + inner.height * (high - value) / (high - low),
  };
}

// 300000 -> 300k, 1500 -> 1.5k, 0.250 -> 0.25
function tickText(value) {
  if (Math.abs(value) < 1000) return String(value);
  const text = count(value);
  return parseFloat(text) + text.slice(-1);
}

function axes(scale, width) {
  const lines = ticks(scale.low, scale.high, 5).map((value) => [
    svg('line', {class: 'grid', x1: MARGIN.left, x2: width - MARGIN.right,
      y1: scale.y(value), y2: scale.y(value)}),
    svg('text', {class: 'tick', x: MARGIN.left - 8, y: scale.y(value) + 4,
      'text-anchor': 'end'}, tickText(value)),
  ]);
  const steps = ticks(scale.first, scale.last, Math.max(3, width / 130))
      .filter(Number.isInteger)
      .map((step) => svg('text', {class: 'tick', x: scale.x(step),
        y: HEIGHT - 6, 'text-anchor': 'middle'}, whole(step)));
  return [...lines.flat(), ...steps];
}

// Runs of finite points, each a list of indices: a NaN breaks the line.
function runs(values) {
  const found = [[]];
  values.forEach((value, i) => {
    if (Number.isFinite(value)) found.at(-1).push(i);
    else if (found.at(-1).length) found.push([]);
  });
  return found.filter((run) => run.length);
}

function path(run, x, y) {
  return 'M' + run.map((i) => `${x(i).toFixed(1)},${y(i).toFixed(1)}`).join('L');
}

function drawCurve(curve, scale) {
  const x = (i) => scale.x(curve.step[i]);
  return runs(curve.mean).map((run) => [
    svg('path', {class: 'band', d: path(run, x, (i) => scale.y(curve.most[i])) +
        'L' + path([...run].reverse(), x, (i) => scale.y(curve.least[i]))
        .slice(1) + 'Z'}),
    run.length > 1 ?
      svg('path', {class: 'line', d: path(run, x, (i) => scale.y(curve.mean[i]))}) :
      svg('circle', {class: 'dot', r: 3, cx: x(run[0]),
        cy: scale.y(curve.mean[run[0]])}),
  ]).flat();
}

function drawMarks(marks, scale) {
  return marks.step.map((step, i) => Number.isFinite(marks.mean[i]) ?
    svg('circle', {class: 'mark', r: 3.5, cx: scale.x(step),
      cy: scale.y(marks.mean[i])}) : null);
}

function nearest(steps, step) {
  let best = 0;
  steps.forEach((candidate, i) => {
    if (Math.abs(candidate - step) < Math.abs(steps[best] - step)) best = i;
  });
  return best;
}

// The step that the pointer was last at, by chart, so that a new drawing of
// the same chart goes on showing it.
const pointed = new Map();

function follow(canvas, readout, id, curve, scale, say) {
  const cross = svg('line', {class: 'cross', y1: MARGIN.top,
    y2: HEIGHT - MARGIN.bottom});
  const show = () => {
    const step = pointed.get(id);
    cross.toggleAttribute('hidden', step === undefined);
    const i = step === undefined ? curve.step.length - 1 :
      nearest(curve.step, step);
    cross.setAttribute('x1', scale.x(curve.step[i]));
    cross.setAttribute('x2', scale.x(curve.step[i]));
    readout.replaceChildren(say(i));
  };
  canvas.append(cross);
  canvas.addEventListener('pointermove', (event) => {
    const box = canvas.getBoundingClientRect();
    const part = (event.clientX - box.left - MARGIN.left) /
        (box.width - MARGIN.left - MARGIN.right);
    pointed.set(id, scale.first + part * (scale.last - scale.first));
    show();
  });
  canvas.addEventListener('pointerleave', () => {
    pointed.delete(id);
    show();
  });
  show();
}

// options: {id, title, width, format, fromZero, marks, marksName}
export function chart(curve, options) {
  const marks = options.marks ?? {step: [], mean: []};
  const {width, format} = options;
  const scale = scales(curve, marks, width, options.fromZero);
  const canvas = svg('svg', {class: 'chart', width, height: HEIGHT,
    viewBox: `0 0 ${width} ${HEIGHT}`, role: 'img', 'aria-label':
      `${options.title} from step ${curve.step[0]} to ${curve.step.at(-1)}`},
  axes(scale, width), drawCurve(curve, scale), drawMarks(marks, scale));
  const readout = el('span', {class: 'readout'});
  const say = (i) => {
    const mean = Number.isFinite(curve.mean[i]) ? format(curve.mean[i]) :
      'not finite';
    const spread = curve.least[i] === curve.most[i] ? '' :
      ` (${format(curve.least[i])} to ${format(curve.most[i])})`;
    return `step ${whole(curve.step[i])}: ${mean}${spread}`;
  };
  const figure = el('figure', {'data-chart': options.id},
      el('figcaption', {}, el('b', {}, options.title),
          marks.step.length ? el('span', {class: 'marks-name'},
              options.marksName) : null, readout),
      canvas);
  follow(canvas, readout, options.id, curve, scale, say);
  return figure;
}
