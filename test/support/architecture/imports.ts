import { posix } from 'node:path';
import ts from 'typescript';

/** One place where a file names another module. */
export interface ImportSite {
  readonly specifier: string;
  readonly line: number;
  /** Erased at run time: it counts for the layers, not for cycles. */
  readonly typeOnly: boolean;
}

/** Every way to name a module: import and export declarations, import types, `import()`, `require()`, `import x = require()`. */
export function importsOf(source: ts.SourceFile): ImportSite[] {
  const found: ImportSite[] = [];
  const add = (node: ts.Node, specifier: ts.Node | undefined, typeOnly: boolean) => {
    // A specifier that is computed cannot be checked, so it is recorded as what it is and no layer allows it.
    const text = specifier !== undefined && ts.isStringLiteralLike(specifier) ? specifier.text : '<computed>';
    found.push({
      specifier: text,
      line: source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1,
      typeOnly,
    });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node, node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword);
    } else if (ts.isExportDeclaration(node)) {
      if (node.moduleSpecifier !== undefined) add(node, node.moduleSpecifier, node.isTypeOnly);
    } else if (ts.isImportTypeNode(node)) {
      add(node, ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined, true);
    } else if (ts.isExternalModuleReference(node)) {
      add(node, node.expression, false);
    } else if (ts.isCallExpression(node)) {
      const callee = node.expression;
      if (callee.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(callee) && callee.text === 'require'))
        add(node, node.arguments[0], false);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

/** Path of a relative import inside the repository, or null for a package or a module of Node. */
export function resolveRelative(from: string, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null;
  return posix.normalize(posix.join(posix.dirname(from), specifier));
}

/** Import cycles between files at run time, each once, as the path around it; `graph` maps a file to what it imports. */
export function importCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const done = new Set<string>();
  const cycles: string[][] = [];
  const walk = (file: string, trail: string[]): void => {
    const at = trail.indexOf(file);
    if (at >= 0) {
      cycles.push([...trail.slice(at), file]);
      return;
    }
    if (done.has(file)) return;
    trail.push(file);
    for (const next of graph.get(file) ?? []) walk(next, trail);
    trail.pop();
    done.add(file);
  };
  for (const file of graph.keys()) walk(file, []);
  return cycles;
}
