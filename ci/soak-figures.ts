import { readFileSync } from 'node:fs';

/** The time and memory of one process. */
export interface Taken {
  readonly verb: string;
  readonly milliseconds: number;
  readonly cpuMilliseconds: number;
  readonly peakMiB: number;
}

interface Sum {
  count: number;
  milliseconds: number;
  cpuMilliseconds: number;
  peakMiB: number;
}

/** Counts, and says them in the end. */
export class Figures {
  readonly faults: string[] = [];
  readonly #sums = new Map<string, Sum>();
  readonly #sentences = new Map<string, number>();
  readonly #slab = slabMiB();
  #killed = 0;
  #seconds = 0;
  #done = 0;

  took({ verb, milliseconds, cpuMilliseconds, peakMiB }: Taken): void {
    const sum = this.#sums.get(verb) ?? { count: 0, milliseconds: 0, cpuMilliseconds: 0, peakMiB: 0 };
    sum.count += 1;
    sum.milliseconds += milliseconds;
    sum.cpuMilliseconds += cpuMilliseconds;
    sum.peakMiB = Math.max(sum.peakMiB, peakMiB);
    this.#sums.set(verb, sum);
  }

  killed(): void {
    this.#killed += 1;
  }

  /** A verb that nobody killed and that failed all the same. */
  failed(verb: string, sentence: string): void {
    const known = `${verb}: ${sentence
      .trim()
      .replace(/c\d+/g, 'ID')
      .replace(/[0-9a-f]{64}/g, 'DIGEST')}`;
    this.#sentences.set(known, (this.#sentences.get(known) ?? 0) + 1);
    if (this.#sentences.get(known) === 1) this.fault(known);
  }

  fault(what: string): void {
    this.faults.push(what);
  }

  ended(done: number, milliseconds: number): void {
    this.#done = done;
    this.#seconds = milliseconds / 1000;
  }

  line(): string {
    return `${this.#killed} killed, ${this.faults.length} faults`;
  }

  report(): string[] {
    const rate = this.#seconds > 0 ? this.#done / this.#seconds : 0;
    return [
      `${this.#done} containers in ${this.#seconds.toFixed(0)} s: ${rate.toFixed(1)} creates and deletes a second`,
      `${this.#killed} processes killed; slab ${this.#slab} MiB before, ${slabMiB()} MiB after`,
      ...[...this.#sums].sort().map(([verb, sum]) => {
        const [wall, cpu] = [sum.milliseconds / sum.count, sum.cpuMilliseconds / sum.count];
        return `${verb}: ${sum.count} times, ${cpu.toFixed(1)} ms of CPU and ${wall.toFixed(0)} ms each, at most ${sum.peakMiB.toFixed(0)} MiB`;
      }),
      ...[...this.#sentences].map(([sentence, count]) => `failed ${count} times: ${sentence}`),
      ...this.faults.slice(0, 20).map((fault) => `fault: ${fault}`),
      this.faults.length === 0 ? 'nothing is left, nothing failed' : `${this.faults.length} faults`,
    ];
  }
}

/** proc_meminfo(5): the kernel's own memory, of the whole machine. */
function slabMiB(): number {
  const kib = /^Slab:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1];
  return Math.round(Number(kib) / 1024);
}
