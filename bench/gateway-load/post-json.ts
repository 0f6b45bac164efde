import { type Agent, request as httpRequest, type IncomingMessage } from 'node:http';

export interface PostOptions {
  readonly port: number;
  readonly agent: Agent;
  /** null: the server wants none. */
  readonly key: string | null;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** POST of a JSON text to the loopback; resolves when the answer's head is here. */
export function postJson(path: string, body: string, options: PostOptions): Promise<IncomingMessage> {
  const { port, agent, key, headers = {}, signal } = options;
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        port,
        host: '127.0.0.1',
        path,
        method: 'POST',
        agent,
        ...(signal === undefined ? {} : { signal }),
        headers: {
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
          ...(key === null ? {} : { authorization: `Bearer ${key}` }),
          ...headers,
        },
      },
      resolve,
    );
    request.once('error', reject);
    request.end(body);
  });
}

export async function textOf(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}
