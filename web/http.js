// Requests to the server over HTTP; every failure becomes a sentence.
// Knows no route: callers name them.

/** What went wrong, in words. `code` is stable, `retryS` seconds to wait or null. */
export class Trouble extends Error {
  /** @param {string} code @param {string} text @param {number | null} retryS */
  constructor(code, text, retryS = null) {
    super(text);
    this.name = 'Trouble';
    this.code = code;
    this.retryS = retryS;
  }
}

const DEADLINE_MS = 10_000;

async function refusalOf(response) {
  try {
    const body = await response.json();
    const refusal = body?.refusal ?? body?.result?.refusal;
    return refusal && typeof refusal.remedy === 'string' ? refusal : null;
  } catch {
    return null;
  }
}

/** @param {number} status @param {{code?: string, field?: string, remedy: string} | null} refusal @param {number | null} retryS */
export function troubleOf(status, refusal, retryS) {
  const remedy = refusal ? ` ${refusal.remedy}.` : '';
  const wait = retryS ? ` Try again in ${retryS} s.` : ' Try again in a moment.';
  switch (status) {
    case 401:
      return new Trouble('locked', 'The server asks for its token. Open the page by the link it printed at its start.');
    case 403:
      return new Trouble('forbidden', 'The server does not serve this address. Open the page by the link it printed at its start.');
    case 404:
    case 410:
      return new Trouble('unknown', `The server does not know this call any more.${remedy}`);
    case 429:
      return new Trouble('too_fast', `Too many calls in a short time.${wait}`, retryS ?? 2);
    case 503:
      return new Trouble('full', `All lines are in use.${wait}`, retryS ?? 5);
    default:
      if (status >= 500) return new Trouble('broken', `The server made an error (${status}).${wait}`, retryS);
      return new Trouble('refused', `The server refused (${status}).${remedy}`);
  }
}

/**
 * @param {string} token access token, or empty
 * @param {typeof fetch} [send]
 */
export function createHttp(token, send = (...given) => fetch(...given)) {
  const headersOf = (headers) => (token ? { ...headers, Authorization: `Bearer ${token}` } : { ...headers });

  /** Performs a request; resolves with an ok Response, rejects with Trouble. */
  async function request(path, { method = 'GET', headers = {}, body, keepalive = false } = {}) {
    const cut = new AbortController();
    const timer = setTimeout(() => cut.abort(), DEADLINE_MS);
    let response;
    try {
      response = await send(path, {
        method, body, keepalive, headers: headersOf(headers), signal: cut.signal, cache: 'no-store', credentials: 'same-origin',
      });
    } catch {
      throw new Trouble('gone', 'The server does not answer. Is it still running?');
    } finally {
      clearTimeout(timer);
    }
    if (response.ok) return response;
    const wait = Number.parseInt(response.headers.get('Retry-After') ?? '', 10);
    throw troubleOf(response.status, await refusalOf(response), Number.isFinite(wait) ? wait : null);
  }

  /** For EventSource and sendBeacon, which cannot set headers. */
  const withToken = (path) => (token ? `${path}${path.includes('?') ? '&' : '?'}access_token=${encodeURIComponent(token)}` : path);

  return {
    request,
    withToken,
    json: async (path) => (await request(path)).json(),
  };
}
