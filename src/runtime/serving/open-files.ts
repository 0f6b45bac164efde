import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import type { ServeConfig } from '../../config/serve-config.ts';
import { CONNECTIONS_RESERVED } from '../../gateway/connections.ts';

/** Files of the process itself: threads, log, recording, exporters, and the modules that a new thread opens at once. */
const OWN_FILES = 96;
const FILES_PER_TOKENIZER_THREAD = 16;

export interface ConnectionRoom {
  /** Open files that the system allows; null: it does not tell. */
  readonly openFilesMax: number | null;
  /** Files that are kept for the process itself and for connections of probes and scrapers. */
  readonly filesReserved: number;
  /** The configured maximum, or fewer where that does not fit; at least 1. */
  readonly connectionsMax: number;
}

/** How many connections fit under the limit of open files. */
export function connectionRoom(config: ServeConfig, openFilesMax: number | null = openFilesLimit()): ConnectionRoom {
  const filesReserved = OWN_FILES + FILES_PER_TOKENIZER_THREAD * config.tokenizerThreads + CONNECTIONS_RESERVED;
  const { connectionsMax: wanted } = config.http;
  const connectionsMax = openFilesMax === null ? wanted : Math.max(1, Math.min(wanted, openFilesMax - filesReserved));
  return { openFilesMax, filesReserved, connectionsMax };
}

/** The limit of this process, which Node has raised to what the system grants; null where there is no such file, or no limit. */
function openFilesLimit(): number | null {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    return soft === null ? null : Number(soft[1]);
  } catch {
    return null;
  }
}

/** `localhost` may be two addresses; one server listens on the first, so that one place knows all connections. */
export async function addressToListenOn(host: string): Promise<string> {
  return host.toLowerCase() === 'localhost' ? (await lookup(host)).address : host;
}
