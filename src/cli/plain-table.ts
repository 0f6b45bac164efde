/** Tables without colour: the same bytes on a terminal and in a file. */
export const PLAIN_TABLE = { style: { head: [] as string[], border: [] as string[] } };
