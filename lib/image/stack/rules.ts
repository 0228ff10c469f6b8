/** The rules beside the order of layers. A test leaves one out to show its purpose. */
export interface StackRules {
  /** A repeated layer counts once. */
  readonly topmostOnly: boolean;
  /** Layers below a layer with an opaque root do not count. */
  readonly opaqueRoot: boolean;
  /** Layers get shims below them if their whiteouts have nothing to hide. */
  readonly ghosts: boolean;
  /** Directories that are there for whiteouts alone are hidden. */
  readonly phantoms: boolean;
  /** Implied directories show the attributes of lower ones. */
  readonly implied: boolean;
  /** The root shows the attributes of the topmost layer that names it. */
  readonly root: boolean;
  /** Layers whose files would go through a lower link are unpacked on top of what is below. */
  readonly needsLower: boolean;
}

export const STACK_RULES: StackRules = {
  topmostOnly: true,
  opaqueRoot: true,
  ghosts: true,
  phantoms: true,
  implied: true,
  root: true,
  needsLower: true,
};
