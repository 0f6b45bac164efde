import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { allowedAt } from './allowed.ts';
import { ScenarioError, type ScenarioProblem } from './scenario-error.ts';

type JsonSchema = z.core.JSONSchema.BaseSchema;

/** A kind of YAML file: what it is called, what is checked, and the same as JSON schema for messages. */
export interface YamlKind<T> {
  /** As in "path of a scenario". */
  readonly what: string;
  readonly schema: z.ZodType<T>;
  readonly jsonSchema: JsonSchema;
}

/** A YAML file that follows its schema, and where in it everything stands. */
export interface LoadedYaml<T> {
  readonly value: T;
  /** As the user named it: the start of every message. */
  readonly file: string;
  /** Paths in the file are relative to it. */
  readonly directory: string;
  /** Throws a ScenarioError that points at `path`, or at the nearest part of it that the file has. */
  fail(path: readonly PropertyKey[], message: string): never;
}

/** Reads, parses and checks a file. Throws ScenarioError with one line per problem. */
export function loadYaml<T>(file: string, kind: YamlKind<T>): LoadedYaml<T> {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ScenarioError(file, [{ line: 0, column: 0, path: '', message: unreadable(error, kind.what) }]);
  }
  return parseYaml(text, file, kind);
}

/** As `loadYaml`, from text. `file` is what messages name. */
export function parseYaml<T>(text: string, file: string, kind: YamlKind<T>): LoadedYaml<T> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, strict: true });
  if (document.errors.length > 0) {
    throw new ScenarioError(
      file,
      document.errors.map((error) => problemAt(lines, error.pos[0], '', `not YAML: ${firstLine(error.message)}`)),
    );
  }
  const value = plainValue(document, file);
  const parsed = kind.schema.safeParse(value);
  if (!parsed.success) {
    const problems = parsed.error.issues.flatMap((issue) => problemsOf(kind.jsonSchema, issue, value, document, lines));
    throw new ScenarioError(
      file,
      problems.sort((a, b) => a.line - b.line || a.column - b.column).filter(isFirstOfItsKind),
    );
  }
  return {
    value: parsed.data,
    file,
    directory: dirname(file),
    fail(path, message): never {
      throw new ScenarioError(file, [problemAt(lines, offsetOf(document, path), pathText(path), message)]);
    },
  };
}

/** Aliases that expand to more than the document holds are refused here, by the yaml library's own bound. */
function plainValue(document: Document, file: string): unknown {
  try {
    return document.toJS() as unknown;
  } catch (error) {
    const message = `not YAML: ${firstLine(error instanceof Error ? error.message : String(error))}`;
    throw new ScenarioError(file, [{ line: 1, column: 1, path: '', message }]);
  }
}

/** A value that breaks several rules of one field (pattern, range) gets one line: what is allowed says it all. */
function isFirstOfItsKind(problem: ScenarioProblem, index: number, all: readonly ScenarioProblem[]): boolean {
  return all.findIndex((each) => each.path === problem.path && each.message === problem.message) === index;
}

function problemsOf(
  schema: JsonSchema,
  issue: z.core.$ZodIssue,
  value: unknown,
  document: Document,
  lines: LineCounter,
  base: readonly PropertyKey[] = [],
): ScenarioProblem[] {
  const path = [...base, ...issue.path];
  const allowed = allowedAt(schema, value, path);
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) =>
      problemAt(
        lines,
        keyOffset(document, path, key),
        pathText([...path, key]),
        `unknown key; allowed: ${allowed.replace('a mapping with the keys ', '')}`,
      ),
    );
  }
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    // The variant that at least has the right kind of value knows best what is wrong.
    const closest = issue.errors.find((errors) => !errors.some((each) => each.path.length === 0 && isWrongKind(each)));
    if (closest !== undefined) return closest.flatMap((each) => problemsOf(schema, each, value, document, lines, path));
  }
  const found = path.reduce<unknown>(childOf, value);
  const shown = found === undefined ? 'is missing' : `${valueText(found)} is not allowed`;
  const wanted = issue.code === 'custom' && issue.message !== 'Invalid input' ? issue.message : `allowed: ${allowed}`;
  return [problemAt(lines, offsetOf(document, path), pathText(path), `${shown}; ${wanted}`)];
}

function isWrongKind(issue: z.core.$ZodIssue): boolean {
  return issue.code === 'invalid_type';
}

function problemAt(lines: LineCounter, offset: number, path: string, message: string): ScenarioProblem {
  const place = lines.linePos(offset);
  return { line: place.line, column: place.col, path, message };
}

/** Where the value of `path` begins; for a missing one, where the deepest part of the path that exists begins. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  for (let length = path.length; length >= 0; length--) {
    const node = length === 0 ? document.contents : document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range != null) return node.range[0];
  }
  return 0;
}

function keyOffset(document: Document, path: readonly PropertyKey[], key: string): number {
  const node = path.length === 0 ? document.contents : document.getIn(path, true);
  if (isMap(node)) {
    for (const pair of node.items) {
      if (isScalar(pair.key) && String(pair.key.value) === key && pair.key.range != null) return pair.key.range[0];
    }
  }
  return isSeq(node) && node.range != null ? node.range[0] : offsetOf(document, path);
}

function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else text += text === '' ? String(key) : `.${String(key)}`;
  }
  return text;
}

function valueText(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

function childOf(value: unknown, key: PropertyKey): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined;
}

function unreadable(error: unknown, what: string): string {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === 'ENOENT') return `no such file; allowed: path of a ${what} (YAML)`;
  if (code === 'EISDIR') return `is a directory; allowed: path of a ${what} (YAML)`;
  return `cannot be read (${code ?? String(error)})`;
}

function firstLine(message: string): string {
  return message.split('\n')[0]!;
}
