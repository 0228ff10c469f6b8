/** Ends a verb with an exit code when stdout already has its whole answer, as JSON must be alone there. */
export class Reported extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('reported');
    this.exitCode = exitCode;
  }
}
