// The panel's feed: server-sent events of the running call.
// Knows no chart; EventSource itself resumes after a broken line.

/**
 * @param {string} path of the call's events @param {(data: object) => void} take
 * @param {() => void} broke the line broke: the first sign of a server that went away
 * @returns {() => void} ends it
 */
export function listen(path, take, broke) {
  const source = new EventSource(path);
  source.addEventListener('telemetry', (event) => {
    let data = null;
    try {
      data = JSON.parse(event.data);
    } catch {
      return;
    }
    take(data);
  });
  source.addEventListener('error', broke);
  return () => source.close();
}
