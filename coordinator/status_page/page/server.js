// Questions to the coordinator: docs/formats/status.md.

const TIMEOUT_MS = 5000;

// The coordinator answered, and refused.
export class Refused extends Error {
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

// parameters: {name: value or list of values}
export async function ask(name, parameters = {}) {
  const query = new URLSearchParams();
  for (const [key, values] of Object.entries(parameters)) {
    for (const value of [values].flat()) query.append(key, value);
  }
  const response = await fetch(`/status/v1/${name}?${query}`, {
    cache: 'no-store',
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (!response.ok) {
    throw new Refused(response.status, (await response.text()).trim());
  }
  return response.json();
}
