import type { JobState, Queue } from './queue.ts';
import type { Worker } from './worker.ts';

const STATES: readonly JobState[] = ['queued', 'publishing', 'done', 'failed'];

/** The figures of the agent as Prometheus text. @param answers numbers of answers by status */
export function metricsText(queue: Queue, worker: Worker, answers: ReadonlyMap<number, number>): string {
  const lines = [
    '# TYPE graft_publisher_jobs gauge',
    ...STATES.map((state) => `graft_publisher_jobs{state="${state}"} ${queue.count(state)}`),
    '# TYPE graft_publisher_published_total counter',
    `graft_publisher_published_total ${worker.published}`,
    '# TYPE graft_publisher_failures_total counter',
    `graft_publisher_failures_total ${worker.failures}`,
    '# TYPE graft_publisher_answers_total counter',
    ...[...answers]
      .sort()
      .map(([status, count]) => `graft_publisher_answers_total{status="${status}"} ${count}`),
  ];
  if (worker.lastSuccess !== undefined)
    lines.push(
      '# TYPE graft_publisher_last_success_timestamp_seconds gauge',
      `graft_publisher_last_success_timestamp_seconds ${worker.lastSuccess / 1000}`,
    );
  return `${lines.join('\n')}\n`;
}
