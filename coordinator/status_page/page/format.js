// Numbers and times as people read them.

const NONE = '–';

// 999, 1.23k, 45.6M
export function count(value) {
  if (!Number.isFinite(value)) return NONE;
  const units = ['', 'k', 'M', 'G', 'T'];
  let i = 0;
  while (Math.abs(value) >= 999.5 && i < units.length - 1) {
    value /= 1000;
    i += 1;
  }
  const digits = i === 0 ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0;
  return value.toFixed(digits) + units[i];
}

// 1,234,567
export function whole(value) {
  return Math.round(value).toLocaleString('en');
}

// 512 B, 1.5 GiB
export function bytes(value) {
  if (!Number.isFinite(value)) return NONE;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  while (value >= 1024 && i < units.length - 1) {
    value /= 1024;
    i += 1;
  }
  return `${i === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${
    units[i]}`;
}

// 199 ms, 1.2 s, 12 s, 3m 05s, 2h 07m, 4d 03h
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return NONE;
  const s = Math.max(0, seconds);
  if (s < 0.9995) return `${(1000 * s).toPrecision(3)} ms`;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 59.5) return `${Math.round(s)} s`;
  const two = (n) => String(Math.floor(n)).padStart(2, '0');
  if (s < 3600) return `${Math.floor(s / 60)}m ${two(s % 60)}s`;
  if (s < 86400) return `${Math.floor(s / 3600)}h ${two(s % 3600 / 60)}m`;
  return `${Math.floor(s / 86400)}d ${two(s % 86400 / 3600)}h`;
}

// Seconds from one time of the server to another; NaN if one is missing.
export function between(from, to) {
  return from && to ? (Date.parse(to) - Date.parse(from)) / 1000 : NaN;
}

export function ago(time, now) {
  const seconds = between(time, now);
  if (!Number.isFinite(seconds)) return NONE;
  return seconds < 1 ? 'just now' : `${duration(Math.round(seconds))} ago`;
}

// null is what JSON has for NaN and infinities.
export function loss(value) {
  if (value === null) return 'not finite';
  return value ? value.toPrecision(4) : NONE;
}

export function percent(part) {
  return Number.isFinite(part) ? `${Math.floor(100 * part)} %` : NONE;
}

// tenants/default/jobs/x -> x
export function shortName(name) {
  return name.slice(name.lastIndexOf('/') + 1);
}

// The tenant is shown where it is not the default one.
export function tenant(name) {
  const parts = name.split('/');
  return parts[1] === 'default' ? '' : parts[1];
}
