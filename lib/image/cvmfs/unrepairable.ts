/** What is lost cannot be made good beside the layer. */
export class Unrepairable extends Error {}
