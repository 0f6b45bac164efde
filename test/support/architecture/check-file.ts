import { builtinModules } from 'node:module';
import ts from 'typescript';
import { type Ban, GLOBAL_BANS, MEMBER_BANS, MODULE_BANS } from './ban-list.ts';
import { importsOf, resolveRelative } from './imports.ts';
import { type Layer, layerOf } from './layers.ts';

/** A broken rule; `text` is a complete failure message with place and replacement. */
export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly text: string;
}

/** Lines per file and per function, comments and blanks included. */
const FILE_LINES_MAX = 400;
const FUNCTION_LINES_MAX = 60;

/** Names without the `node:` prefix that are modules of Node and no packages. */
const NODE_MODULES: ReadonlySet<string> = new Set(builtinModules);

/** The layer rules for one file: imports, banned names, nothing suspended in the core. Files outside all layers pass. */
export function checkLayers(path: string, text: string): Violation[] {
  const layer = layerOf(path);
  if (layer === null) return [];
  const source = parse(path, text);
  return [...checkImports(path, layer, source), ...checkNames(path, layer, source)];
}

/** What holds for all TypeScript here: erasable syntax, no `any`, nothing left over, a length that can be read. */
export function checkStyle(path: string, text: string): Violation[] {
  const source = parse(path, text);
  const found: Violation[] = [];
  const report = (node: ts.Node, what: string) => found.push(violation(path, source, node, what));
  const lines = text.split('\n').length - (text.endsWith('\n') ? 1 : 0);
  if (lines > FILE_LINES_MAX)
    found.push({ path, line: lines, text: `${path}: ${lines} lines; at most ${FILE_LINES_MAX}, look for the seam` });
  const inTests = path.startsWith('test/');
  const visit = (node: ts.Node): void => {
    if (node.kind === ts.SyntaxKind.AnyKeyword) report(node, '`any`: use `unknown` and narrow it');
    if (ts.isEnumDeclaration(node)) report(node, '`enum`: use a const object and a union of its values');
    if (ts.isModuleDeclaration(node) && node.body !== undefined && ts.isIdentifier(node.name))
      report(node, '`namespace`: use a module');
    if (ts.isParameter(node) && ts.isParameterPropertyDeclaration(node, node.parent))
      report(node, 'parameter property: assign the field in the constructor');
    if (ts.isExportAssignment(node) && !path.endsWith('.config.ts')) report(node, 'default export: export a name');
    // Suites of tests nest in one callback by design.
    if (!inTests && ts.isFunctionLike(node)) checkLength(node);
    ts.forEachChild(node, visit);
  };
  const checkLength = (node: ts.SignatureDeclaration) => {
    const from = source.getLineAndCharacterOfPosition(node.getStart(source)).line;
    const length = source.getLineAndCharacterOfPosition(node.end).line - from + 1;
    if (length > FUNCTION_LINES_MAX)
      report(node, `function of ${length} lines; at most ${FUNCTION_LINES_MAX}, look for the seam`);
  };
  visit(source);
  return [...found, ...checkComments(path, text)];
}

export function parse(path: string, text: string): ts.SourceFile {
  return ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true, ts.ScriptKind.TS);
}

export function violation(path: string, source: ts.SourceFile, node: ts.Node, what: string): Violation {
  const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
  return { path, line, text: `${path}:${line}: ${what}` };
}

function checkImports(path: string, layer: Layer, source: ts.SourceFile): Violation[] {
  const found: Violation[] = [];
  for (const { specifier, line } of importsOf(source)) {
    const report = (what: string) => found.push({ path, line, text: `${path}:${line}: ${what}` });
    const target = resolveRelative(path, specifier);
    if (target !== null) {
      const to = layerOf(target);
      if (to === null) {
        if (!importsOutside(path, target)) report(`${layer.name} imports ${target}, which belongs to no layer`);
      } else if (to !== layer && !layer.imports.includes(to.name)) {
        report(`${layer.name} may not import ${to.name} (${specifier}); allowed: ${list(layer.imports)}`);
      }
      continue;
    }
    const bare = specifier.replace(/^node:/, '');
    if (specifier.startsWith('node:') || NODE_MODULES.has(bare)) {
      const banned = MODULE_BANS.find((ban) => ban.names.includes(bare) && ban.appliesTo(layer.name, path));
      if (banned !== undefined) report(`module ${specifier} is banned here: ${banned.replacement}`);
      else if (layer.nodeModules !== 'any' && !layer.nodeModules.includes(bare))
        report(`${layer.name} may not import ${specifier}; allowed of Node: ${list(layer.nodeModules)}`);
    } else if (layer.packages !== 'any' && !layer.packages.includes(packageName(specifier))) {
      report(`${layer.name} may not import the package ${specifier}; allowed: ${list(layer.packages)}`);
    }
  }
  return found;
}

/** The manifest says the version; the native addons are built outside the layers. */
function importsOutside(path: string, target: string): boolean {
  if (target === 'package.json') return !path.startsWith('src/core/');
  return target.startsWith('native/') && /^src\/backends\/(cpu|cuda)\/binding\.ts$/.test(path);
}

function packageName(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

function list(names: readonly string[]): string {
  return names.length === 0 ? 'nothing' : names.join(', ');
}

function checkNames(path: string, layer: Layer, source: ts.SourceFile): Violation[] {
  const found: Violation[] = [];
  const report = (node: ts.Node, what: string) => found.push(violation(path, source, node, what));
  const banOf = (bans: readonly Ban[], name: string) =>
    bans.find((ban) => ban.names.includes(name) && ban.appliesTo(layer.name, path));
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && !isOwnName(node)) {
      const global = banOf(GLOBAL_BANS, node.text);
      if (global !== undefined) report(node, `${node.text} is banned here: ${global.replacement}`);
      else checkMember(node);
    }
    if (layer.name === 'core' && suspends(node))
      report(node, 'the core awaits nothing: use a callback port (StepDone, TokenSink)');
    ts.forEachChild(node, visit);
  };
  /** `Math.random` by name, and `Math` or `process` in any form that could hide a member. */
  const checkMember = (node: ts.Identifier) => {
    const members = MEMBER_BANS.filter(
      (ban) => ban.appliesTo(layer.name, path) && ban.names.some((name) => name.startsWith(`${node.text}.`)),
    );
    if (members.length === 0) return;
    const parent = node.parent;
    if (ts.isPropertyAccessExpression(parent) && parent.expression === node) {
      const name = `${node.text}.${parent.name.text}`;
      const ban = members.find((candidate) => candidate.names.includes(name));
      if (ban !== undefined) report(node, `${name} is banned here: ${ban.replacement}`);
    } else if (ts.isElementAccessExpression(parent) || ts.isVariableDeclaration(parent)) {
      report(node, `${node.text} hides which member is used: write ${node.text}.name`);
    }
  };
  visit(source);
  return found;
}

function suspends(node: ts.Node): boolean {
  return (
    ts.isAwaitExpression(node) ||
    node.kind === ts.SyntaxKind.AsyncKeyword ||
    (ts.isForOfStatement(node) && node.awaitModifier !== undefined)
  );
}

/** True for identifiers that name a member or a key and not a variable: `step.performance`, `{ Date: 1 }`, `fetch(): void`. */
export function isOwnName(node: ts.Identifier): boolean {
  const parent = node.parent;
  if (ts.isPropertyAccessExpression(parent)) return parent.name === node;
  if (ts.isQualifiedName(parent)) return parent.right === node;
  if (ts.isPropertyAssignment(parent) || ts.isPropertyDeclaration(parent) || ts.isPropertySignature(parent))
    return parent.name === node;
  if (ts.isMethodDeclaration(parent) || ts.isMethodSignature(parent) || ts.isAccessor(parent))
    return parent.name === node;
  return ts.isJsxAttribute(parent);
}

const LEFTOVER = /\b(TODO|FIXME|XXX|HACK)\b/;
const SILENCED = /@ts-(ignore|nocheck)\b/;

/** Comments only: a string may talk about markers. */
function checkComments(path: string, text: string): Violation[] {
  const found: Violation[] = [];
  const source = parse(path, text);
  const seen = new Set<number>();
  const look = (ranges: readonly ts.CommentRange[] | undefined) => {
    for (const range of ranges ?? []) {
      if (seen.has(range.pos)) continue;
      seen.add(range.pos);
      const comment = text.slice(range.pos, range.end);
      const line = source.getLineAndCharacterOfPosition(range.pos).line + 1;
      if (LEFTOVER.test(comment))
        found.push({ path, line, text: `${path}:${line}: leftover marker: finish it or drop it` });
      if (SILENCED.test(comment))
        found.push({ path, line, text: `${path}:${line}: silenced type error: mend the type` });
    }
  };
  const visit = (node: ts.Node): void => {
    look(ts.getLeadingCommentRanges(text, node.getFullStart()));
    look(ts.getTrailingCommentRanges(text, node.end));
    for (const child of node.getChildren(source)) visit(child);
  };
  visit(source);
  return found;
}
