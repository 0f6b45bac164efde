import ts from 'typescript';
import { isOwnName, parse, type Violation, violation } from './check-file.ts';

/** Why a test may use what is banned below. */
export interface WaitException {
  readonly path: string;
  readonly name: string;
  readonly reason: string;
}

const WAIT = 'wait for the condition with until or eventually (test/support/until.ts)';
const NO_LIMIT =
  'no limit on time: a busy machine would fail it; bound the work instead (.ci/run ends a run that hangs, and test/support/long-tests.ts names what hangs)';
const NO_CLOCK = 'hand the code under test a clock (patience.nowMs of startTestServer) and compare with that';

/** Names that make the outcome of a test depend on the speed of the machine. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ['setTimeout', WAIT],
  ['setInterval', WAIT],
  ['performance', NO_CLOCK],
]);
const MEMBERS: ReadonlyMap<string, string> = new Map([
  ['vi.waitFor', WAIT],
  ['vi.waitUntil', WAIT],
  ['expect.poll', WAIT],
  ['Atomics.wait', WAIT],
  ['vi.setConfig', NO_LIMIT],
  ['AbortSignal.timeout', NO_LIMIT],
  ['Date.now', NO_CLOCK],
  ['process.hrtime', NO_CLOCK],
  ['process.uptime', NO_CLOCK],
]);
const MODULES: ReadonlyMap<string, string> = new Map([
  ['timers', WAIT],
  ['timers/promises', WAIT],
  ['perf_hooks', NO_CLOCK],
]);
/** Options of a call. */
const OPTIONS: ReadonlySet<string> = new Set([
  'timeout',
  'retry',
  'testTimeout',
  'hookTimeout',
  'interruptAfterTimeLimit',
  'skipAllAfterTimeLimit',
]);
/** Functions of vitest, with the number of arguments before a limit on time. */
const LIMITED: ReadonlyMap<string, number> = new Map([
  ['it', 2],
  ['test', 2],
  ['beforeAll', 1],
  ['beforeEach', 1],
  ['afterAll', 1],
  ['afterEach', 1],
]);

/** Sleeps, clocks and limits on time in a file of test/, but for the names in `allowed`. */
export function checkWaits(path: string, text: string, allowed: ReadonlySet<string> = new Set()): Violation[] {
  const source = parse(path, text);
  const found: Violation[] = [];
  const report = (node: ts.Node, name: string, instead: string) => {
    if (!allowed.has(name)) found.push(violation(path, source, node, `${name} is banned in tests: ${instead}`));
  };
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && !isOwnName(node)) {
      const instead = NAMES.get(node.text);
      if (instead !== undefined) report(node, node.text, instead);
    } else if (ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression)) {
      const name = `${node.expression.text}.${node.name.text}`;
      const instead = MEMBERS.get(name);
      if (instead !== undefined) report(node, name, instead);
    } else if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const name = node.moduleSpecifier.text.replace(/^node:/, '');
      const instead = MODULES.get(name);
      if (instead !== undefined) report(node, name, instead);
    } else if (ts.isCallExpression(node)) {
      for (const name of limitsOf(node)) report(node, name, NO_LIMIT);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** Limits on time among the arguments: an option that is not 0, or a number behind the function of a test or hook. */
function limitsOf(call: ts.CallExpression): string[] {
  const options = call.arguments
    .filter(ts.isObjectLiteralExpression)
    .flatMap(({ properties }) => [...properties])
    .filter(ts.isPropertyAssignment)
    .filter(({ name, initializer }) => OPTIONS.has(name.getText()) && isNumber(initializer))
    .map(({ name }) => name.getText());
  const before = LIMITED.get(rootOf(call.expression));
  if (before === undefined) return options;
  const rest = call.arguments.filter((argument) => !ts.isObjectLiteralExpression(argument));
  return rest.length > before ? [...options, 'a limit behind the function'] : options;
}

function isNumber(node: ts.Expression): boolean {
  return ts.isNumericLiteral(node) && Number(node.text) !== 0;
}

/** `it` of `it.each(rows)('name', f)`; the empty string for what is not called by name. */
function rootOf(callee: ts.Expression): string {
  if (ts.isIdentifier(callee)) return callee.text;
  if (ts.isPropertyAccessExpression(callee) || ts.isCallExpression(callee)) return rootOf(callee.expression);
  return '';
}
