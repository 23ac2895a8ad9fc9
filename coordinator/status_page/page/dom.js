// Elements from plain values. Text is always a text node, so that nothing a
// job is called can become markup.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === 'function') element.addEventListener(name, value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter(
      (child) => child !== null && child !== undefined && child !== ''));
  return element;
}

// el('a', {href: '#', class: 'x', click: f}, 'text', child, [children])
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function byId(id) {
  return document.getElementById(id);
}

// Runs `draw`, which replaces elements, and gives the keyboard back what it
// had: elements are known by their attribute data-focus.
export function redraw(draw) {
  const focused = document.activeElement?.dataset?.focus;
  draw();
  if (!focused || document.activeElement?.dataset?.focus === focused) return;
  document.querySelector(`[data-focus="${CSS.escape(focused)}"]`)
      ?.focus({preventScroll: true});
}

// A bar that is `part` (0..1) full.
export function bar(part, kind, label) {
  const inner = el('span', {class: `fill ${kind}`});
  inner.style.width = `${100 * Math.min(1, Math.max(0, part))}%`;
  return el('span', {class: 'bar', role: 'img', 'aria-label': label}, inner);
}

// What a whole is made of: parts is [[name, size, text of the size]].
export function stack(parts) {
  const shown = parts.filter(([, size]) => size > 0);
  const total = shown.reduce((sum, [, size]) => sum + size, 0);
  const pieces = shown.map(([name, size], i) => {
    const piece = el('span', {class: `part hue-${i}`, title: name});
    piece.style.flexGrow = size / total;
    return piece;
  });
  const legend = shown.map(([name, , text], i) => el('li', {},
      el('span', {class: `key hue-${i}`}), `${name} `, el('b', {}, text)));
  return [el('div', {class: 'stack', 'aria-hidden': 'true'}, pieces),
    el('ul', {class: 'legend'}, legend)];
}
