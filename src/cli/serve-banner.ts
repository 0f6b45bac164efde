import type { ServeConfig } from '../config/serve-config.ts';
import { packageVersion } from '../runtime/package-folder.ts';

/** What a server says of itself when it takes requests, with a command to try. */
export function serveBanner(config: ServeConfig, server: { readonly url: string; readonly tokenizer: string }): string {
  const { run } = config;
  const devices = run.tensorParallel === 1 ? '1' : String(run.tensorParallel);
  const rows: readonly (readonly [string, string])[] = [
    ['url', `${server.url}/v1`],
    ['model', config.modelNames.join(', ')],
    ['backend', `${config.backend}, ${devices} x ${run.device.name}, scenario ${run.scenario}`],
    [
      'engine',
      `${run.engineProfile}, ${run.engine.sequencesMax} sequences, ${run.engine.tokensPerStepMax} tokens a step`,
    ],
    ['time', timeText(config.timeScale)],
    ['tokenizer', server.tokenizer],
    ['keys', keysText(config)],
  ];
  const lines = rows.map(([name, value]) => `  ${name.padEnd(10)} ${value}`);
  return `twinfer ${packageVersion()} takes requests\n${lines.join('\n')}\n\n${curlLine(config, server.url)}\n\n`;
}

function timeText(scale: number): string {
  if (scale === 1) return 'real time (scale 1)';
  if (scale === 0) return 'no waiting (scale 0)';
  return scale < 1
    ? `${rounded(1 / scale)} times faster (scale ${scale})`
    : `${rounded(scale)} times slower (scale ${scale})`;
}

function rounded(factor: number): string {
  return String(Number(factor.toPrecision(3)));
}

function keysText(config: ServeConfig): string {
  if (config.keys.length === 0) return 'none: everybody who reaches the address may ask';
  const admins = config.keys.filter((key) => key.admin).length;
  return `${config.keys.length}, of these for /admin: ${admins}`;
}

/** One line to paste. A server on all addresses is asked on this machine. */
function curlLine(config: ServeConfig, url: string): string {
  const here = url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:');
  const body = { model: config.modelNames[0], stream: true, messages: [{ role: 'user', content: 'Hello' }] };
  const key = config.keys.length === 0 ? '' : ` -H "authorization: Bearer $KEY"`;
  const text = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl -N ${here}/v1/chat/completions${key} -H 'content-type: application/json' -d '${text}'`;
}
