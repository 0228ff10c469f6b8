/** Ends a verb with an exit code and without a sentence, since stdout already has the whole answer in JSON. */
export class Reported extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super('reported');
    this.exitCode = exitCode;
  }
}
