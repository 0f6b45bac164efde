import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { dirname, resolve } from 'node:path';
import { unlimitedKeys } from '../../config/load-serve.ts';
import { isLoopback } from '../../config/loopback.ts';
import type { ServeConfig } from '../../config/serve-config.ts';
import { collectorAddress } from '../../config/tracing-config.ts';
import { openTokenizer } from '../open-tokenizer.ts';
import { type ConnectionRoom, connectionRoom } from '../serving/open-files.ts';
import { type Finding, finding } from './finding.ts';

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const CONNECT_MS = 2000;

/** Whether what a configuration names is there. */
export async function serverChecks(config: ServeConfig): Promise<Finding[]> {
  return [
    await portCheck(config),
    keyCheck(config),
    ...hostCheck(config),
    ...keyLimitChecks(config),
    openFilesCheck(config, connectionRoom(config)),
    tokenizerCheck(config),
    ...fileChecks(config),
    ...(config.tracing === null ? [] : [await collectorCheck(collectorAddress(config.tracing))]),
  ];
}

function portCheck({ host, port }: ServeConfig): Promise<Finding> {
  const address = `${host}:${port}`;
  return new Promise((done) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      const what = error.code === 'EADDRINUSE' ? 'in use' : (error.code ?? error.message);
      done(finding('port', 'fail', `${address}: ${what}`, 'choose another with port or --port, or end who has it'));
    });
    server.listen({ host, port, exclusive: true }, () => {
      server.close(() =>
        done(finding('port', 'ok', port === 0 ? `${host}: the system chooses a free port` : `${address} is free`)),
      );
    });
  });
}

function keyCheck({ keys, host }: ServeConfig): Finding {
  const admins = keys.filter((key) => key.admin).length;
  const found = `${keys.length} keys, ${admins} of them admin keys`;
  if (admins > 0) return finding('keys', 'ok', found);
  const closed = keys.length === 0 && isLoopback(host) ? '/admin is' : '/admin and /debug are';
  return finding('keys', 'warn', found, `without an admin key ${closed} refused: set TWINFER_ADMIN_KEYS`);
}

function hostCheck({ host, allowedHosts }: ServeConfig): Finding[] {
  if (allowedHosts.length === 0 || isLoopback(host)) return [];
  const advice = 'remove it, or listen on a loopback address: on others every Host is answered';
  return [finding('allowed_hosts', 'warn', `has no effect on ${host}`, advice)];
}

function keyLimitChecks(config: ServeConfig): Finding[] {
  const unlimited = unlimitedKeys(config);
  if (unlimited === null) return [];
  const [found, advice] = unlimited.split(': ', 2);
  return [finding('key limits', 'warn', found!, advice)];
}

/** A server starts with fewer, but takes connections one by one then. */
export function openFilesCheck(config: ServeConfig, room: ConnectionRoom): Finding {
  const { openFilesMax, filesReserved, connectionsMax } = room;
  const { connectionsMax: wanted } = config.http;
  if (openFilesMax === null) return finding('open files', 'ok', `limit unknown; max_connections ${wanted}`);
  const found = `limit ${openFilesMax}, max_connections ${wanted}`;
  if (connectionsMax === wanted) return finding('open files', 'ok', found);
  const enough = wanted + filesReserved;
  const advice = `raise the limit to ${enough} (ulimit -n ${enough}, LimitNOFILE=${enough}) or lower limits.max_connections`;
  const verdict = openFilesMax > filesReserved ? 'warn' : 'fail';
  return finding('open files', verdict, `${found}: the server would take ${connectionsMax}`, advice);
}

function tokenizerCheck({ modelFolder }: ServeConfig): Finding {
  try {
    const tokenizer = openTokenizer(modelFolder);
    const ids = tokenizer.encode('Hello, world', false);
    return finding(
      'tokenizer',
      'ok',
      `${tokenizer.name}: ${tokenizer.vocabularySize} tokens, "Hello, world" is ${ids.length}`,
    );
  } catch (error) {
    return finding(
      'tokenizer',
      'fail',
      (error as Error).message,
      'model_folder: a folder of Hugging Face files that can be read',
    );
  }
}

function fileChecks({ logFile, record }: ServeConfig): Finding[] {
  const findings: Finding[] = [];
  if (logFile !== null) findings.push(fileCheck('log file', logFile));
  if (record !== null) findings.push(fileCheck('recording', record.file));
  return findings;
}

function fileCheck(check: string, file: string): Finding {
  const folder = dirname(resolve(file));
  try {
    accessSync(existsSync(file) ? file : folder, constants.W_OK);
  } catch {
    return finding(check, 'fail', `${file} cannot be written`, 'make its folder, or choose another');
  }
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const found = `${file}: ${(free / GIB).toFixed(1)} GiB free`;
  if (free < 100 * MIB) return finding(check, 'fail', found, 'free space: lines that cannot be written are lost');
  if (free < GIB) return finding(check, 'warn', found, 'free space, or rotate the file');
  return finding(check, 'ok', found);
}

/** Whether somebody listens there; no span is sent. */
function collectorCheck(address: string): Promise<Finding> {
  const advice = 'start the collector, or set OTEL_SDK_DISABLED=true: the server runs, its traces are lost';
  if (!URL.canParse(address))
    return Promise.resolve(finding('collector', 'fail', `${address} is no URL`, 'allowed: http://host:port'));
  const url = new URL(address);
  const port = Number(url.port) || (url.protocol === 'https:' ? 443 : 80);
  return new Promise((done) => {
    const socket = connect({ host: url.hostname.replace(/^\[|\]$/g, ''), port, timeout: CONNECT_MS });
    const end = (result: Finding) => {
      socket.destroy();
      done(result);
    };
    socket.once('connect', () => end(finding('collector', 'ok', `${url.host} takes connections`)));
    socket.once('timeout', () => end(finding('collector', 'warn', `${url.host} does not answer`, advice)));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      end(finding('collector', 'warn', `${url.host}: ${error.code ?? error.message}`, advice)),
    );
  });
}
