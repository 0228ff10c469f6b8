/** Two small questions that turn a failed or silent exchange into a sentence somebody can act on. */

/** Longest wait for an answer to either; less where the policy is less patient. */
export const PROBE_MS = 3000;

/** True when a TCP connection can be made: the host is there, only slow to answer. */
export async function acceptsConnections(hostname: string, port: number, ms: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, ms, false);
  const dialling = Bun.connect({
    hostname,
    port,
    socket: {
      open(socket) {
        resolve(true);
        socket.terminate();
      },
      data() {},
      connectError: () => resolve(false),
      error: () => resolve(false),
    },
  }).catch(() => resolve(false));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    void dialling;
  }
}

/**
 * True when `host:port` speaks HTTP without TLS. A TLS server answers the same question with 400
 * (nginx, Go's net/http), so that status says no.
 */
export async function speaksPlainHttp(host: string, ms: number): Promise<boolean> {
  try {
    const response = await fetch(`http://${host}/`, {
      method: 'HEAD',
      headers: { 'accept-encoding': 'identity' },
      redirect: 'manual',
      verbose: false,
      proxy: false,
      signal: AbortSignal.timeout(ms),
    });
    return response.status !== 400;
  } catch {
    return false;
  }
}
