export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

/** overlayfs refuses more lower directories (OVL_MAX_STACK in fs/overlayfs/params.h). */
export const MAX_LOWER_DIRS = 500;

/**
 * The most layers in a manifest. Each layer is a line in the record of every container, which each clean reads. The kernel
 * stacks fewer (MAX_LOWER_DIRS), but a layer that is listed twice is stacked once. Docker itself stops at 127.
 */
export const MAX_LAYERS = 1000;

/** Registries refuse larger manifests (distribution: 4 MiB). */
export const MAX_MANIFEST_BYTES = 4 * MiB;
/** An image configuration holds a history; containers/image stops at the same size. */
export const MAX_CONFIG_BYTES = 4 * MiB;

/** GrootFS raises any smaller limit to this (its MinQuota), and Diego's tests count on it. */
export const MIN_QUOTA_BYTES = 256 * KiB;
