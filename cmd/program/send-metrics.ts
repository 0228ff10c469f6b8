import type { Logger } from '../../lib/base/log.ts';
import type { Metrics } from '../../lib/plugin/metrics/metrics.ts';
import { numericAddress, sendToMetron } from '../../lib/plugin/metrics/metron.ts';

export interface MetricTargets {
  readonly store: string;
  readonly metronEndpoint: string | undefined;
  /** The file of the command line, which comes before that of the extra settings. */
  readonly metricsFile: string | undefined;
  readonly extra: () => Promise<{ readonly metricsFile: string | undefined }>;
}

/** Sends the metrics at the end of a call, also after a failure. An error is logged only, since metrics decide nothing. */
export async function sendMetrics(metrics: Metrics, targets: MetricTargets, log: Logger): Promise<void> {
  const { store, metronEndpoint } = targets;
  try {
    if (metronEndpoint !== undefined && !(await sendToMetron(metronEndpoint, metrics.collect(), resolve)))
      log.info('metrics-not-sent', { metronEndpoint });
  } catch (error) {
    log.info('metrics-not-sent', { metronEndpoint, error: String(error) });
  }
  try {
    const file = targets.metricsFile ?? (await targets.extra()).metricsFile;
    if (file === undefined) return;
    const { writePrometheusFile } = await import('../../lib/plugin/metrics/prometheus.ts');
    writePrometheusFile(file, metrics.collect(), store);
  } catch (error) {
    log.error('metrics-not-written', error);
  }
}

async function resolve(host: string): Promise<Uint8Array | undefined> {
  const [found] = await Bun.dns.lookup(host, { family: 4, socketType: 'udp' });
  return found === undefined ? undefined : numericAddress(found.address);
}
