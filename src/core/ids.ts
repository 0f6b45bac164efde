declare const brand: unique symbol;

/** Index of a physical KV block on the device, 0 .. blocksTotal - 1. */
export type BlockId = number & { readonly [brand]: 'BlockId' };

/** Index of a block in the host swap pool, 0 .. hostBlocksTotal - 1. */
export type HostBlockId = number & { readonly [brand]: 'HostBlockId' };

/** Row of the block tables that a running sequence owns, 0 .. sequencesMax - 1. */
export type SeqSlot = number & { readonly [brand]: 'SeqSlot' };

/** Generation number of a request: never reused, never the client's string. */
export type RequestId = number & { readonly [brand]: 'RequestId' };

/** "No block", "no slot", "no node": the one sentinel of every index in the core. */
export const NONE = -1;
