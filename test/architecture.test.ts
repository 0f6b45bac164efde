import ts from 'typescript';
import { describe, expect, it } from 'vitest';
import { checkLayers, checkStyle } from './support/architecture/check-file.ts';
import { importCycles, importsOf, resolveRelative } from './support/architecture/imports.ts';
import { LAYERS, layerOf } from './support/architecture/layers.ts';
import { copiesOfLists, VALUE_LISTS } from './support/architecture/value-lists.ts';
import { readRepositoryFile, repositoryFiles } from './support/repository-files.ts';

const files = repositoryFiles();
const typescript = files.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'));

describe('layers', () => {
  it('sees the source it is meant to judge', () => {
    expect(typescript.filter((path) => path.startsWith('src/core/')).length).toBeGreaterThan(10);
  });

  it('puts every source file into a layer', () => {
    const homeless = typescript.filter((path) => /^(src|replay)\//.test(path) && layerOf(path) === null);
    expect(homeless).toEqual([]);
  });

  it.each(LAYERS.map((layer) => layer.name))('%s keeps to what it may import and use', (name) => {
    const own = typescript.filter((path) => layerOf(path)?.name === name);
    expect(own.flatMap((path) => checkLayers(path, readRepositoryFile(path)).map((v) => v.text))).toEqual([]);
  });

  it('has no directions that could form a cycle between layers', () => {
    const graph = new Map(LAYERS.map((layer) => [layer.name, layer.imports] as const));
    expect(importCycles(graph)).toEqual([]);
  });

  it('has no import cycle between files at run time', () => {
    const graph = new Map<string, string[]>();
    for (const path of typescript.filter((file) => layerOf(file) !== null)) {
      const source = ts.createSourceFile(path, readRepositoryFile(path), ts.ScriptTarget.ES2022, true);
      const targets = importsOf(source).filter((site) => !site.typeOnly);
      graph.set(
        path,
        targets.map((site) => resolveRelative(path, site.specifier)).filter((target) => target !== null),
      );
    }
    expect(importCycles(graph).map((cycle) => cycle.join(' -> '))).toEqual([]);
  });
});

describe('one composition', () => {
  const source = typescript.filter((path) => path.startsWith('src/'));
  const having = (pattern: RegExp, paths: readonly string[] = source) =>
    paths.filter((path) => pattern.test(readRepositoryFile(path)));

  it('makes simulated backends and engines in one place each', () => {
    expect(having(/new SimulatedBackend\(/)).toEqual(['src/backends/simulated/open-simulated.ts']);
    expect(having(/new Engine\(/)).toEqual(['src/backends/open-backend.ts']);
    expect(having(/new (VirtualClock|PacedClock|SystemClock)\(/)).toEqual(['src/backends/open-backend.ts']);
  });

  it('leaves gateway and engine thread without a word of the simulator', () => {
    const serving = source.filter((path) => /^src\/(gateway|runtime\/serving)\//.test(path));
    expect(serving.length).toBeGreaterThan(50);
    expect(having(/backends\/simulated|VirtualClock|PacedClock|SimulatedBackend/, serving)).toEqual([]);
  });
});

describe('lists of values', () => {
  it('exist once, in the core', () => {
    const source = typescript.filter((path) => /^(src|replay)\//.test(path));
    const places = source.flatMap((path) => copiesOfLists(path, readRepositoryFile(path)));
    const outside = places.filter((place) => !place.startsWith('src/core/'));
    expect(outside).toEqual([]);
    expect(places.length).toBe(Object.keys(VALUE_LISTS).length);
  });

  it('a copy is found as an array, as a union, and with a value missing', () => {
    const copies = [
      `const x = ['memory_pressure', 'priority'];`,
      `type X = 'transient' | 'sticky' | 'device-lost';`,
      `f(['stop', 'length', 'abort', 'error']);`,
    ];
    for (const text of copies) expect(copiesOfLists('src/a.ts', text)).toHaveLength(1);
    expect(copiesOfLists('src/a.ts', `const ok = ['stop', 'length'];`)).toEqual([]);
  });
});

describe('style', () => {
  it('holds in every TypeScript file: no any, erasable syntax, no leftovers, readable length', () => {
    expect(typescript.flatMap((path) => checkStyle(path, readRepositoryFile(path)).map((v) => v.text))).toEqual([]);
  });

  it('names no machine: no absolute home paths, no registry hosts, no download addresses in the lockfile', () => {
    const place = /(?<![\w.:/-])\/(?:work|home|root|Users)\/\w|registry\.(?:npmjs|yarnpkg)\.|"resolved": "http/;
    const text = files.filter(
      (path) => !/\.(gz|png|jpe?g|ico|woff2?)$/.test(path) && path !== 'test/architecture.test.ts',
    );
    const leaks = text.flatMap((path) =>
      readRepositoryFile(path)
        .split('\n')
        .flatMap((line, index) => (place.test(line) ? [`${path}:${index + 1}: ${line.trim().slice(0, 120)}`] : [])),
    );
    expect(leaks).toEqual([]);
  });
});

/** A rule that has never caught anything may be unable to: each planted line must be caught, with the replacement named. */
const PLANTED_IN_LAYERS: readonly (readonly [what: string, path: string, text: string, message: RegExp])[] = [
  [
    'core imports a backend',
    'src/core/a.ts',
    `import { x } from '../backends/simulated/x.ts';`,
    /may not import backends/,
  ],
  [
    'core imports a type of the edge',
    'src/core/a.ts',
    `import type { X } from '../config/x.ts';`,
    /may not import config/,
  ],
  ['core imports by an import type', 'src/core/a.ts', `let x: import('../runtime/x.ts').X;`, /may not import runtime/],
  [
    'core re-exports the simulation',
    'src/core/a.ts',
    `export * from '../simulation/x.ts';`,
    /may not import simulation/,
  ],
  ['core imports a package', 'src/core/a.ts', `import { z } from 'zod';`, /package zod; allowed: nothing/],
  [
    'core imports a module of Node',
    'src/core/a.ts',
    `import { createHash } from 'node:crypto';`,
    /may not import node:crypto/,
  ],
  ['core imports Node without prefix', 'src/core/a.ts', `import os from 'os';`, /may not import os/],
  ['core requires', 'src/core/a.ts', `const x = require('fs');`, /module fs is banned here: take the content/],
  ['core imports what nobody can read', 'src/core/a.ts', `const x = import(name);`, /package <computed>/],
  ['core awaits', 'src/core/a.ts', 'export async function f() { await g(); }', /the core awaits nothing/],
  ['core awaits in a loop', 'src/core/a.ts', 'for await (const x of y) f(x);', /the core awaits nothing/],
  [
    'core makes a promise',
    'src/core/a.ts',
    'const p = Promise.resolve(1);',
    /Promise is banned here: use a callback port/,
  ],
  ['core queues a microtask', 'src/core/a.ts', 'queueMicrotask(f);', /queueMicrotask is banned here: arm a Task/],
  ['core uses a function that engines round apart', 'src/core/a.ts', 'const x = Math.exp(y);', /Math\.exp is banned/],
  [
    'the simulation reads the date',
    'src/simulation/a.ts',
    'const t = Date.now();',
    /Date is banned here: take a Clock/,
  ],
  [
    'the simulation reads a monotonic clock',
    'src/simulation/a.ts',
    'const t = performance.now();',
    /performance is banned/,
  ],
  [
    'the simulation imports one',
    'src/simulation/a.ts',
    `import { performance as p } from 'node:perf_hooks';`,
    /take a Clock/,
  ],
  ['the simulation arms a timer', 'src/simulation/a.ts', 'setTimeout(f, 1);', /setTimeout is banned here: arm a Task/],
  ['the simulation reads a file', 'src/simulation/a.ts', `import { readFileSync } from 'node:fs';`, /take the content/],
  ['the simulation opens a socket', 'src/simulation/a.ts', `import net from 'node:net';`, /may not import node:net/],
  [
    'the simulation draws at random',
    'src/simulation/a.ts',
    'const r = Math.random();',
    /Math\.random is banned here: take an Rng/,
  ],
  ['it hides the draw', 'src/simulation/a.ts', 'const { random } = Math;', /hides which member/],
  ['it hides the draw in a string', 'src/simulation/a.ts', `Math['random']();`, /hides which member/],
  ['it makes an id', 'src/simulation/a.ts', 'const id = crypto.randomUUID();', /crypto is banned here: take an Rng/],
  [
    'it imports the maker of ids',
    'src/simulation/a.ts',
    `import { randomUUID } from 'node:crypto';`,
    /randomUUID is banned/,
  ],
  ['it reaches around', 'src/simulation/a.ts', `globalThis['Date'].now();`, /globalThis is banned/],
  ['a backend reads the environment', 'src/backends/cpu/a.ts', 'const v = process.env.X;', /process is banned here/],
  [
    'a backend imports another',
    'src/backends/simulated/a.ts',
    `import { x } from '../cpu/x.ts';`,
    /may not import backends\/cpu/,
  ],
  [
    'a backend imports the simulation',
    'src/backends/simulated/a.ts',
    `import { x } from '../../simulation/x.ts';`,
    /may not import/,
  ],
  [
    'the gateway reads the environment',
    'src/gateway/a.ts',
    'const v = process.env.PORT;',
    /src\/config reads the environment/,
  ],
  ['the gateway hides that', 'src/gateway/a.ts', 'const { env } = process;', /hides which member/],
  [
    'the gateway imports it',
    'src/gateway/a.ts',
    `import { env } from 'node:process';`,
    /src\/config reads the environment/,
  ],
  [
    'the gateway reads the time',
    'src/gateway/a.ts',
    'const t = process.hrtime.bigint();',
    /process\.hrtime is banned here/,
  ],
  [
    'the gateway arms a bare timer',
    'src/gateway/a.ts',
    'setInterval(f, 1000);',
    /setInterval is banned here: Guard\.every/,
  ],
  ['the runtime arms one for later', 'src/runtime/serving/a.ts', 'const t = setTimeout(f, 1);', /ends the server/],
  ['it imports one', 'src/runtime/a.ts', `import { setImmediate as soon } from 'node:timers';`, /ends the server/],
  ['the gateway composes', 'src/gateway/a.ts', `import { run } from '../runtime/run.ts';`, /may not import runtime/],
  [
    'the runtime reads the time beside its clock',
    'src/runtime/a.ts',
    'const t = performance.now();',
    /system-clock\.ts only/,
  ],
  [
    'a replay depends on the command line',
    'replay/a.ts',
    `import { main } from '../src/cli/main.ts';`,
    /may not import cli/,
  ],
  [
    'observability reaches for the device',
    'src/observability/a.ts',
    `import { x } from '../backends/cuda/x.ts';`,
    /may not import/,
  ],
  ['the command line reads test code', 'src/cli/a.ts', `import { x } from '../../test/x.ts';`, /belongs to no layer/],
];

const PLANTED_STYLE: readonly (readonly [what: string, text: string, message: RegExp])[] = [
  ['any', 'export let x: any;', /`any`/],
  ['any in a cast', 'export const x = y as any;', /`any`/],
  ['an enum', 'export enum Colour { red }', /`enum`/],
  ['a const enum', 'export const enum Colour { red }', /`enum`/],
  ['a namespace', 'export namespace N { export const x = 1; }', /`namespace`/],
  ['a parameter property', 'export class A { constructor(private readonly x: number) {} }', /parameter property/],
  ['a default export', 'export default 1;', /default export/],
  ['a silenced type error', '// @ts-ignore\nexport const x = 1;', /silenced type error/],
  ['a leftover marker', 'export const x = 1; // TODO later', /leftover marker/],
  ['a leftover marker in a block', '/**\n * FIXME\n */\nexport const x = 1;', /leftover marker/],
  ['a leftover marker inside a call', 'f(\n  // HACK\n  1,\n);', /leftover marker/],
  ['a file of 401 lines', 'f();\n'.repeat(401), /401 lines; at most 400/],
  ['a function of 61 lines', `function f() {\n${'g();\n'.repeat(59)}}`, /function of 61 lines; at most 60/],
];

describe('a planted violation is caught', () => {
  it.each(PLANTED_IN_LAYERS)('%s', (_what, path, text, message) => {
    expect(checkLayers(path, text).map((v) => v.text)).toContainEqual(expect.stringMatching(message));
  });

  it.each(PLANTED_STYLE)('%s', (_what, text, message) => {
    expect(checkStyle('src/core/a.ts', text).map((v) => v.text)).toContainEqual(expect.stringMatching(message));
  });

  it('an import cycle', () => {
    const graph = new Map([
      ['a', ['b']],
      ['b', ['c']],
      ['c', ['a']],
    ]);
    expect(importCycles(graph)).toEqual([['a', 'b', 'c', 'a']]);
  });
});

/** The rules must not cry wolf: these look like violations and are none. */
const INNOCENT: readonly (readonly [what: string, path: string, text: string])[] = [
  ['a field that is called performance', 'src/core/a.ts', 'interface A { performance: number }\nf(a.performance);'],
  ['a key that is called Date', 'src/simulation/a.ts', 'const row = { Date: 1 };'],
  ['other members of Math', 'src/core/a.ts', 'const x = Math.imul(1, 2) + Math.floor(y);'],
  ['a banned name in a comment or a string', 'src/core/a.ts', `// Date.now()\nconst x = 'setTimeout';`],
  ['hashing in the simulation', 'src/simulation/a.ts', `import { createHash } from 'node:crypto';`],
  ['the clock file', 'src/runtime/system-clock.ts', 'const t = performance.now();'],
  ['the environment in the configuration', 'src/config/a.ts', 'const v = process.env;'],
  ['data of the own layer', 'src/backends/simulated/a.ts', `import p from './profiles/p.json' with { type: 'json' };`],
  [
    'a pause that nothing of ours runs in',
    'src/runtime/a.ts',
    `import * as timers from 'node:timers/promises';\nawait timers.setTimeout(5);`,
  ],
  ['the arguments of the command line', 'src/cli/main.ts', 'main(process.argv);'],
];

describe('an innocent line passes', () => {
  it.each(INNOCENT)('%s', (_what, path, text) => {
    expect(checkLayers(path, text)).toEqual([]);
  });

  it('a file of 400 lines and a function of 60', () => {
    expect(checkStyle('src/core/a.ts', 'f();\n'.repeat(400))).toEqual([]);
    expect(checkStyle('src/core/a.ts', `function f() {\n${'g();\n'.repeat(58)}}`)).toEqual([]);
  });

  it('a string that talks about markers', () => {
    expect(checkStyle('src/core/a.ts', `export const x = 'TODO';`)).toEqual([]);
  });
});
