import { Command } from 'commander';
import { keySha256 } from '../config/api-keys.ts';
import { UsageError } from './exit-codes.ts';
import type { CliContext } from './run-twin.ts';

/** Shorter keys can be guessed from their SHA-256 if the configuration leaks. */
const KEY_CHARACTERS_SAFE = 20;

/** `twinfer hash-key`: what `auth.keys` wants instead of a key. */
export function hashKeyCommand(context: CliContext, readKey: () => Promise<string> = standardInput): Command {
  return new Command('hash-key')
    .description('Read an API key from standard input and print its SHA-256, for auth.keys of a server configuration')
    .addHelpText(
      'after',
      `
Examples:
  $ twinfer hash-key < key.txt
  $ openssl rand -hex 24 | tee key.txt | twinfer hash-key`,
    )
    .action(async () => {
      const key = (await readKey()).replace(/\r?\n$/, '');
      // The key itself is in no message.
      if (!/^[\x21-\x7e]+$/.test(key)) {
        throw new UsageError('key on standard input: allowed: visible ASCII characters without spaces, on one line');
      }
      if (key.length < KEY_CHARACTERS_SAFE) {
        context.io.stderr.write(`note: keys of fewer than ${KEY_CHARACTERS_SAFE} characters can be guessed\n`);
      }
      context.io.stdout.write(`${keySha256(key)}\n`);
    });
}

async function standardInput(): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
