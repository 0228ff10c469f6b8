/** Thrown when lost attributes cannot be repaired beside the layer. */
export class Unrepairable extends Error {}
